//! `/_sandbox/accounts`, `/_sandbox/reset`

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sqlx::Acquire;
use uuid::Uuid;

use super::document::{NewAccount, read_beginning, read_new, render};
use super::replace::{Successor, replace};
use super::{INVALID_ADMIN_TOKEN, KEY_TAKEN, OWN};
use crate::accounts::caller::{Access, sha256};
use crate::accounts::fixtures::create_account_for;
use crate::accounts::store::{self, Account};
use crate::concierge::call::Call;
use crate::database::{StoreError, settle};
use crate::jsonapi::document::Reader;
use crate::jsonapi::error::{Error, Errors, RESOURCE_NOT_FOUND};
use crate::sandbox::snapshots;
use crate::server::{App, to_its_end};

/// Most accounts in a list.
const LISTED: i64 = 1000;

/// Checks that the caller may administer the whole server.
fn check_admin(app: &App, call: &Call) -> Result<(), Errors> {
    let Some(token) = &app.admin_token else { return Ok(()) };
    // comparing hashes leaks nothing about the token through timing
    let is_given = call.credentials().is_ok_and(|credentials| credentials.key_sha256 == *token);
    if is_given {
        return Ok(());
    }
    let detail = "`Authorization` must be the server's --admin-token, to create, list and delete accounts";
    Err(Error::new(INVALID_ADMIN_TOKEN, detail).header("Authorization").into())
}

/// `POST /_sandbox/accounts`: creates an account with fresh data and its own keys.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    check_admin(&app, &call)?;
    call.no_query()?;
    let NewAccount { key, read_only_key, beginning } = read_new(&call.body)?;
    let (now, name) = (app.clock.now(), Uuid::new_v4().to_string());
    let keys = [(sha256(key.as_bytes()), "write"), (sha256(read_only_key.as_bytes()), "read")];
    if keys.iter().any(|(key, _)| app.admin_token == Some(*key)) {
        return Err(key_taken());
    }
    let mut connection = app.database.connection().await?;
    let created = async {
        match create_account_for(&mut connection, &name, &keys, Some(beginning.time(now)), now).await {
            Err(sqlx::Error::Database(error)) if error.constraint() == Some("api_keys_pkey") => Err(key_taken().into()),
            Err(error) => Err(StoreError::from(error)),
            Ok(_) => Ok(store::find_named(&mut connection, &name).await?),
        }
    }
    .await;
    let account = connection.conclude(created)?.ok_or_else(|| not_found(&name))?;
    let mut shown = render(&account, now);
    shown["key"] = key.into();
    shown["read_only_key"] = read_only_key.into();
    let location = [(header::LOCATION, format!("/_sandbox/accounts/{name}"))];
    Ok((StatusCode::CREATED, location, Json(shown)).into_response())
}

/// `GET /_sandbox/accounts`: lists the first thousand accounts.
pub async fn list(State(app): State<App>, call: Call) -> Result<Json<Value>, Errors> {
    check_admin(&app, &call)?;
    call.no_query()?;
    let mut connection = app.database.connection().await?;
    let accounts = store::list(&mut connection, 0, LISTED).await;
    let (accounts, now) = (connection.conclude(accounts)?, app.clock.now());
    let accounts: Vec<Value> = accounts.iter().map(|account| render(account, now)).collect();
    Ok(Json(json!({ "accounts": accounts })))
}

/// `GET /_sandbox/accounts/:id`: shows an account. `me` is the caller's own.
pub async fn show(State(app): State<App>, call: Call) -> Result<Json<Value>, Errors> {
    call.no_query()?;
    let account = find(&app, &call, Access::Read).await?;
    Ok(Json(render(&account, app.clock.now())))
}

/// Finds the account in the path, if the caller has this access to it.
async fn find(app: &App, call: &Call, access: Access) -> Result<Account, Errors> {
    if call.id == OWN {
        return own(app, call, access).await;
    }
    check_admin(app, call)?;
    let mut connection = app.database.connection().await?;
    let account = store::find_named(&mut connection, &call.id).await;
    connection.conclude(account)?.ok_or_else(|| not_found(&call.id))
}

/// Finds the caller's own account.
async fn own(app: &App, call: &Call, access: Access) -> Result<Account, Errors> {
    loop {
        let caller = call.caller(app, access, Ok(())).await?.0;
        let mut connection = app.database.connection().await?;
        let account = store::find(&mut connection, caller.account_id).await;
        // an account reset meanwhile is looked up again
        if let Some(account) = connection.conclude(account)? {
            return Ok(account);
        }
    }
}

/// `DELETE /_sandbox/accounts/:id`: deletes an account with its snapshots and all their data. `me` is the caller's own.
pub async fn delete(State(app): State<App>, call: Call) -> Result<StatusCode, Errors> {
    call.no_query().and_then(|()| Reader::read_nothing(&call.body))?;
    to_its_end(async move {
        let (account, ended) = loop {
            let account = find(&app, &call, Access::Write).await?;
            // an account reset meanwhile is looked up again
            if let Some(ended) = end(&app, account.id).await? {
                break (account, ended);
            }
        };
        app.known_keys.clear();
        app.forget(account.id).await;
        let cleared = clear(&app, &ended).await;
        app.sweeper.wake();
        cleared.map(|()| StatusCode::NO_CONTENT)
    })
    .await
}

/// Deletes all data of ended accounts.
async fn clear(app: &App, ended: &[i64]) -> Result<(), Errors> {
    let mut connection = app.database.connection().await?;
    let cleared = async {
        for id in ended {
            store::clear(&mut connection, *id).await?;
        }
        Ok::<_, sqlx::Error>(())
    }
    .await;
    connection.conclude(cleared)
}

/// Ends an account and its snapshots, and deletes its keys. Returns the ids of the account and its snapshots, or `None`
/// if the account had ended before.
async fn end(app: &App, account_id: i64) -> Result<Option<Vec<i64>>, Errors> {
    let mut connection = app.database.connection().await?;
    let now = app.clock.now();
    let ended = async {
        let mut transaction = connection.begin().await?;
        let outcome = async {
            let Some(account) = store::lock(&mut transaction, account_id).await? else { return Ok(None) };
            let mut ended = snapshots::store::end(&mut transaction, &account.name, None, now).await?;
            store::end(&mut transaction, account.id, now).await?;
            store::drop_keys(&mut transaction, account.id).await?;
            ended.insert(0, account.id);
            Ok::<_, StoreError>(Some(ended))
        }
        .await;
        settle(transaction, outcome).await
    }
    .await;
    connection.conclude(ended)
}

/// `POST /_sandbox/reset`: restores the account to its initial data. Its keys stay.
pub async fn reset(State(app): State<App>, call: Call) -> Result<StatusCode, Errors> {
    let read = call.no_query().and_then(|()| read_beginning(&call.body));
    let (_, beginning) = call.caller(&app, Access::Write, read).await?;
    replace(app, *call.credentials()?, Successor::Fresh(beginning)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn key_taken() -> Errors {
    let detail = "`key` or `read_only_key` is in use by another account or the server; choose another, or leave it out";
    Error::new(KEY_TAKEN, detail).at("").into()
}

fn not_found(id: &str) -> Errors {
    Error::new(RESOURCE_NOT_FOUND, format!("account {id:?} does not exist")).into()
}
