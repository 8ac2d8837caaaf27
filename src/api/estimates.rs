//! `/api/concierge_estimates`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use time::OffsetDateTime;

use crate::accounts::caller::{Access, Credentials, authenticate};
use crate::concierge::estimates::document::{SCHEMA, read_new, render_outputs, render_sum};
use crate::concierge::estimates::store::Hold;
use crate::concierge::estimates::{EstimatedOutput, HOLD, NewEstimate, fingerprint, hint_token, store};
use crate::concierge::outputs::document::{
    AMOUNT_AND_BUDGET_GIVEN, AMOUNT_NOT_POSITIVE, AMOUNT_OR_BUDGET_MISSING, BUDGET_NOT_POSITIVE,
};
use crate::concierge::ports::Port;
use crate::jsonapi::error::Errors;
use crate::jsonapi::query::Target;
use crate::jsonapi::render::{Included, Resource, render_document};
use crate::web::app::App;
use crate::web::call::{Call, answer};
use crate::web::remarks::remarked;
use crate::web::route::{Answer, Body, Key, Operation};

/// `POST /api/concierge_estimates`
pub const CREATE: Operation = Operation::write(
    "createEstimate",
    "Prices outputs, and holds the prices for ten minutes.",
    &SCHEMA,
    Body::Create(&SCHEMA),
    Answer::Document(201, &SCHEMA),
)
.key(Key::Optional)
.example(
    r#"{"data":{"type":"concierge_estimates","attributes":{"port_code":"cl_clp","outputs":[{"port_code":"us_usd","budget":100000},{"port_code":"mx_mxn","amount":500}]}}}"#,
)
.codes(&[AMOUNT_OR_BUDGET_MISSING, AMOUNT_AND_BUDGET_GIVEN, AMOUNT_NOT_POSITIVE, BUDGET_NOT_POSITIVE]);

/// `POST /api/concierge_estimates`: prices outputs.
/// The key is optional, but checked if present.
///
/// The answer is 201, because clients expect it of a POST with a resource in the answer.
/// It has no `Location`: the estimate cannot be read again.
pub async fn create(State(app): State<App>, call: Call) -> Result<Response, Errors> {
    let credentials = call.credentials_if_any()?;
    let read = call.query(&SCHEMA, Target::Single).and_then(|query| Ok((query, read_new(&call.body)?)));
    let (query, (new, strays)) = match credentials {
        Some(_) => call.authorize_parsed(&app, Access::Read, read).await?,
        None => read?,
    };
    let now = match credentials {
        Some(credentials) => {
            let found = app
                .database
                .run_repeatable(async |connection| authenticate(connection, credentials, Access::Read).await);
            found.await?.time.now(&app.clock)
        }
        None => app.clock.now(),
    };
    let estimate = match new {
        NewEstimate::Outputs { origin, outputs } => estimate_outputs(&app, credentials, origin, &outputs, now).await?,
        NewEstimate::Sum { from, to, amount } => {
            // the older form holds no prices
            render_sum(from, to, amount.clone(), app.rules.prices.taken(from, to, &amount), now)
        }
    };
    let document = render_document(&estimate, &Included::default(), &query, call.origin.without_account());
    Ok(remarked(answer(StatusCode::CREATED, document), strays))
}

/// Prices outputs and holds the prices under a token.
async fn estimate_outputs(
    app: &App,
    credentials: Option<&Credentials>,
    origin: &'static Port,
    outputs: &[EstimatedOutput],
    now: OffsetDateTime,
) -> Result<Resource, Errors> {
    let outputs_sha256 = fingerprint(outputs.iter().map(|output| (output.port.code, &output.price)));
    let token = hint_token(origin, outputs_sha256, &app.rules.prices, now);
    let hold = Hold {
        port_code: origin.code.to_owned(),
        outputs_sha256,
        prices: app.rules.prices.json().to_owned(),
        expires_at: now + HOLD,
    };
    app.database.run(async |connection| store::hold(connection, credentials, &token, &hold, now).await).await?;
    let priced = outputs.iter().map(|output| (output.port, app.rules.prices.price(origin, output.port, &output.price)));
    Ok(render_outputs(origin, priced.collect(), token, now))
}
