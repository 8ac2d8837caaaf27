//! `/_sandbox/settings`: an account's delays, its choice of automatic or manual progression and approval, and the origin
//! of its links.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgConnection;

use crate::accounts::caller::Access;
use crate::accounts::settings::{AccountSettings, Mode};
use crate::accounts::store;
use crate::accounts::timing::Timing;
use crate::database::{StoreError, transaction};
use crate::jsonapi::document::Reader;
use crate::jsonapi::error::Errors;
use crate::jsonapi::schema::{Attribute, Input, ValueType};
use crate::jsonapi::values::IsoDuration;
use crate::lifecycle::timers;
use crate::web::app::App;
use crate::web::call::Call;
use crate::web::origin::{EXPECTED_URL, LONGEST_URL, read_public_url};

/// Values of a mode.
const MODES: [&str; 2] = ["auto", "manual"];

/// Members of the body that changes the settings; null restores the server's default.
pub const SETTINGS: &[Attribute] = &[
    mode_of("progression", "Automatic or manual progress of requests and outputs."),
    mode_of("approval", "Automatic or manual approval of new users."),
    delay_of("check_delay", "Time from the creation of an output to its preliminary checks."),
    delay_of("approval_delay", "Time from the creation of a user to its approval."),
    delay_of("quote_delay", "Time from the request for a quote to the quote, where it does not come at once."),
    delay_of("step_delay", "Time of each later step of an output."),
    Attribute::new(
        "public_url",
        ValueType::Url,
        "Origin of links, with a path if a proxy adds one.",
        r#""https://sandbox.example.com""#,
    )
    .on_create(Input::Optional),
];

const fn mode_of(name: &'static str, about: &'static str) -> Attribute {
    Attribute::new(name, ValueType::OneOf(&MODES), about, r#""auto""#).on_create(Input::Optional)
}

const fn delay_of(name: &'static str, about: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Duration, about, r#""PT1S""#).on_create(Input::Optional)
}

/// Changes to the settings: `None` keeps a value, `Some(None)` restores the server's default.
#[derive(Debug, Clone, Default)]
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
struct Change {
    is_manual: Option<bool>,
    approves: Option<Option<bool>>,
    check_delay: Option<Option<Duration>>,
    approval_delay: Option<Option<Duration>>,
    quote_delay: Option<Option<Duration>>,
    step_delay: Option<Option<Duration>>,
    public_url: Option<Option<String>>,
}

impl Change {
    fn read(body: &[u8]) -> Result<Self, Errors> {
        let mut reader = Reader::open_plain(body, SETTINGS)?;
        let progression = mode(&mut reader, "progression");
        let change = Self {
            is_manual: progression.map(|mode| mode == Some(false)),
            approves: mode(&mut reader, "approval"),
            check_delay: delay(&mut reader, "check_delay"),
            approval_delay: delay(&mut reader, "approval_delay"),
            quote_delay: delay(&mut reader, "quote_delay"),
            step_delay: delay(&mut reader, "step_delay"),
            public_url: url(&mut reader, "public_url"),
        };
        reader.finish(Some(change))
    }

    fn apply(&self, settings: AccountSettings) -> AccountSettings {
        AccountSettings {
            check_delay: self.check_delay.unwrap_or(settings.check_delay),
            approval_delay: self.approval_delay.unwrap_or(settings.approval_delay),
            quote_delay: self.quote_delay.unwrap_or(settings.quote_delay),
            step_delay: self.step_delay.unwrap_or(settings.step_delay),
            approves: self.approves.unwrap_or(settings.approves),
            is_manual: self.is_manual.unwrap_or(settings.is_manual),
        }
    }
}

/// Reads a mode if it is present: true for `auto`, false for `manual`, `Some(None)` for `null`.
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
fn mode(reader: &mut Reader, name: &str) -> Option<Option<bool>> {
    if !reader.has_attribute(name) {
        return None;
    }
    if reader.is_null(name) {
        return Some(None);
    }
    let text = reader.text(name, 100)?;
    match text.as_str() {
        "auto" => Some(Some(true)),
        "manual" => Some(Some(false)),
        _ => {
            reader.invalid(name, "auto or manual");
            None
        }
    }
}

#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
fn delay(reader: &mut Reader, name: &str) -> Option<Option<Duration>> {
    if !reader.has_attribute(name) {
        return None;
    }
    if reader.is_null(name) { Some(None) } else { reader.span(name).map(Some) }
}

/// Settings of an account, the server's defaults included.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Settings {
    /// `auto` if timers move resources, `manual` if only calls do.
    progression: Mode,
    /// `auto` if new users are approved by a timer.
    approval: Mode,
    /// Time from a new output to the end of its checks.
    check_delay: IsoDuration,
    /// Time from a new user to its approval.
    approval_delay: IsoDuration,
    /// Time from the request for a quote to the quote, unless the quote comes at once.
    quote_delay: IsoDuration,
    /// Time of each later step of an output.
    step_delay: IsoDuration,
    /// Origin of links; without one, links have the origin of the request.
    public_url: Option<String>,
}

