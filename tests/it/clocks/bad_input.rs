//! Refused calls on a clock, and the latest instant of a clock.

use serde_json::{Value, json};

use super::{ADVANCE, CLOCK, frozen_account};
use crate::support::{Account, account};

const SET: &str = "/_sandbox/clock/set";

#[tokio::test]
async fn clock_advance_rejects_past_instants_and_bad_input() {
    account(async |s| {
        let account = frozen_account(s).await;
        account.create_output().await;
        let before = account.get(CLOCK).await.expect(200);
        for by in [
            "-PT1S",
            "-1s",
            "P1M",
            "P1Y",
            "P1Y2D",
            "PT",
            "P",
            "",
            "1",
            "48",
            "soon",
            "PT0.0001S",
            "1us",
            "P3661D",
            "9999999999h",
        ] {
            account.post(ADVANCE, &json!({ "by": by })).await.assert_error(422, "attribute_invalid", "/by");
        }
        for by in [json!(48), json!(true), json!({"hours": 48}), json!(["PT48H"])] {
            account.post(ADVANCE, &json!({ "by": by })).await.assert_error(422, "attribute_invalid", "/by");
        }
        for to in [
            "2019-11-26",
            "2019-11-26T12:00:00",
            "2019-11-26 12:00",
            "tomorrow",
            "2019-13-26T12:00:00Z",
            "2019-11-26T12:00:00[Europe/Paris]",
            "2019-11-26T12:00:00 CET",
            "2029-12-04T00:00:00Z",
            "9999-01-01T00:00:00Z",
        ] {
            for path in [ADVANCE, SET] {
                account.post(path, &json!({ "to": to })).await.assert_error(422, "attribute_invalid", "/to");
            }
        }
        // a millisecond back, the same in another time zone, and a century back
        for to in ["2019-11-25T12:53:02.740Z", "2019-11-25T13:53:02.740+01:00", "1919-11-25T12:53:02.741Z"] {
            for path in [ADVANCE, SET] {
                account.post(path, &json!({ "to": to })).await.assert_error(422, "clock_backwards", "/to");
            }
        }
        for (path, body, code, pointer) in [
            (ADVANCE, json!({}), "attribute_missing", ""),
            (ADVANCE, json!({"by": null, "to": null}), "attribute_missing", ""),
            (ADVANCE, json!({"by": "PT1S", "to": "2019-11-26T12:00:00Z"}), "attribute_invalid", "/to"),
            (ADVANCE, json!({"by": "PT1S", "speed": 2}), "attribute_unknown", "/speed"),
            (ADVANCE, json!({"by": "PT1S", "frozen": true}), "attribute_unknown", "/frozen"),
            (SET, json!({}), "attribute_missing", ""),
            (SET, json!({"frozen": true}), "attribute_missing", ""),
            (SET, json!({"by": "PT1S", "to": "2019-11-26T12:00:00Z"}), "attribute_unknown", "/by"),
            (SET, json!({"to": "2019-11-26T12:00:00Z", "frozen": "no"}), "attribute_invalid", "/frozen"),
            ("/_sandbox/clock/freeze", json!({"at": "2019-11-26T12:00:00Z"}), "attribute_unknown", "/at"),
            ("/_sandbox/clock/resume", json!({"speed": 2}), "attribute_unknown", "/speed"),
        ] {
            account.post(path, &body).await.assert_error(422, code, pointer);
        }
        for path in [ADVANCE, SET, "/_sandbox/clock/freeze", "/_sandbox/clock/resume", "/_sandbox/settle"] {
            account.post(path, &json!(["PT1S"])).await.assert_error(400, "document_invalid", "");
            account.post(&format!("{path}?by=PT1S"), &json!({})).await.assert_error(400, "parameter_unknown", "by");
            account.get(path).await.assert_error(405, "method_not_allowed", "");
            let read_only = Account::of(&s.url(""), &account.read_only_key);
            let answer = read_only.post(path, &json!({"by": "PT1S"})).await;
            answer.assert_error(401, "not_enough_permissions", "Authorization");
            let stranger = Account::of(&s.url(""), "nobody's");
            stranger.post(path, &json!({})).await.assert_error(401, "invalid_api_key", "Authorization");
        }
        let read_only = Account::of(&s.url(""), &account.read_only_key);
        assert_eq!(read_only.get(CLOCK).await.expect(200), before, "a read-only key can read the clock");
        assert_eq!(account.state_of("32323").await, "accepting");
    })
    .await;
}

#[tokio::test]
async fn running_clock_keeps_running_after_a_refused_advance() {
    account(async |s| {
        let account = s.account(json!({})).await;
        account.post(SET, &json!({"to": "2001-01-01T00:00:00Z"})).await.assert_error(422, "clock_backwards", "/to");
        account.post(ADVANCE, &json!({"to": "2100-01-01T00:00:00Z"})).await.assert_error(
            422,
            "attribute_invalid",
            "/to",
        );
        assert_eq!(account.get(CLOCK).await.expect(200)["frozen"], Value::Bool(false));
    })
    .await;
}

#[tokio::test]
async fn clock_advance_and_settle_stop_before_year_9000() {
    account(async |s| {
        let account = s.account(json!({"clock": {"now": "8990-01-01T00:00:00Z"}})).await;
        account.create_output().await;
        account.post(ADVANCE, &json!({"by": "P3650D"})).await.expect(200);
        account.post(ADVANCE, &json!({"by": "P3650D"})).await.assert_error(422, "attribute_invalid", "/by");
        account.create("/api/users", &json!({"data": {"type": "users"}})).await;
        // steps of `settle` stop there, too
        account.patch("/_sandbox/settings", &json!({"approval_delay": "P3660D"})).await.expect(200);
        for _ in 0..3 {
            account.create("/api/users", &json!({"data": {"type": "users"}})).await;
            account.post("/_sandbox/settle", &json!({"within": "P3660D"})).await.expect(200);
        }
        assert!(*account.now().await < *"9000", "{}", account.now().await);
        assert_eq!(account.state_of("32323").await, "cancelled", "its draft was pruned much earlier");
        account.post("/_sandbox/clock/resume", &json!({})).await.expect(200);
        account.create("/api/users", &json!({"data": {"type": "users"}})).await;
        s.tell(std::time::Duration::from_secs(1)).await;
        // a running clock reaches the limit without an advance
        let account = s.account(json!({"clock": {"now": "8999-12-31T23:59:59Z", "frozen": false}})).await;
        s.tell(std::time::Duration::from_secs(2)).await;
        account.settle().await;
    })
    .await;
}
