//! The control plane's operations as data: what each takes and answers. The router's tables name them.

use schemars::SchemaGenerator;

use super::accounts::KEY_TAKEN;
use super::accounts::document::{AccountDocument, CreatedAccount, INITIAL_STATE, NEW_ACCOUNT};
use super::advice::AdviceItem;
use super::advice::routes::AdviceMeta;
use super::clock::document::{ADVANCE, ClockDocument, SET, SETTLE};
use super::clock::report::MovedClock;
use super::clock::{CLOCK_BACKWARDS, CLOCK_MOVED};
use super::events::WEBHOOK_URL_MISSING;
use super::events::document::{RECOVER, RecoveredEvents, SCHEMA as EVENTS, TRIGGER};
use super::health::Health;
use super::request_log::document::LoggedRequest;
use super::request_log::routes::RequestLogMeta;
use super::seed::document::{SEEDED, SeedResult};
use super::seed::{ID_TAKEN, STATE_NOT_SEEDABLE};
use super::settings::{SETTINGS, Settings};
use super::snapshots::TOO_MANY_SNAPSHOTS;
use super::snapshots::document::{NEW_SNAPSHOT, SnapshotDocument};
use super::test_values::{TestValueDocument, TestValueMeta};
use super::timeline::document::TimelineDocument;
use super::wait::document::WaitResult;
use super::wait::{WAIT_IMPOSSIBLE, WAIT_TIMEOUT};
use crate::concierge::event_types::{self, RESOURCE_TYPES};
use crate::concierge::machine::StateMachine;
use crate::concierge::outputs::document::{
    AMOUNT_AND_BUDGET_GIVEN, AMOUNT_NOT_POSITIVE, AMOUNT_OR_BUDGET_MISSING, BUDGET_NOT_POSITIVE,
    INSTRUCTION_OF_ANOTHER_USER, REQUEST_NOT_DRAFT,
};
use crate::concierge::users::document::WEBHOOK_URL_INVALID;
use crate::faults::FAULT_MATCHES_NOTHING;
use crate::faults::document::CountedFault;
use crate::jsonapi::error::{RELATED_RESOURCE_NOT_FOUND, RELATIONSHIP_TYPE_MISMATCH};
use crate::jsonapi::query::Target;
use crate::jsonapi::schema::{Attribute, ValueType};
use crate::web::list::{List, ListMeta};
use crate::web::route::{Answer, Body, Key, Operation, QueryOf};

/// A list of things in pages.
const fn list<T, M>() -> fn(&mut SchemaGenerator) -> schemars::Schema
where
    List<T, M>: schemars::JsonSchema,
{
    SchemaGenerator::subschema_for::<List<T, M>>
}

/// One thing.
const fn one<T: schemars::JsonSchema>() -> fn(&mut SchemaGenerator) -> schemars::Schema {
    SchemaGenerator::subschema_for::<T>
}

const ID: Attribute = Attribute::new(
    "id",
    ValueType::Text { longest: 255 },
    "`me` or its id with a key of the account; any id with the admin token.",
    r#""me""#,
);

pub const LIVE: Operation =
    Operation::plain("getLiveness", "Answers while the process runs.", Key::None, Answer::Json(200, one::<Health>()))
        .unchecked();
