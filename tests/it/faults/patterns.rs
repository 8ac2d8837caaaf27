//! Patterns of faults: the paths and event types that they match.

use concierge_sandbox::api::ROUTES;
use concierge_sandbox::concierge::event_types;
use concierge_sandbox::faults::pattern::{EventPattern, PathPattern};
use reqwest::Method;
use serde_json::json;

use super::{hits, put};
use crate::support::{account, send};

/// Lists the paths of the API's routes that a pattern matches.
fn routes(pattern: &str) -> Vec<&'static str> {
    let pattern = PathPattern::read(pattern).unwrap();
    ROUTES.iter().map(|route| route.path).filter(|path| pattern.matches_template(path)).collect()
}

fn matches_any(pattern: &str) -> bool {
    let pattern = EventPattern::read(pattern).unwrap();
    event_types::NAMES.iter().any(|name| pattern.matches(name))
}

#[test]
fn path_pattern_matches_segment_by_segment() {
    for (pattern, path, matches) in [
        ("/api/users", "/api/users", true),
        ("/api/users/", "/api/users", true),
        ("/api/users", "/api/users/me", false),
        ("/api/users", "/api/user", false),
        ("/api/users", "/api", false),
        ("/api/users/me", "/api/users/me", true),
        ("/api/users/*", "/api/users/me", true),
        ("/api/users/{id}", "/api/users/20202", true),
        ("/api/users/*", "/api/users", false),
        ("/api/users/*", "/api/users/1/x", false),
        ("/api/users/**", "/api/users", true),
        ("/api/users/**", "/api/users/1/x", true),
        ("/api/users/**", "/api/usersx", false),
        ("/api/*/1010", "/api/concierge_requests/1010", true),
        ("/api/*/*/cancel", "/api/concierge_requests/1010/cancel", true),
        ("/api/*/**", "/api/users", true),
        ("/api/*/**", "/api", false),
        ("/api/**", "/api", true),
        ("/api/**", "/api/a/b/c/d/e", true),
        ("/api/us%20ers", "/api/us%20ers", true),
    ] {
        assert_eq!(PathPattern::read(pattern).unwrap().matches(path), matches, "{pattern} {path}");
    }
}

#[test]
fn invalid_patterns_are_rejected() {
    for pattern in [
        "",
        "/",
        "api/users",
        "/users",
        "/apiary",
        "/*/users",
        "/**",
        "/_sandbox/faults",
        "/api//users",
        "/api/**/users",
        "/api/us*",
        "/api/***",
        "/api/users?x=1",
        "/api/users#x",
        "/api/users/{id",
        "/api/us{id}",
        "/api/a b",
        "/api/é",
        "/api/{a}{b}",
        "/api/users//",
        &format!("/api/{}", "x".repeat(496)),
    ] {
        assert_eq!(PathPattern::read(pattern), None, "{pattern}");
    }
    assert!(PathPattern::read(&format!("/api/{}/", "x".repeat(495))).is_some());
    for pattern in ["", "User_*", "user-enabled", "user enabled", "user_?", &"x".repeat(101)] {
        assert_eq!(EventPattern::read(pattern), None, "{pattern}");
    }
}

#[test]
fn route_matches_its_own_path_and_the_wildcards() {
    for route in ROUTES {
        for pattern in [route.path, "/api/**", "/api/*/**"] {
            let matched: Vec<&str> = routes(pattern);
            assert!(matched.contains(&route.path), "{pattern}: {matched:?}");
        }
    }
    assert_eq!(routes("/api/users/20202"), ["/api/users/{id}"]);
    assert_eq!(routes("/api/*/*/cancel"), ["/api/concierge_requests/{id}/cancel"]);
    assert_eq!(routes("/api/outputs"), [""; 0]);
}

#[tokio::test]
async fn every_listed_route_exists() {
    account(async |s| {
        for route in ROUTES {
            let path = route.path.replace("{id}", "1").replace("{currency}", "usd");
            for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let status = send(s.request(method.clone(), &path)).await.status;
                // axum takes the most exact path: users/me has its own methods, apart from users/{id}
                assert_eq!(status != 405, route.methods().contains(&method.as_str()), "{method} {path}: {status}");
            }
        }
        put(s, &json!([{"path": "/api/**", "status": 500}])).await.expect(200);
        s.get("/api/users").await.assert_error(500, "fault_injected", "");
        assert_eq!(hits(s).await, [1]);
    })
    .await;
}

#[test]
fn event_pattern_matches_around_asterisks() {
    for (pattern, event_type, matches) in [
        ("user_enabled", "user_enabled", true),
        ("user_enabled", "user_enabledx", false),
        ("user_*", "user_enabled", true),
        ("*", "user_enabled", true),
        ("*_enabled", "user_enabled", true),
        ("*_enabled", "user_disabled", false),
        ("concierge_request_output_*", "concierge_request_output_settled", true),
        ("concierge_request_output_*", "concierge_request_cancelled", false),
        ("concierge_*_settl*", "concierge_request_output_settled", true),
        ("*e*e*e*", "user_enabled", true),
        ("*e*e*e*e*", "user_enabled", false),
        ("ab*ba", "aba", false),
        ("**user**", "user_enabled", true),
    ] {
        assert_eq!(EventPattern::read(pattern).unwrap().matches(event_type), matches, "{pattern} {event_type}");
    }
    for name in event_types::NAMES {
        assert!(matches_any(name), "{name}");
    }
    assert!(!matches_any("output_*"));
}
