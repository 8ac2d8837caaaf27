//! Calls from pages of other origins (CORS).

use concierge_sandbox::config::AccountPolicy;
use concierge_sandbox::web::cors::CrossOrigins;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode};
use serde_json::json;

use crate::support::{Account, Program, account, documented_output, sandbox_with, send, within};

const PAGE: &str = "http://localhost:3000";
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Sends the preflight of a call, without a key as browsers do.
async fn preflight(account: &Account, path: &str, origin: &str, headers: &str) -> Response {
    let request = account.client.request(Method::OPTIONS, account.url(path)).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", "PATCH");
    within(request.header("Access-Control-Request-Headers", headers).send()).await.unwrap()
}

/// Sends a GET of a page.
async fn from_page(account: &Account, path: &str, origin: &str) -> crate::support::Answer {
    send(account.request(Method::GET, path).header("Origin", origin)).await
}

fn allowed(headers: &HeaderMap) -> Option<&str> {
    headers.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap())
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap()).collect();
    lines.join(", ").to_ascii_lowercase()
}

fn listed() -> CrossOrigins {
    CrossOrigins::read("https://app.example.com, HTTP://Localhost:3000").unwrap()
}

#[tokio::test]
async fn no_origin_may_call_by_default() {
    account(async |s| {
        let answer = from_page(s, "/api/users", PAGE).await;
        assert_eq!((answer.status, allowed(&answer.headers)), (200, None));
        assert_eq!(text(&answer.headers, "vary"), "accept, prefer");
        let answer = preflight(s, "/api/users", PAGE, "authorization").await;
        assert_eq!((answer.status(), allowed(answer.headers())), (StatusCode::METHOD_NOT_ALLOWED, None));
    })
    .await;
}

