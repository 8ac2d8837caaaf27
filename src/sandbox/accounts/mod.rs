//! Creates, lists, resets and deletes accounts over HTTP. Their SQL is in [`crate::accounts`].

pub mod document;
pub mod replace;
pub mod routes;

/// Id of the caller's own account in a path.
const OWN: &str = "me";

crate::codes! {
    KEY_TAKEN = 409 "key_taken" "The key belongs to another account";
    INVALID_ADMIN_TOKEN = 401 "invalid_admin_token" "Invalid admin token";
}
