//! `/_sandbox/accounts`, `/_sandbox/reset`

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::document::{AccountDocument, CreatedAccount, NewAccount, read_initial_state, read_new, render};
use super::replace::{Replacement, replace};
use super::{INVALID_ADMIN_TOKEN, KEY_TAKEN, OWN};
use crate::accounts::caller::{Access, StoredKey};
use crate::accounts::store::{self, Account};
use crate::concierge::fixtures::create_account_for;
use crate::database::{StoreError, transaction};
use crate::jsonapi::document::Reader;
use crate::jsonapi::error::{Error, Errors, RESOURCE_NOT_FOUND};
use crate::jsonapi::schema::Schema;
use crate::sandbox::snapshots;
use crate::sandbox::state::ControlPlane;
use crate::web::app::run_to_completion;
use crate::web::call::Call;
use crate::web::list::{List, ListMeta};
use crate::web::numbered::Numbered;
use sqlx::postgres::PgConnection;

/// Schema of the list.
pub static SCHEMA: Schema = Schema::list("accounts", "/_sandbox/accounts");

/// A page of the accounts.
pub type AccountList = List<AccountDocument, ListMeta>;

/// Returns whether the caller has the server's admin token.
fn is_admin(plane: &ControlPlane, call: &Call) -> bool {
    // comparing hashes leaks nothing about the token through timing
    call.credentials().is_ok_and(|credentials| plane.admin_token == Some(credentials.key_sha256))
}

/// `POST /_sandbox/accounts`: creates an account with fresh data and its own keys.
pub async fn create(State(plane): State<ControlPlane>, call: Call) -> Result<Response, Errors> {
    if plane.admin_token.is_some() && !is_admin(&plane, &call) {
        let detail = "`Authorization` must be the server's --admin-token, to create accounts";
        return Err(Error::new(INVALID_ADMIN_TOKEN, detail).header("Authorization").into());
    }
    call.no_query()?;
    let NewAccount { key, read_only_key, beginning } = read_new(&call.body)?;
    let (now, name) = (plane.app.clock.now(), Uuid::new_v4().to_string());
    let keys = [StoredKey::of(&key, "write"), StoredKey::of(&read_only_key, "read")];
    if keys.iter().any(|key| plane.admin_token == Some(key.sha256)) {
        return Err(key_taken());
    }
    plane.app.account_limits.check_rate()?;
    let work = async |connection: &mut PgConnection| {
        plane.app.account_limits.check_room(connection).await?;
        let created = create_account_for(connection, &name, &keys, Some(beginning.time(now)), now).await;
        match created {
            Err(sqlx::Error::Database(error)) if error.constraint() == Some("api_keys_pkey") => Err(key_taken().into()),
            Err(error) => Err(StoreError::from(error)),
            Ok(_) => Ok(store::find_named(connection, &name).await?),
        }
    };
    let account = plane.app.database.run(work).await?.ok_or_else(|| not_found(&name))?;
    let shown = CreatedAccount { account: render(&account, now), key, read_only_key };
    let location = [(header::LOCATION, format!("{}/_sandbox/accounts/{name}", call.origin.without_account()))];
    Ok((StatusCode::CREATED, location, Json(shown)).into_response())
}

/// `GET /_sandbox/accounts`: lists all accounts in pages for the admin token, the caller's own for a key. A reset moves an
/// account to the end.
pub async fn list(State(plane): State<ControlPlane>, call: Call) -> Result<Json<AccountList>, Errors> {
    let page = Numbered::read_list(&call, &SCHEMA);
    let (page, (total, accounts)) = if is_admin(&plane, &call) {
        let page = page?;
        let listed = list_all(&plane, &page).await?;
        (page, listed)
    } else {
        let account = own(&plane, &call, Access::Read).await?;
        let page = page?;
        let shown = if page.skipped() == 0 { vec![account] } else { Vec::new() };
        (page, (Some(1), shown))
    };
    let (now, more) = (plane.app.clock.now(), accounts.len() > page.size());
    let shown = accounts.iter().take(page.size()).map(|account| render(account, now)).collect();
    Ok(Json(List::new((shown, page.links(more, total, call.origin.without_account())))))
}

/// Counts all accounts, and reads a page of them and one more, to see whether it is the last.
async fn list_all(plane: &ControlPlane, page: &Numbered) -> Result<(Option<i64>, Vec<Account>), Errors> {
    let work = async |connection: &mut PgConnection| {
        let total = store::count(connection).await?;
        Ok::<_, sqlx::Error>((total, store::list(connection, page.skipped(), page.size() + 1).await?))
    };
    plane.app.database.run(work).await
}