#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
fn url(reader: &mut Reader, name: &str) -> Option<Option<String>> {
    if !reader.has_attribute(name) {
        return None;
    }
    if reader.is_null(name) {
        return Some(None);
    }
    let url = read_public_url(&reader.text(name, LONGEST_URL)?);
    if url.is_none() {
        reader.invalid(name, EXPECTED_URL);
    }
    url.map(Some)
}

fn render(settings: &AccountSettings, public_url: Option<&str>, server: &Timing) -> Settings {
    let timing = settings.timing(server);
    Settings {
        progression: Mode::of(!timing.is_manual),
        approval: Mode::of(timing.approves),
        check_delay: IsoDuration(timing.check_delay),
        approval_delay: IsoDuration(timing.approval_delay),
        quote_delay: IsoDuration(timing.quote_delay),
        step_delay: IsoDuration(timing.step_delay),
        public_url: public_url.map(str::to_owned),
    }
}

/// `GET /_sandbox/settings`
pub async fn show(State(app): State<App>, call: Call) -> Result<Json<Settings>, Errors> {
    let caller = call.authorize(&app, Access::Read, call.no_query()).await?.0;
    let public_url = caller.public_url.as_ref().or(call.origin.public_url.as_ref());
    Ok(Json(render(&caller.settings, public_url.map(|url| &**url), &app.rules.timing)))
}

/// `PATCH /_sandbox/settings`: changes the settings for all transitions from now on.
///
/// When progression becomes `auto`, paused resources continue as if they had just reached their state.
pub async fn update(State(app): State<App>, call: Call) -> Result<Json<Settings>, Errors> {
    let read = call.no_query().and_then(|()| Change::read(&call.body));
    let (caller, change) = call.authorize(&app, Access::Write, read).await?;
    let work = async |transaction: &mut PgConnection| {
        let id = caller.account_id;
        // the account was reset meanwhile; it had these settings until then
        let Some(account) = store::lock(transaction, id).await? else {
            let kept = caller.public_url.as_deref().map(str::to_owned);
            return Ok((change.apply(caller.settings), change.public_url.clone().unwrap_or(kept)));
        };
        let (settings, now) = (change.apply(account.settings), account.time.now(&app.clock));
        store::save_settings(transaction, id, &settings).await?;
        if let Some(url) = &change.public_url {
            store::save_public_url(transaction, id, url.as_deref()).await?;
        }
        let public_url = change.public_url.clone().unwrap_or(account.public_url);
        if settings.is_manual && !account.settings.is_manual {
            timers::stop(transaction, id).await?;
        } else if account.settings.is_manual && !settings.is_manual {
            timers::start(transaction, id, now, &settings.timing(&app.rules.timing)).await?;
        }
        Ok::<_, StoreError>((settings, public_url))
    };
    let (own, public_url) = app.database.run(async |connection| transaction(connection, work).await).await?;
    app.schedule(&caller, Some(caller.time.now(&app.clock))).await;
    let public_url = public_url.as_deref().or(call.origin.public_url.as_deref());
    Ok(Json(render(&own, public_url, &app.rules.timing)))
}
