//! Accounts as the control plane makes, resets and deletes them.

mod document;
pub mod replace;
pub mod routes;

/// What the path calls the caller's own account.
const OWN: &str = "me";

crate::codes! {
    KEY_TAKEN = 409 "key_taken" "The key is another account's";
    INVALID_ADMIN_TOKEN = 401 "invalid_admin_token" "Invalid admin token";
}
