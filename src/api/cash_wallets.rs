//! `/api/cash_wallets`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::accounts::caller::{Access, Caller};
use crate::concierge::cash_wallets::{CashWallet, SCHEMA, complete, currencies, render, store};
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Target;
use crate::jsonapi::render::{Included, render_document};
use crate::jsonapi::schema::{Attribute, ValueType};
use crate::web::app::App;
use crate::web::call::{Call, answer, not_found};
use crate::web::numbered::Numbered;
use crate::web::route::{Answer, Operation};

/// The currency in a path.
const CURRENCY: &[Attribute] =
    &[Attribute::new("currency", ValueType::Text { longest: 3 }, "Currency of a port, in either case.", r#""ars""#)];

/// `GET /api/cash_wallets`
pub const LIST: Operation = Operation::list(
    "listCashWallets",
    "Lists the acting user's wallets, one for each currency.",
    &SCHEMA,
    Answer::Collection(&SCHEMA),
);
/// `GET /api/cash_wallets/:currency`
pub const SHOW: Operation = Operation::show(
    "getCashWallet",
    "Shows the acting user's wallet in a currency.",
    &SCHEMA,
    Answer::Document(200, &SCHEMA),
)
.path(CURRENCY);

/// `GET /api/cash_wallets`: the acting user's wallets, one for each currency of the ports.
pub async fn list(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let page = Numbered::read(&call, &SCHEMA);
    let page = call.authorize_parsed(&app, Access::Read, page).await?;
    let (caller, wallets) = find(&app, &call, currencies()).await?;
    page.respond(wallets.iter().map(render).collect(), call.origin.for_caller(&caller))
}

/// `GET /api/cash_wallets/:currency`: ignores the case of the currency.
pub async fn show(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| {
        let currency = call.id.to_ascii_lowercase();
        let known = currencies().contains(&currency);
        if known { Ok((query, currency)) } else { Err(not_found(&SCHEMA, &call.id)) }
    });
    let (query, currency) = call.authorize_parsed(&app, Access::Read, read).await?;
    let (caller, wallets) = find(&app, &call, vec![currency]).await?;
    let wallet = render(wallets.first().ok_or_else(|| not_found(&SCHEMA, &call.id))?);
    let origin = call.origin.for_caller(&caller);
    Ok(answer(StatusCode::OK, render_document(&wallet, &Included::default(), &query, origin)))
}

async fn find(app: &App, call: &Call, currencies: Vec<String>) -> Result<(Caller, Vec<CashWallet>), Errors> {
    let credentials = call.credentials()?;
    let found = app.database.run(async |connection| store::find(connection, credentials, &currencies).await);
    let (caller, stored) = found.await?;
    Ok((caller, complete(currencies, &stored)))
}
