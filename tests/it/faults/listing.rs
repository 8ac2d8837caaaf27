//! Lists of faults: accepted and rejected ones, with all errors at once.

use reqwest::Method;
use serde_json::{Value, json};

use super::{PATH, hits, put, put_text, shown, with_key};
use crate::support::{account, send};

#[tokio::test]
async fn list_shows_faults_with_their_hits() {
    account(async |s| {
        assert_eq!(shown(s).await, [] as [Value; 0]);
        let faults = json!([
            {"method": "POST", "path": "/api/concierge_request_outputs/", "status": 503, "retry_after": 3, "times": 2,
                "after": 1},
            {"path": "/api/users/{id}", "latency": "1500ms"},
            {"path": "/api/**", "close": true, "latency": "60s"},
            {"path": "/api/users/*", "reset": "after"},
            {"method": "HEAD", "path": "/api/users", "truncate": true, "status": null, "after": 0},
            {"webhook": "concierge_request_output_*", "delay": "90s", "times": 1},
            {"webhook": "*", "bad_auth": true},
        ]);
        let expected = json!([
            {"method": "POST", "path": "/api/concierge_request_outputs", "status": 503, "retry_after": 3, "times": 2,
                "after": 1, "hits": 0, "remaining": 2},
            {"path": "/api/users/{id}", "latency": "1s 500ms", "hits": 0, "remaining": null},
            {"path": "/api/**", "latency": "1m", "close": "before", "hits": 0, "remaining": null},
            {"path": "/api/users/*", "reset": "after", "hits": 0, "remaining": null},
            {"method": "HEAD", "path": "/api/users", "truncate": true, "hits": 0, "remaining": null},
            {"webhook": "concierge_request_output_*", "delay": "1m 30s", "times": 1, "hits": 0, "remaining": 1},
            {"webhook": "*", "bad_auth": true, "hits": 0, "remaining": null},
        ]);
        let answer = put(s, &faults).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.expect(200)["data"], expected);
        assert_eq!(json!(shown(s).await), expected);
        // the shown list can be sent again
        put(s, &expected).await.expect(200);
        assert_eq!(json!(shown(s).await), expected);
        s.delete(PATH).await.expect(204);
        s.delete(PATH).await.expect(204);
        assert_eq!(shown(s).await, [] as [Value; 0]);
    })
    .await;
}

#[tokio::test]
async fn invalid_fault_is_rejected_with_its_pointer() {
    account(async |s| {
        let users = |more: Value| {
            let mut fault = json!({"path": "/api/users"});
            fault.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
            fault
        };
        let status = |more: Value| {
            let mut fault = users(more);
            fault["status"] = json!(500);
            fault
        };
        let (invalid, missing, nothing) = ("attribute_invalid", "attribute_missing", "fault_matches_nothing");
        for (fault, code, at) in [
            (json!(null), invalid, ""),
            (json!("x"), invalid, ""),
            (json!([]), invalid, ""),
            (json!({"status": 500}), missing, ""),
            (users(json!({})), missing, ""),
            (users(json!({"status": null, "close": null})), missing, ""),
            (users(json!({"status": 200})), invalid, "/status"),
            (users(json!({"status": 399})), invalid, "/status"),
            (users(json!({"status": 600})), invalid, "/status"),
            (users(json!({"status": -503})), invalid, "/status"),
            (users(json!({"status": 503.5})), invalid, "/status"),
            (users(json!({"status": "503"})), invalid, "/status"),
            (users(json!({"status": 99_999_999_999_999_999_999_f64})), invalid, "/status"),
            (status(json!({"retry_after": -1})), invalid, "/retry_after"),
            (status(json!({"retry_after": 86_401})), invalid, "/retry_after"),
            (users(json!({"close": true, "retry_after": 1})), invalid, "/retry_after"),
            (users(json!({"latency": "61s"})), invalid, "/latency"),
            (users(json!({"latency": "-1s"})), invalid, "/latency"),
            (users(json!({"latency": "250"})), invalid, "/latency"),
            (users(json!({"latency": 250})), invalid, "/latency"),
            (users(json!({"latency": ""})), invalid, "/latency"),
            (users(json!({"close": false})), invalid, "/close"),
            (users(json!({"close": "during"})), invalid, "/close"),
            (users(json!({"reset": 1})), invalid, "/reset"),
            (users(json!({"truncate": "before"})), invalid, "/truncate"),
            (users(json!({"truncate": false})), invalid, "/truncate"),
            (status(json!({"close": true})), invalid, "/close"),
            (users(json!({"reset": true, "truncate": true})), invalid, "/reset"),
            (status(json!({"times": 0})), invalid, "/times"),
            (status(json!({"times": -2})), invalid, "/times"),
            (status(json!({"times": "2"})), invalid, "/times"),
            (status(json!({"times": 1_000_000_001})), invalid, "/times"),
            (status(json!({"after": -1})), invalid, "/after"),
            (status(json!({"after": 0.5})), invalid, "/after"),
            (status(json!({"latancy": "1s"})), invalid, "/latancy"),
            (status(json!({"a/b~": 1})), invalid, "/a~1b~0"),
            (status(json!({"drop": true})), invalid, "/drop"),
            (status(json!({"method": "get"})), invalid, "/method"),
            (status(json!({"method": "BREW"})), invalid, "/method"),
            (status(json!({"method": ["GET"]})), invalid, "/method"),
            (status(json!({"method": "DELETE"})), nothing, "/method"),
            (status(json!({"path": "/api/concierge_estimates", "method": "HEAD"})), nothing, "/method"),
            (status(json!({"path": "/api/users/me", "method": "POST"})), nothing, "/method"),
            (status(json!({"path": "/api"})), nothing, "/path"),
            (status(json!({"path": "/api/outputs"})), nothing, "/path"),
            (status(json!({"path": "/api/users/1/2"})), nothing, "/path"),
            (status(json!({"path": "/api/users/1/2/**"})), nothing, "/path"),
            (status(json!({"path": "/api/concierge_requests/*/accept"})), nothing, "/path"),
            (status(json!({"path": "/_sandbox/faults"})), invalid, "/path"),
            (status(json!({"path": "/api/users?x"})), invalid, "/path"),
            (status(json!({"path": "/api/us*"})), invalid, "/path"),
            (status(json!({"path": 1})), invalid, "/path"),
            (json!({"webhook": "*"}), missing, ""),
            (json!({"webhook": "output_*", "drop": true}), nothing, "/webhook"),
            (json!({"webhook": "USER", "drop": true}), invalid, "/webhook"),
            (json!({"webhook": "*", "drop": true, "delay": "1s"}), invalid, "/drop"),
            (json!({"webhook": "*", "delay": "721h"}), invalid, "/delay"),
            (json!({"webhook": "*", "drop": true, "path": "/api/users"}), invalid, "/path"),
            (json!({"webhook": "*", "drop": true, "status": 500}), invalid, "/status"),
            (json!({"webhook": "*", "drop": 1}), invalid, "/drop"),
        ] {
            let answer = put(s, &json!([{"path": "/api/users", "status": 500}, fault])).await;
            answer.assert_error(422, code, &format!("/data/1{at}"));
        }
        assert_eq!(shown(s).await, [] as [Value; 0], "no fault was stored");
    })
    .await;
}

