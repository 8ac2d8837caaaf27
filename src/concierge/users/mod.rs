//! Users: the master user of an account and its managed users.
//! Any of them can be payer or payee.

pub mod approvals;
pub mod document;
pub mod state;
pub mod store;

use state::ComplianceState;

/// A stored user.
#[expect(clippy::struct_excessive_bools, reason = "the documented attributes")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: i64,
    pub name: Option<String>,
    pub email: Option<String>,
    pub kyc_accepted: bool,
    pub otp_enabled: bool,
    pub do_not_email: bool,
    pub trezor_login_enabled: bool,
    pub compliance_state: ComplianceState,
    pub webhook_url: Option<String>,
}

/// Changes of a PATCH: `None` keeps a value, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChanges {
    pub name: Option<Option<String>>,
    pub email: Option<Option<String>>,
    pub webhook_url: Option<Option<String>>,
    pub do_not_email: Option<bool>,
}