pub const READY: Operation = Operation::plain(
    "getReadiness",
    "Answers 200 while the database answers, too.",
    Key::None,
    Answer::Json(200, one::<Health>()),
)
.unchecked();
pub const METRICS: Operation = Operation::plain(
    "getMetrics",
    "Metrics in OpenMetrics text.",
    Key::None,
    Answer::Text("application/openmetrics-text"),
)
.unchecked();
pub const STATE_MACHINE: Operation = Operation::plain(
    "getStateMachine",
    "The states and transitions of requests or outputs.",
    Key::None,
    Answer::JsonOrText(one::<StateMachine>(), "text/vnd.mermaid"),
)
.unchecked()
.path(&[Attribute::new("name", ValueType::OneOf(&["requests", "outputs"]), "A state machine.", r#""outputs""#)])
.query(QueryOf::Plain(&[Attribute::new(
    "format",
    ValueType::OneOf(&["json", "mermaid"]),
    "Form of the answer; JSON by default.",
    r#""json""#,
)]));
pub const TEST_VALUES: Operation = Operation::plain(
    "listTestValues",
    "Lists the reserved values that choose how a payment ends.",
    Key::None,
    Answer::Json(200, list::<TestValueDocument, TestValueMeta>()),
)
.query(QueryOf::Resource(Target::List, &super::test_values::SCHEMA));

pub const SEED: Operation = Operation::plain(
    "seedAccount",
    "Inserts resources with chosen ids, all of them or none.",
    Key::Write,
    Answer::Json(201, one::<SeedResult>()),
)
.body(
    Body::Resources(SEEDED),
    r#"{"data":[{"type":"users","id":"30303","attributes":{"email":"ana@example.com","compliance_state":"enabled"}},{"type":"cash_wallets","id":"usd","attributes":{"balance":2500},"relationships":{"user":{"data":{"type":"users","id":"30303"}}}}]}"#,
)
.codes(&[
    ID_TAKEN,
    STATE_NOT_SEEDABLE,
    RELATED_RESOURCE_NOT_FOUND,
    REQUEST_NOT_DRAFT,
    INSTRUCTION_OF_ANOTHER_USER,
    WEBHOOK_URL_INVALID,
    AMOUNT_AND_BUDGET_GIVEN,
    AMOUNT_NOT_POSITIVE,
    AMOUNT_OR_BUDGET_MISSING,
    BUDGET_NOT_POSITIVE,
]);
pub const SHOW_SETTINGS: Operation =
    Operation::plain("getSettings", "Shows the account's settings.", Key::Read, Answer::Json(200, one::<Settings>()));
pub const UPDATE_SETTINGS: Operation = Operation::plain(
    "updateSettings",
    "Changes settings for all transitions from now on; null restores the server's default.",
    Key::Write,
    Answer::Json(200, one::<Settings>()),
)
.body(Body::Plain(SETTINGS), r#"{"progression":"manual","step_delay":"PT5S"}"#);

pub const SHOW_CLOCK: Operation =
    Operation::plain("getClock", "Shows the account's clock.", Key::Read, Answer::Json(200, one::<ClockDocument>()));
pub const FREEZE: Operation = Operation::plain(
    "freezeClock",
    "Freezes the clock at its time, after everything due by then.",
    Key::Write,
    Answer::Json(200, one::<ClockDocument>()),
)
.empty_body()
.codes(&[CLOCK_MOVED]);
pub const RESUME: Operation = Operation::plain(
    "resumeClock",
    "Lets the clock run from its time.",
    Key::Write,
    Answer::Json(200, one::<ClockDocument>()),
)
.empty_body()
.codes(&[CLOCK_MOVED]);
pub const ADVANCE_CLOCK: Operation = Operation::plain(
    "advanceClock",
    "Advances the clock; everything due on the way happens at its own time.",
    Key::Write,
    Answer::Json(200, one::<MovedClock>()),
)
.body(Body::Plain(ADVANCE), r#"{"by":"PT12H"}"#)
.codes(&[CLOCK_MOVED, CLOCK_BACKWARDS]);
pub const SET_CLOCK: Operation = Operation::plain(
    "setClock",
    "Advances the clock to an instant, and freezes it there or lets it run.",
    Key::Write,
    Answer::Json(200, one::<MovedClock>()),
)
.body(Body::Plain(SET), r#"{"to":"2019-12-01T00:00:00Z","frozen":true}"#)
.codes(&[CLOCK_MOVED, CLOCK_BACKWARDS]);
pub const SETTLE_ACCOUNT: Operation = Operation::plain(
    "settle",
    "Advances the clock until nothing is due soon.",
    Key::Write,
    Answer::Json(200, one::<MovedClock>()),
)
.body(Body::Plain(SETTLE), r#"{"within":"PT1M"}"#)
.codes(&[CLOCK_MOVED]);

pub const LIST_EVENTS: Operation = Operation::list("listEvents", "Lists events.", &EVENTS, Answer::Collection(&EVENTS));
pub const SHOW_EVENT: Operation = Operation::show(
    "getEvent",
    "Shows an event with its delivery attempts and its resource.",
    &EVENTS,
    Answer::Document(200, &EVENTS),
);
pub const REDELIVER: Operation = Operation::write(
    "redeliverEvent",
    "Sends an event again, with the same bytes.",
    &EVENTS,
    Body::None,
    Answer::Document(202, &EVENTS),
)
.codes(&[WEBHOOK_URL_MISSING]);
pub const RECOVER_EVENTS: Operation = Operation::plain(
    "recoverEvents",
    "Sends all undelivered events again.",
    Key::Write,
    Answer::Json(200, one::<RecoveredEvents>()),
)
.body(Body::Plain(RECOVER), r#"{"since":"2019-11-25T12:53:02.741Z"}"#)
.codes(&[WEBHOOK_URL_MISSING]);
pub const TRIGGER_EVENT: Operation = Operation::write(
    "triggerEvent",
    "Sends an event without a change: of a resource, or of a sample.",
    &EVENTS,
    Body::Plain(TRIGGER),
    Answer::Created(&EVENTS),
)
.example(r#"{"event_type":"user_enabled","resource":{"type":"users","id":"20202"}}"#)
.codes(&[RELATED_RESOURCE_NOT_FOUND, RELATIONSHIP_TYPE_MISMATCH]);

pub const LIST_FAULTS: Operation = Operation::plain(
    "listFaults",
    "Lists the account's faults with their hits.",
    Key::Read,
    Answer::Json(200, list::<CountedFault, ListMeta>()),
)
.query(QueryOf::Resource(Target::List, &super::faults::routes::SCHEMA));
pub const REPLACE_FAULTS: Operation = Operation::plain(
    "replaceFaults",
    "Replaces the account's faults.",
    Key::Write,
    Answer::Json(200, list::<CountedFault, ListMeta>()),
)
.body(
    Body::Items(crate::faults::document::item_schema),
    r#"{"data":[{"method":"POST","path":"/api/concierge_request_outputs","status":503,"retry_after":1,"times":2},{"webhook":"concierge_request_output_*","drop":true}]}"#,
)
.codes(&[FAULT_MATCHES_NOTHING]);
pub const CLEAR_FAULTS: Operation =
    Operation::plain("clearFaults", "Deletes the account's faults.", Key::Write, Answer::Empty);

pub const LIST_LOG: Operation = Operation::plain(
    "listLoggedRequests",
    "Lists the requests to /api that this server answered, the newest first.",
    Key::Read,
    Answer::Json(200, list::<LoggedRequest, RequestLogMeta>()),
)
.query(QueryOf::Resource(Target::List, &super::request_log::query::SCHEMA));
pub const SHOW_LOGGED: Operation = Operation::plain(
    "getLoggedRequest",
    "Shows a request and its answer.",
    Key::Read,
    Answer::Json(200, one::<LoggedRequest>()),
)
.path(&[Attribute::new(
    "id",
    ValueType::Text { longest: 36 },
    "The answer's `X-Request-Id`.",
    r#""00000000-0000-0000-0000-000000000000""#,
)]);
pub const CLEAR_LOG: Operation =
    Operation::plain("clearLoggedRequests", "Deletes the logged requests and their advice.", Key::Write, Answer::Empty);
pub const LIST_ADVICE: Operation = Operation::plain(
    "listAdvice",
    "Lists contract violations by the account's client and receivers.",
    Key::Read,
    Answer::Json(200, list::<AdviceItem, AdviceMeta>()),
)
.query(QueryOf::Resource(Target::List, &super::advice::routes::SCHEMA));

pub const TIMELINE: Operation = Operation::plain(
    "getTimeline",
    "Shows what happened to a resource, why, and what comes next.",
    Key::Read,
    Answer::Json(200, one::<TimelineDocument>()),
)
.path(&[
    Attribute::new("type", ValueType::OneOf(&RESOURCE_TYPES), "Type of the resource.", r#""concierge_requests""#),
    Attribute::new("id", ValueType::Id, "Id of the resource.", r#""1010""#),
]);
/// Parameters of a wait.
const AWAITED: &[Attribute] = &[
    Attribute::new(
        "resource",
        ValueType::Text { longest: usize::MAX },
        "A resource, as TYPE/ID.",
        r#""concierge_requests/1010""#,
    ),
    Attribute::new(
        "state",
        ValueType::Text { longest: usize::MAX },
        "The state of the resource to wait for.",
        r#""draft""#,
    ),
    Attribute::new(
        "event",
        ValueType::OneOf(&event_types::NAMES),
        "The event type to wait for, instead of a state.",
        "",
    ),
    Attribute::new(
        "delivered",
        ValueType::OneOf(&["true", "false"]),
        "True to wait for the event's delivery, too.",
        "",
    ),
    Attribute::new("since", ValueType::Id, "Only events after the one with this id.", ""),
    Attribute::new(
        "timeout",
        ValueType::Text { longest: usize::MAX },
        "Duration of at most ten minutes; 5 s by default.",
        r#""5s""#,
    ),
];
pub const WAIT: Operation = Operation::plain(
    "wait",
    "Answers as soon as a resource is in a state, or an event occurred.",
    Key::Read,
    Answer::Json(200, one::<WaitResult>()),
)
.query(QueryOf::Plain(AWAITED))
.codes(&[WAIT_TIMEOUT, WAIT_IMPOSSIBLE, crate::jsonapi::error::RESOURCE_NOT_FOUND]);

pub const RESET: Operation =
    Operation::plain("resetAccount", "Restores the account's initial data. Its keys stay.", Key::Write, Answer::Empty)
        .body(Body::Plain(INITIAL_STATE), r#"{"clock":{"now":"2019-11-25T12:53:02.741Z","frozen":true}}"#)
        .codes(&[CLOCK_MOVED]);
pub const LIST_SNAPSHOTS: Operation = Operation::plain(
    "listSnapshots",
    "Lists the account's snapshots.",
    Key::Read,
    Answer::Json(200, list::<SnapshotDocument, ListMeta>()),
)
.query(QueryOf::Resource(Target::List, &super::snapshots::routes::SCHEMA));
pub const CREATE_SNAPSHOT: Operation = Operation::plain(
    "createSnapshot",
    "Takes a snapshot of the account; it replaces one of the same name.",
    Key::Write,
    Answer::Json(201, one::<SnapshotDocument>()),
)
.body(Body::Plain(NEW_SNAPSHOT), r#"{"name":"before-quote"}"#)
.codes(&[CLOCK_MOVED, TOO_MANY_SNAPSHOTS]);
const SNAPSHOT: &[Attribute] =
    &[Attribute::new("name", ValueType::Text { longest: 100 }, "Name of a snapshot.", r#""before-quote""#)];
pub const DELETE_SNAPSHOT: Operation =
    Operation::plain("deleteSnapshot", "Deletes a snapshot.", Key::Write, Answer::Empty).path(SNAPSHOT);
pub const RESTORE_SNAPSHOT: Operation = Operation::plain(
    "restoreSnapshot",
    "Restores the account, except its keys and snapshots.",
    Key::Write,
    Answer::Empty,
)
.path(SNAPSHOT)
.empty_body()
.codes(&[CLOCK_MOVED]);

pub const LIST_ACCOUNTS: Operation = Operation::plain(
    "listAccounts",
    "Lists the account of the key, or all accounts for the admin token.",
    Key::OwnerOrAdmin,
    Answer::Json(200, list::<AccountDocument, ListMeta>()),
)
.query(QueryOf::Resource(Target::List, &super::accounts::routes::SCHEMA));
pub const CREATE_ACCOUNT: Operation = Operation::plain(
    "createAccount",
    "Creates an account with fresh data and keys of its own.",
    Key::Admin,
    Answer::CreatedJson(one::<CreatedAccount>()),
)
.body(Body::Plain(NEW_ACCOUNT), r#"{"clock":{"now":"2019-11-25T12:53:02.741Z","frozen":true}}"#)
.codes(&[KEY_TAKEN]);
pub const SHOW_ACCOUNT: Operation =
    Operation::plain("getAccount", "Shows an account.", Key::OwnerOrAdmin, Answer::Json(200, one::<AccountDocument>()))
        .path(&[ID]);
pub const DELETE_ACCOUNT: Operation =
    Operation::plain("deleteAccount", "Deletes an account with its snapshots.", Key::OwnerOrAdmin, Answer::Empty)
        .path(&[ID])
        .empty_body();
