//! The header `Prefer: code=503`: a request asks for its own error.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{OUTPUTS, hits, put};
use crate::support::{Account, account, documented_output, send};

fn preferring(account: &Account, method: Method, path: &str, prefer: &str) -> RequestBuilder {
    account.request(method, path).header("Prefer", prefer)
}

#[tokio::test]
async fn prefer_code_answers_the_requested_error() {
    account(async |s| {
        for (prefer, status) in [
            ("code=503", 503),
            ("code=\"404\"", 404),
            ("Code=400", 400),
            ("respond-async, code=599; why=\"a, code=500\", wait=10", 599),
            ("return=minimal; code=500, code = 422", 422),
            ("x=\"a\\\", code=500\", code=451", 451),
            ("code=500, code=501", 500),
        ] {
            let request = preferring(s, Method::POST, OUTPUTS, prefer).json(&documented_output());
            let answer = send(request).await;
            answer.assert_error(status, "fault_injected", "");
            assert_eq!(answer.headers["preference-applied"], format!("code={status}"), "{prefer}");
        }
        let several = s.request(Method::GET, OUTPUTS).header("Prefer", "wait=1").header("Prefer", "code=502");
        send(several).await.assert_error(502, "fault_injected", "");
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 0);
    })
    .await;
}

#[tokio::test]
async fn other_preferences_have_no_effect() {
    account(async |s| {
        for prefer in
            ["", "respond-async", "return=minimal", "wait=10, handling=lenient", "codes=503", "x; code=503", ",,"]
        {
            let answer = send(preferring(s, Method::GET, "/api/users", prefer)).await;
            assert_eq!(answer.headers.get("preference-applied"), None, "{prefer}");
            answer.expect(200);
        }
        let prefer = reqwest::header::HeaderValue::from_bytes(b"code=\xff").unwrap();
        send(s.request(Method::GET, "/api/users").header("Prefer", prefer)).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn prefer_code_rejects_statuses_below_400_and_above_599() {
    account(async |s| {
        for prefer in
            ["code=200", "code=399", "code=600", "code=0503", "code=-503", "code=+50", "code=", "code", "code=x"]
        {
            let request = preferring(s, Method::POST, OUTPUTS, prefer).json(&documented_output());
            send(request).await.assert_error(400, "header_invalid", "Prefer");
        }
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 0);
    })
    .await;
}

#[tokio::test]
async fn prefer_code_needs_no_key_and_counts_no_fault() {
    account(async |s| {
        put(s, &json!([{"path": "/api/**", "status": 500}])).await.expect(200);
        for path in ["/api/users", "/api/concierge_ports", "/api/nowhere"] {
            let stranger = s.client.get(s.url(path)).header("Prefer", "code=502");
            send(stranger).await.assert_error(502, "fault_injected", "");
            send(preferring(s, Method::GET, path, "code=503")).await.assert_error(503, "fault_injected", "");
        }
        assert_eq!(hits(s).await, [0]);
        // the control plane ignores the header
        let faults: Value = send(preferring(s, Method::GET, super::PATH, "code=503")).await.expect(200);
        assert_eq!(faults["data"][0]["status"], 500);
    })
    .await;
}
