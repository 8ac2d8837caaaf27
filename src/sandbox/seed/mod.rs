//! Seeds: resources with chosen ids, inserted into an account as its initial data. A document is applied completely or
//! not at all.
//!
//! Seeded resources get the timers of new resources. They get no events until something changes them.

pub mod bootstrap;
pub mod document;
pub mod routes;
mod store;
pub mod validate;

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::accounts::timing::Timing;
use crate::concierge::outputs;
use crate::concierge::pricing::Price;
use crate::concierge::requests::NewConciergeRequest;
use crate::concierge::users::User;
use crate::concierge::withdrawal_instructions::NewWithdrawalInstruction;
use crate::database::StoreError;
use crate::jsonapi::document::{Identifier, Reader};

crate::codes! {
    ID_TAKEN = 409 "id_taken" "The id is taken";
    STATE_NOT_SEEDABLE = 422 "state_not_seedable" "Resources cannot be seeded in this state";
}

/// Resource types with id counters. A type refers only to types before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SeedType {
    User,
    WithdrawalInstruction,
    Request,
    Output,
}

/// Every kind, in the order of its declaration.
pub const KINDS: [SeedType; 4] = [SeedType::User, SeedType::WithdrawalInstruction, SeedType::Request, SeedType::Output];

impl SeedType {
    /// Returns the type's name, also the name of its table and of its counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::WithdrawalInstruction => "withdrawal_instructions",
            Self::Request => "concierge_requests",
            Self::Output => "concierge_request_outputs",
        }
    }
}

/// The content of a seed document.
///
/// Unreadable resources are left out, except for their ids and references.
#[derive(Debug, Default)]
pub struct Seed {
    pub users: Vec<User>,
    /// Each with its id and its user.
    pub instructions: Vec<(i64, i64, NewWithdrawalInstruction)>,
    /// Each with its id and its payer.
    pub requests: Vec<(i64, i64, NewConciergeRequest)>,
    pub outputs: Vec<SeededOutput>,
    pub wallets: Vec<SeededWallet>,
    /// The ids in the document, each with the index of its resource.
    pub ids: Vec<(SeedType, i64, usize)>,
    pub references: Vec<SeedReference>,
}

/// A reference from one resource to another.
#[derive(Debug, Clone)]
pub struct SeedReference {
    /// Index of the resource in the document.
    pub place: usize,
    /// Name of the relationship.
    pub name: &'static str,
    pub kind: SeedType,
    pub id: Identifier,
}

/// An output to seed.
#[derive(Debug, Clone)]
pub struct SeededOutput {
    /// Index of the resource in the document.
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

/// A wallet to seed.
#[derive(Debug, Clone)]
pub struct SeededWallet {
    pub user_id: i64,
    pub currency: String,
    pub balance: BigDecimal,
}

/// Applies a seed to an account. `reader` is the reader of its document; `now` is the account's time.
///
/// The account must be locked, or not yet visible to other transactions.
///
/// # Errors
/// Every fault of the document; database errors. The caller must then roll back.
pub async fn apply(
    transaction: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
    mut reader: Reader,
    now: OffsetDateTime,
    timing: &Timing,
) -> Result<(), StoreError> {
    let found = store::find_existing(transaction, account_id, seed).await?;
    validate::validate(&mut reader, seed, &found);
    reader.finish(Some(()))?;
    store::insert(transaction, account_id, seed, now, timing).await?;
    Ok(store::advance_counters(transaction, account_id, seed).await?)
}