#[tokio::test]
async fn preflight_is_answered_before_keys_limits_and_faults() {
    let change = |config: &mut concierge_sandbox::config::Config| {
        config.cors_origin = Some(listed());
        config.rate_limit = Some(1);
        config.accounts = AccountPolicy::Open;
    };
    sandbox_with(change, async |s| {
        let fault = json!({"data": [{"path": "/api/**", "status": 503}]});
        s.send(Method::PUT, "/_sandbox/faults", &fault).await.expect(200);
        let accounts = s.count("select count(*) from accounts").await;
        for path in ["/api/users/me", "/api/concierge_requests/1010/request_quote/", OUTPUTS, "/api/nowhere"] {
            for _ in 0..3 {
                let headers = "authorization,content-type,x-request-id,sandbox-outcome,prefer,version";
                let answer = preflight(s, path, PAGE, headers).await;
                assert_eq!((answer.status(), allowed(answer.headers())), (StatusCode::OK, Some(PAGE)), "{path}");
                assert_eq!(text(answer.headers(), "access-control-allow-headers"), headers);
                let methods = text(answer.headers(), "access-control-allow-methods");
                assert_eq!(methods, "get,head,post,patch,delete");
                assert!(text(answer.headers(), "vary").contains("origin"));
            }
        }
        // a browser could send a key with it, too
        let request = s.request(Method::OPTIONS, "/api/users").header("Origin", PAGE);
        let answer = within(request.header("Access-Control-Request-Method", "GET").send()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(s.count("select count(*) from accounts").await, accounts);
        let faults = s.get("/_sandbox/faults").await.expect(200);
        assert_eq!(faults.to_string().matches("\"hits\":0").count(), 1, "{faults}");
        assert_eq!(s.get("/_sandbox/requests").await.expect(200)["data"], json!([]));
        s.delete("/_sandbox/faults").await.expect(204);
        assert_eq!(from_page(s, "/api/users/me", PAGE).await.status, 200, "no preflight counts for the limit");
    })
    .await;
}

#[tokio::test]
async fn answers_to_allowed_pages_can_be_read() {
    sandbox_with(
        |config| config.cors_origin = Some(listed()),
        async |s| {
            let check = |headers: &HeaderMap| {
                assert_eq!(allowed(headers), Some(PAGE), "{headers:?}");
                assert_eq!(text(headers, "access-control-expose-headers"), "x-request-id,location,retry-after");
                assert!(text(headers, "vary").split(", ").any(|name| name == "origin"), "{headers:?}");
            };
            let request = s.request(Method::POST, OUTPUTS).header("Origin", PAGE);
            let request = request.header("Content-Type", "application/json").body(documented_output().to_string());
            let made = send(request).await;
            check(&made.headers);
            made.expect(201);
            for (path, status) in [("/api/users", 200), ("/api/nowhere", 404), ("/api/users/1", 404)] {
                let answer = from_page(s, path, PAGE).await;
                check(&answer.headers);
                assert_eq!(answer.status, status);
            }
            let stranger = send(s.client.get(s.url("/api/users")).header("Origin", PAGE)).await;
            check(&stranger.headers);
            stranger.assert_error(401, "invalid_api_key", "Authorization");
            let wrong = send(s.request(Method::DELETE, "/api/users").header("Origin", PAGE)).await;
            check(&wrong.headers);
            wrong.assert_error(405, "method_not_allowed", "");
            // without a method to ask for, it is no preflight
            let answer = send(s.request(Method::OPTIONS, "/api/users").header("Origin", PAGE)).await;
            answer.assert_error(405, "method_not_allowed", "");
            let fault = json!({"data": [{"path": "/api/users", "status": 503, "retry_after": 3}]});
            s.send(Method::PUT, "/_sandbox/faults", &fault).await.expect(200);
            let failed = from_page(s, "/api/users", PAGE).await;
            check(&failed.headers);
            failed.assert_error(503, "fault_injected", "");
            // receipts are pages of the API's answers
            check(&from_page(s, "/receipts/x", PAGE).await.headers);
            // the control plane is not for pages, and other pages for nobody
            for path in ["/_sandbox/settings", "/_sandbox/health/live", "/"] {
                assert_eq!(allowed(&from_page(s, path, PAGE).await.headers), None, "{path}");
            }
            assert_eq!(allowed(preflight(s, "/_sandbox/reset", PAGE, "authorization").await.headers()), None);
            for other in ["http://localhost:3001", "https://localhost:3000", "null", "http://localhost:3000.evil.test"]
            {
                let answer = from_page(s, "/api/cash_wallets", other).await;
                assert_eq!((answer.status, allowed(&answer.headers)), (200, None), "{other}");
                assert!(text(&answer.headers, "vary").contains("origin"), "a cache must keep this answer apart");
                assert_eq!(allowed(preflight(s, "/api/users", other, "authorization").await.headers()), None);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn asterisk_allows_every_page() {
    sandbox_with(
        |config| config.cors_origin = Some(CrossOrigins::Any),
        async |s| {
            for origin in [PAGE, "null", "https://any.test"] {
                let answer = from_page(s, "/api/users", origin).await;
                assert_eq!((answer.status, allowed(&answer.headers)), (200, Some("*")));
                assert!(!text(&answer.headers, "vary").contains("origin"), "the answer is the same for every page");
                assert_eq!(allowed(preflight(s, "/api/users", origin, "authorization").await.headers()), Some("*"));
            }
            assert_eq!(allowed(&from_page(s, "/_sandbox/settings", PAGE).await.headers), None);
        },
    )
    .await;
}

#[tokio::test]
async fn setting_that_is_no_origin_is_refused_at_start() {
    for (value, named) in [
        ("localhost:3000", "\"localhost:3000\""),
        ("http://a/b", "\"http://a/b\""),
        ("http://a/", "\"http://a/\""),
        ("http://a?b", "\"http://a?b\""),
        ("http://user@a", "\"http://user@a\""),
        ("http://", "\"http://\""),
        ("ftp://a", "\"ftp://a\""),
        ("null", "\"null\""),
        ("", "\"\""),
        ("https://a.test,", "\"\""),
        ("https://a.test,b.test", "\"b.test\""),
        ("https://*.a.test", "\"https://*.a.test\""),
        ("*,https://a.test", "\"*\""),
        ("https://a.test, *", "\"*\""),
    ] {
        let ended = Program::run(&[&format!("--cors-origin={value}")], &[]).ended().await;
        assert_eq!((ended.status.code(), ended.stdout.len()), (Some(2), 0), "{ended:?}");
        let message = ended.stderr.join("\n");
        assert!(message.contains("--cors-origin") && message.contains(named), "{message}");
        let example = if named == "\"*\"" { "must stand alone" } else { "must be like http://localhost:3000" };
        assert!(message.contains(example), "{message}");
    }
}
