//! Takes every transition of both state machines over HTTP, and checks the printed machines.

use std::collections::BTreeSet;
use std::time::Duration;

use concierge_sandbox::concierge::machine::{Machine, Named};
use concierge_sandbox::concierge::{outputs, requests};
use serde_json::json;

use super::{draft, pay, set_to_work, thousand};
use crate::support::{Account, account, send};

/// Reads the transitions taken from the events of one resource type.
async fn taken<S: Named, T: Named>(
    account: &Account,
    resource_type: &str,
    prefix: &str,
    machine: &Machine<S, T>,
) -> BTreeSet<(String, String)> {
    let events: Vec<(i64, String)> =
        sqlx::query_as("select resource_id, event_type from events where resource_type = $1 order by resource_id, id")
            .bind(resource_type)
            .fetch_all(account.database())
            .await
            .unwrap();
    let mut transitions = BTreeSet::new();
    let mut before: Option<(i64, String)> = None;
    for (id, event) in events.into_iter().filter(|(_, event)| !event.ends_with("_created")) {
        let from = match before {
            Some((last, state)) if last == id => state,
            _ => machine.states[0].name().to_owned(),
        };
        let to = event.strip_prefix(prefix).unwrap().to_owned();
        if to != machine.states[0].name() {
            transitions.insert((from, to.clone()));
        }
        before = Some((id, to));
    }
    transitions
}

/// Lists the transitions of a machine.
fn declared<S: Named, T: Named>(machine: &Machine<S, T>) -> BTreeSet<(String, String)> {
    machine.transitions.iter().map(|step| (step.from.name().to_owned(), step.to.name().to_owned())).collect()
}

#[tokio::test]
async fn every_transition_is_reached_over_http() {
    account(async |s| {
        for label in ["", "sandbox:rejected", "sandbox:failed", "sandbox:cancelled"] {
            pay(s, "1010", label, thousand()).await;
        }
        s.advance(Duration::from_secs(1)).await;
        set_to_work(s, "1010").await;
        // cancelled by the user in each allowed state, with accepted and unaccepted outputs
        let abroad = json!({"port_code": "us_usd", "amount": 1});
        let drafted = draft(s, "ar_ars").await;
        pay(s, &drafted, "", abroad.clone()).await;
        let requested = draft(s, "ar_ars").await;
        let quoted = draft(s, "ar_ars").await;
        for request in [&requested, &quoted] {
            pay(s, request, "", abroad.clone()).await;
        }
        s.act(&quoted, "request_quote").await.expect(200);
        s.advance(Duration::from_secs(1)).await;
        s.act(&requested, "request_quote").await.expect(200);
        pay(s, &drafted, "", abroad).await;
        for (request, state) in [(&drafted, "draft"), (&requested, "quote_requested"), (&quoted, "quoted")] {
            assert_eq!(s.attributes_of(request).await["state"], state);
            let cancelled = s.act(request, "cancel").await.expect(200);
            assert_eq!(cancelled["data"]["attributes"]["cancellation_reason"], "cancelled_by_user");
        }
        // left without action: as a draft, quoted, and accepted without money
        let (left, ignored, poor) = (draft(s, "ar_ars").await, draft(s, "ar_ars").await, draft(s, "uy_uyu").await);
        for request in [&left, &ignored, &poor] {
            pay(s, request, "", thousand()).await;
        }
        for request in [&ignored, &poor] {
            s.act(request, "request_quote").await.expect(200);
        }
        s.tick().await;
        s.act(&poor, "accept_quote").await.expect(200);
        s.advance(Duration::from_hours(31 * 24)).await;
        for (request, reason) in
            [(left, "draft_was_pruned"), (ignored, "quote_not_accepted"), (poor, "payment_not_received")]
        {
            assert_eq!(s.attributes_of(&request).await["cancellation_reason"], reason);
        }
        assert_eq!(s.attributes_of("1010").await["state"], "finished");

        let machine = &outputs::state::MACHINE;
        let found = taken(s, "concierge_request_outputs", "concierge_request_output_", machine).await;
        assert_eq!(found, declared(machine));
        let machine = &requests::state::MACHINE;
        assert_eq!(taken(s, "concierge_requests", "concierge_request_", machine).await, declared(machine));
    })
    .await;
}

#[tokio::test]
async fn state_machines_are_printed_from_their_tables() {
    account(async |s| {
        let open = async |path: &str| s.client.get(s.url(path)).send().await.unwrap();
        for (name, mermaid, json) in [
            ("requests", include_str!("../snapshots/requests.mmd"), include_str!("../snapshots/requests.json")),
            ("outputs", include_str!("../snapshots/outputs.mmd"), include_str!("../snapshots/outputs.json")),
        ] {
            let path = format!("/_sandbox/state_machines/{name}");
            let printed = open(&format!("{path}?format=mermaid")).await;
            assert_eq!(printed.headers()["content-type"], "text/vnd.mermaid; charset=utf-8");
            assert_eq!(printed.text().await.unwrap(), mermaid, "a changed machine is a changed contract");
            for path in [path.clone(), format!("{path}?format=json")] {
                let printed = open(&path).await;
                assert_eq!(printed.headers()["content-type"], "application/json");
                let printed: serde_json::Value = printed.json().await.unwrap();
                assert_eq!(format!("{printed:#}\n"), json, "a changed machine is a changed contract");
            }
            let bad = |query: &str| send(s.client.get(s.url(&format!("{path}?{query}"))));
            bad("format=svg").await.assert_error(400, "parameter_invalid", "format");
            bad("shape=round").await.assert_error(400, "parameter_unknown", "shape");
        }
        let unknown = send(s.client.get(s.url("/_sandbox/state_machines/users"))).await;
        unknown.assert_error(404, "resource_not_found", "");
    })
    .await;
}
