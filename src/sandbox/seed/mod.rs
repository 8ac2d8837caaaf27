//! Seeds: resources with wanted ids, put into an account as if they had been there before anything happened. All of a
//! document, or nothing of it.
//!
//! They get their timers as if they had just been made, and no events: nothing is told of them until something happens to
//! them.

pub mod beginning;
pub mod document;
mod judge;
pub mod routes;
mod store;

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::accounts::pace::Pace;
use crate::concierge::outputs::{self, Price};
use crate::concierge::requests::NewConciergeRequest;
use crate::concierge::users::User;
use crate::concierge::withdrawal_instructions::NewWithdrawalInstruction;
use crate::database::StoreError;
use crate::jsonapi::document::{Identifier, Reader};

crate::codes! {
    ID_TAKEN = 409 "id_taken" "The id is taken";
    STATE_NOT_SEEDABLE = 422 "state_not_seedable" "Nothing can begin in this state";
}

/// The types of what is counted by ids, in the order in which one refers to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    User,
    WithdrawalInstruction,
    Request,
    Output,
}

/// Every kind, each in its place.
pub const KINDS: [Kind; 4] = [Kind::User, Kind::WithdrawalInstruction, Kind::Request, Kind::Output];

impl Kind {
    /// The type's name, which is that of its table and of its counter too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::WithdrawalInstruction => "withdrawal_instructions",
            Self::Request => "concierge_requests",
            Self::Output => "concierge_request_outputs",
        }
    }
}

/// What a document is to seed. What couldn't be read isn't there, but for its id and what it refers to.
#[derive(Debug, Default)]
pub struct Seed {
    pub users: Vec<User>,
    /// Each with its id and its user.
    pub instructions: Vec<(i64, i64, NewWithdrawalInstruction)>,
    /// Each with its id and its payer.
    pub requests: Vec<(i64, i64, NewConciergeRequest)>,
    pub outputs: Vec<SeededOutput>,
    pub wallets: Vec<SeededWallet>,
    /// The ids that were named, each with its place in the document.
    pub ids: Vec<(Kind, i64, usize)>,
    pub references: Vec<Reference>,
}

/// That something refers to something else.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Its place in the document.
    pub place: usize,
    /// The relationship.
    pub name: &'static str,
    pub kind: Kind,
    pub id: Identifier,
}

/// An output to be seeded.
#[derive(Debug, Clone)]
pub struct SeededOutput {
    /// Its place in the document.
    pub place: usize,
    pub id: i64,
    pub request_id: i64,
    pub user_id: i64,
    pub withdrawal_instruction_id: i64,
    pub port_code: String,
    pub price: Price,
    pub state: outputs::state::State,
    pub rejection_reason: Option<String>,
}

/// What a wallet is to hold.
#[derive(Debug, Clone)]
pub struct SeededWallet {
    pub user_id: i64,
    pub currency: String,
    pub balance: BigDecimal,
}

/// Puts what was read into an account, at an instant of its time. The account is locked, or nobody else's yet.
///
/// # Errors
/// Every fault of the document; those of the database. Then the transaction is to be rolled back.
pub async fn plant(
    transaction: &mut PgConnection,
    account_id: i64,
    (seed, mut reader): (&Seed, Reader),
    now: OffsetDateTime,
    pace: &Pace,
) -> Result<(), StoreError> {
    let found = store::look(transaction, account_id, seed).await?;
    judge::judge(&mut reader, seed, &found);
    reader.finish(Some(()))?;
    store::insert(transaction, account_id, seed, now, pace).await?;
    Ok(store::advance_counters(transaction, account_id, seed).await?)
}
