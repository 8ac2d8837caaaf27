//! Changes of whole accounts under load.

use reqwest::Method;
use serde_json::json;

use crate::clients::Called;
use crate::journal::{Change, Span};
use crate::stage::{KEYS, Stage};

/// The account that is replaced; the other one stays as it is.
const REPLACED: usize = 1;
/// The account with a receiver, and the one without, while clocks are advanced.
const TOLD: usize = 0;
const UNTOLD: usize = 1;

/// Takes a snapshot, resets, restores, deletes, and makes the account anew.
pub async fn replaced(stage: &mut Stage) {
    for round in 0..stage.scale.rounds {
        let name = format!("round-{round}");
        stage.writes(stage.scale.writes).await;
        let taken = post(stage, "/_sandbox/snapshots", &json!({"name": name}).to_string()).await;
        note(stage, Change::Snapshot(name.clone()), taken.during);

        stage.writes(stage.scale.writes).await;
        let reset = post(stage, "/_sandbox/reset", "").await;
        note(stage, Change::Fresh, reset.during);
        stage.listen(REPLACED).await;

        stage.writes(stage.scale.writes).await;
        let restored = post(stage, &format!("/_sandbox/snapshots/{name}/restore"), "").await;
        note(stage, Change::Restored(name), restored.during);

        if round % 2 == 0 {
            stage.writes(stage.scale.writes).await;
            let deleted = stage.command(REPLACED, Method::DELETE, "/_sandbox/accounts/me", "").await;
            let made = post(stage, "/_sandbox/accounts", &json!({"key": KEYS[REPLACED]}).to_string()).await;
            note(stage, Change::Fresh, Span { begun: deleted.during.begun, ended: made.during.ended });
            stage.listen(REPLACED).await;
        }
    }
}

async fn post(stage: &mut Stage, path: &str, body: &str) -> Called {
    stage.command(REPLACED, Method::POST, path, body).await
}

fn note(stage: &Stage, change: Change, during: Span) {
    stage.journals[REPLACED].changed(change, during);
}

/// Advances the clocks of both accounts.
///
/// Steps are long: an advance goes from one due instant to the next, and the load makes new ones all the time.
pub async fn advanced(stage: &mut Stage) {
    let slow = json!({"check_delay": "5s", "quote_delay": "5s", "step_delay": "5s"}).to_string();
    for account in 0..KEYS.len() {
        stage.command(account, Method::PATCH, "/_sandbox/settings", &slow).await;
    }
    for _ in 0..stage.scale.rounds.div_ceil(2) {
        for (account, seconds) in [(TOLD, 20), (UNTOLD, 40)] {
            stage.writes(stage.scale.writes).await;
            let by = format!("{}s", seconds + stage.random.below(20));
            stage.command(account, Method::POST, "/_sandbox/clock/advance", &json!({ "by": by }).to_string()).await;
        }
    }
    // the rest of the work needs no advance
    let short = json!({"check_delay": null, "quote_delay": null, "step_delay": null}).to_string();
    for account in 0..KEYS.len() {
        stage.command(account, Method::PATCH, "/_sandbox/settings", &short).await;
    }
}
