//! Consequences of a request's changes for its outputs, and of an output's changes for its request.

use std::time::Duration;

use serde_json::{Value, json};

use super::{draft, output, pay, set_to_work, thousand};
use crate::support::{account, sandbox_with};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn cancel_also_cancels_outputs_except_rejected_ones() {
    account(async |s| {
        let accepted = pay(s, "1010", "", thousand()).await;
        let rejected = pay(s, "1010", "sandbox:rejected", thousand()).await;
        s.advance(SECOND).await;
        let accepting = pay(s, "1010", "", thousand()).await;
        let elsewhere = draft(s, "ar_ars").await;
        let other = pay(s, &elsewhere, "", thousand()).await;
        let cancelled = s.act("1010", "cancel").await.expect(200)["data"]["attributes"].clone();
        assert_eq!(cancelled["state"], "cancelled");
        assert_eq!((&cancelled["outputs_cancelled"], &cancelled["outputs_rejected"]), (&json!(2), &json!(1)));
        s.advance(Duration::from_mins(1)).await;
        for (id, state) in
            [(&accepted, "cancelled"), (&rejected, "rejected"), (&accepting, "cancelled"), (&other, "accepted")]
        {
            assert_eq!(output(s, id).await["state"], state);
        }
        // the instruction of a cancelled output can be deleted
        let answer = s.delete("/api/withdrawal_instructions/2122").await;
        assert_eq!(answer.status, 204, "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn request_with_only_rejected_outputs_is_refunded_in_full() {
    account(async |s| {
        for _ in 0..2 {
            pay(s, "1010", "sandbox:rejected", thousand()).await;
        }
        s.advance(SECOND).await;
        set_to_work(s, "1010").await;
        let working = s.attributes_of("1010").await;
        assert_eq!(working["funds_available"], 1_000_000, "the money is taken and refunded");
        assert!(working["total_to_spend"].as_f64().unwrap() > 0.0, "{working}");
        s.advance(SECOND).await;
        let finished = s.attributes_of("1010").await;
        assert_eq!((&finished["state"], &finished["outputs_rejected"]), (&json!("finished"), &json!(2)));
        assert!(finished["credit_note_url"].is_string());
    })
    .await;
}

#[tokio::test]
async fn quote_and_funding_do_not_wait_for_checks() {
    sandbox_with(
        |config| config.check_delay = Duration::from_mins(1),
        async |s| {
            let passes = pay(s, "1010", "", thousand()).await;
            let fails = pay(s, "1010", "sandbox:rejected", thousand()).await;
            set_to_work(s, "1010").await;
            let total = s.attributes_of("1010").await["total_to_spend"].clone();
            let budgets = [output(s, &passes).await["budget"].clone(), output(s, &fails).await["budget"].clone()];
            assert!((budgets.iter().map(number).sum::<f64>() - number(&total)).abs() < 1e-6);
            s.advance(SECOND).await;
            assert_eq!(output(s, &passes).await["state"], "accepting");
            // checks end after funding: the accepted output starts, the rejected one is refunded at once
            s.advance(Duration::from_secs(59)).await;
            assert_eq!(output(s, &passes).await["state"], "accepted");
            assert_eq!(output(s, &fails).await["state"], "rejected");
            let shown = s.attributes_of("1010").await;
            let expected = 1_000_000.0 - number(&budgets[0]);
            assert!((number(&shown["funds_available"]) - expected).abs() < 1e-6, "{shown}");
            for state in ["working", "settling", "settled"] {
                s.advance(SECOND).await;
                assert_eq!(output(s, &passes).await["state"], state);
            }
            assert_eq!(s.attributes_of("1010").await["state"], "finished");
        },
    )
    .await;
}

#[tokio::test]
async fn request_finishes_when_its_last_output_is_rejected() {
    sandbox_with(
        |config| config.check_delay = Duration::from_mins(1),
        async |s| {
            pay(s, "1010", "sandbox:rejected", thousand()).await;
            set_to_work(s, "1010").await;
            s.advance(Duration::from_secs(30)).await;
            assert_eq!(s.attributes_of("1010").await["state"], "working");
            s.advance(Duration::from_secs(30)).await;
            let finished = s.attributes_of("1010").await;
            assert_eq!((&finished["state"], &finished["funds_available"]), (&json!("finished"), &json!(1_000_000)));
        },
    )
    .await;
}

#[tokio::test]
async fn unapproved_payee_delays_only_its_own_output() {
    sandbox_with(
        |config| config.approval_delay = Duration::from_mins(5),
        async |s| {
            let user = s.create("/api/users", &json!({"data": {"type": "users"}})).await;
            let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}},
            "relationships": {"user": {"data": {"type": "users", "id": user}}}}});
            let instruction = s.create("/api/withdrawal_instructions", &instruction).await;
            let mut document = crate::support::documented_output();
            document["data"]["relationships"]["user"]["data"]["id"] = json!(user);
            document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
            let held = s.create(super::OUTPUTS, &document).await;
            let free = s.create_output().await;
            s.advance(SECOND).await;
            set_to_work(s, "1010").await;
            s.advance(Duration::from_secs(5)).await;
            assert_eq!(output(s, &free).await["state"], "settled");
            assert_eq!(output(s, &held).await["state"], "accepting");
            assert_eq!(s.attributes_of("1010").await["state"], "working");
            s.advance(Duration::from_mins(6)).await;
            assert_eq!(output(s, &held).await["state"], "settled");
            assert_eq!(s.attributes_of("1010").await["state"], "finished");
        },
    )
    .await;
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}