#[tokio::test]
async fn all_errors_are_reported_at_once() {
    account(async |s| {
        put(s, &json!([{"path": "/api/users", "status": 500}])).await.expect(200);
        let body = json!({"data": [
            {"path": "/api/outputs", "status": 200, "times": -1, "wait": "1s"},
            {"method": "PUT"},
            7,
            {"webhook": "x", "drop": true},
        ], "mode": "strict"});
        let answer = put_text(s, body.to_string()).await;
        assert_eq!(answer.status, 422);
        let found: Vec<(String, String)> = answer.errors().into_iter().map(|(_, code, at)| (code, at)).collect();
        let expected = [
            ("attribute_invalid", "/mode"),
            ("attribute_invalid", "/data/0/times"),
            ("attribute_invalid", "/data/0/wait"),
            ("attribute_invalid", "/data/0/status"),
            ("fault_matches_nothing", "/data/0/path"),
            ("attribute_missing", "/data/1"),
            ("attribute_invalid", "/data/1/method"),
            ("attribute_missing", "/data/1"),
            ("attribute_invalid", "/data/2"),
            ("fault_matches_nothing", "/data/3/webhook"),
        ];
        assert_eq!(found, expected.map(|(code, at)| (code.to_owned(), at.to_owned())));
        // the earlier list is still there
        assert_eq!(shown(s).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn bodies_without_a_valid_list_are_rejected() {
    account(async |s| {
        for (body, code, at) in [
            ("", "json_invalid", ""),
            ("{", "json_invalid", ""),
            ("[]", "document_invalid", ""),
            ("null", "document_invalid", ""),
            ("{}", "document_invalid", ""),
            ("{\"data\":null}", "document_invalid", "/data"),
            ("{\"data\":{}}", "document_invalid", "/data"),
            ("{\"data\":[],\"data\":[]}", "json_invalid", ""),
        ] {
            put_text(s, body).await.assert_error(400, code, at);
        }
        let fault = json!({"path": "/api/users", "status": 500});
        put(s, &json!(vec![fault.clone(); 100])).await.expect(200);
        put(s, &json!(vec![fault.clone(); 101])).await.assert_error(422, "attribute_invalid", "/data");
        // megabytes of faults
        let many = json!(vec![json!({"path": "/api/users", "status": 1, "times": -1}); 15_000]);
        let answer = put(s, &many).await;
        assert_eq!((answer.status, answer.errors().len()), (422, 100));
        let mut fault = json!({"path": "/api/users", "status": 500});
        fault.as_object_mut().unwrap().extend((0..50_000).map(|number| (format!("m{number}"), json!(1))));
        let answer = put(s, &json!([fault])).await;
        assert_eq!((answer.status, answer.errors().len()), (422, 100));
        put_text(s, " ".repeat(3 << 20)).await.assert_error(413, "body_too_large", "");
        let long = json!([{"path": format!("/api/{}", "x/".repeat(300_000)), "status": 500}]);
        put(s, &long).await.assert_error(422, "attribute_invalid", "/data/0/path");
        let text = send(s.request(Method::PUT, PATH).header("Content-Type", "text/plain").body("{}")).await;
        text.assert_error(415, "media_type_unsupported", "Content-Type");
        s.post(PATH, &json!({})).await.assert_error(405, "method_not_allowed", "");
        assert_eq!(hits(s).await.len(), 100);
    })
    .await;
}

#[tokio::test]
async fn read_only_key_may_only_read() {
    account(async |s| {
        with_key(s, &s.read_only_key, Method::GET, PATH).await.expect(200);
        for (key, code) in [(&*s.read_only_key, "not_enough_permissions"), ("nope", "invalid_api_key")] {
            for method in [Method::PUT, Method::DELETE] {
                // the key is checked before the body
                with_key(s, key, method, PATH).await.assert_error(401, code, "Authorization");
            }
        }
        with_key(s, "nope", Method::GET, PATH).await.assert_error(401, "invalid_api_key", "Authorization");
    })
    .await;
}
