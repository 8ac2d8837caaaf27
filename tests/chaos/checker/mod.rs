//! The invariants after all trouble: the database, the clients' records and the receiver's calls agree.
//!
//! [`crate::support::world`] has the invariants of states and events, the files here have the rest.

mod acknowledged; // each acknowledged write is stored once
mod money; // every sum is exact
mod received; // each event arrived, in order
pub mod unfinished; // nothing due is left undone

use sqlx::postgres::PgPool;

use crate::journal::Record;
use crate::listener::Heard;
use crate::support::world;

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An acknowledged change is missing.
    Lost,
    /// A change exists more often than clients asked for it.
    Doubled,
    /// A resource without a legal path, or a transition without its event.
    Path,
    /// A sum that does not add up.
    Money,
    /// Work that is due and undone.
    Unfinished,
    /// An event that did not arrive, or not in order.
    Event,
    /// An answer that no client expects.
    Answer,
}

/// A violated invariant.
#[derive(Debug, Clone)]
pub struct Finding {
    pub kind: Kind,
    pub text: String,
}

impl Finding {
    pub fn all(kind: Kind, texts: impl IntoIterator<Item = String>) -> Vec<Self> {
        texts.into_iter().map(|text| Self { kind, text }).collect()
    }
}

/// Returns every violated invariant of a database that is at rest.
pub async fn check(database: &PgPool, records: &[Record], heard: &[Heard]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for record in records {
        findings.extend(acknowledged::check(database, record).await);
        findings.extend(received::check(database, record, heard).await);
        findings.extend(Finding::all(Kind::Answer, record.objections.clone()));
    }
    findings.extend(Finding::all(Kind::Path, world::faults(database).await));
    findings.extend(Finding::all(Kind::Money, money::faults(database).await));
    findings.extend(Finding::all(Kind::Unfinished, unfinished::faults(database).await));
    findings
}

/// Returns the row id of a key's account, or `None` if no account has the key.
async fn account_of(database: &PgPool, key: &str) -> Option<i64> {
    let sql = "select account_id from api_keys where key_sha256 = sha256(convert_to($1, 'UTF8'))";
    sqlx::query_scalar(sql).bind(key).fetch_optional(database).await.unwrap()
}