/// `GET /_sandbox/accounts/:id`: shows an account. `me` is the caller's own.
pub async fn show(State(plane): State<ControlPlane>, call: Call) -> Result<Json<AccountDocument>, Errors> {
    call.no_query()?;
    let account = find(&plane, &call, Access::Read).await?;
    Ok(Json(render(&account, plane.app.clock.now())))
}

/// Finds the account in the path, if the caller has this access to it: the admin token, or a key of the account.
async fn find(plane: &ControlPlane, call: &Call, access: Access) -> Result<Account, Errors> {
    if call.id == OWN {
        plane.app.admit(&call.headers).await?;
        return own(plane, call, access).await;
    }
    if is_admin(plane, call) {
        let account = plane.app.database.run(async |connection| store::find_named(connection, &call.id).await).await?;
        return account.ok_or_else(|| not_found(&call.id));
    }
    // the account of somebody else is answered as one that nobody has
    let account = own(plane, call, access).await?;
    if account.name == call.id { Ok(account) } else { Err(not_found(&call.id)) }
}

/// Finds the caller's own account.
async fn own(plane: &ControlPlane, call: &Call, access: Access) -> Result<Account, Errors> {
    loop {
        let caller = call.authorize(&plane.app, access, Ok(())).await?.0;
        let database = &plane.app.database;
        let account = database.run(async |connection| store::find(connection, caller.account_id).await).await?;
        // an account reset meanwhile is looked up again
        if let Some(account) = account {
            return Ok(account);
        }
    }
}

/// `DELETE /_sandbox/accounts/:id`: deletes an account with its snapshots and all their data. `me` is the caller's own.
pub async fn delete(State(plane): State<ControlPlane>, call: Call) -> Result<StatusCode, Errors> {
    call.no_query().and_then(|()| Reader::expect_empty(&call.body))?;
    run_to_completion(async move {
        let (account, ended) = loop {
            let account = find(&plane, &call, Access::Write).await?;
            // an account reset meanwhile is looked up again
            if let Some(ended) = end(&plane, account.id).await? {
                break (account, ended);
            }
        };
        if let Some(open) = &plane.app.open_accounts {
            open.forget_keys();
        }
        plane.forget(account.id).await;
        let cleared = clear(&plane, &ended).await;
        plane.sweeper.wake();
        cleared.map(|()| StatusCode::NO_CONTENT)
    })
    .await
}

/// Deletes all data of ended accounts.
async fn clear(plane: &ControlPlane, ended: &[i64]) -> Result<(), Errors> {
    let work = async |connection: &mut PgConnection| {
        for id in ended {
            store::clear(connection, *id).await?;
        }
        Ok::<_, sqlx::Error>(())
    };
    plane.app.database.run(work).await
}

/// Ends an account and its snapshots, and deletes its keys. Returns the ids of the account and its snapshots, or `None`
/// if the account had ended before.
async fn end(plane: &ControlPlane, account_id: i64) -> Result<Option<Vec<i64>>, Errors> {
    let now = plane.app.clock.now();
    let work = async |transaction: &mut PgConnection| {
        let Some(account) = store::lock(&mut *transaction, account_id).await? else { return Ok(None) };
        let mut ended = snapshots::store::end(&mut *transaction, &account.name, None, now).await?;
        store::end(&mut *transaction, account.id, now).await?;
        store::drop_keys(transaction, account.id).await?;
        ended.insert(0, account.id);
        Ok::<_, StoreError>(Some(ended))
    };
    plane.app.database.run(async |connection| transaction(connection, work).await).await
}

/// `POST /_sandbox/reset`: restores the account to its initial data. Its keys stay.
pub async fn reset(State(plane): State<ControlPlane>, call: Call) -> Result<StatusCode, Errors> {
    let read = call.no_query().and_then(|()| read_initial_state(&call.body));
    let (_, beginning) = call.authorize(&plane.app, Access::Write, read).await?;
    replace(plane, *call.credentials()?, Replacement::Fresh(beginning)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn key_taken() -> Errors {
    let detail = "`key` or `read_only_key` is in use by another account or the server; choose another, or leave it out";
    Error::new(KEY_TAKEN, detail).at("").into()
}

fn not_found(id: &str) -> Errors {
    Error::new(RESOURCE_NOT_FOUND, format!("account {id:?} does not exist")).into()
}
