//! The settings of the server, as the document lists them.

/// A setting of the server, for the document.
#[derive(Debug, Clone)]
pub struct ServerSetting {
    pub flag: String,
    pub variable: Option<String>,
    pub default: Option<String>,
    pub about: String,
}
