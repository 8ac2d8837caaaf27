//! Pages in a browser: which hosts the server answers for, and which origins may call the control plane.

use concierge_sandbox::web::cors::CrossOrigins;
use concierge_sandbox::web::host::AllowedHosts;
use reqwest::Method;
use serde_json::json;

use crate::support::{Account, Answer, account, sandbox_with, send};

const ACCOUNTS: &str = "/_sandbox/accounts";
const ME: &str = "/api/users/me";

/// Sends a request with further headers.
async fn call(account: &Account, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = account.request(method, path);
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

async fn at_host(account: &Account, host: &str) -> Answer {
    call(account, Method::GET, ME, &[("Host", host)]).await
}

#[tokio::test]
async fn only_hosts_that_no_stranger_owns_are_answered() {
    account(async |s| {
        for host in [
            "localhost",
            "LocalHost:8080",
            "localhost.",
            "127.0.0.1:80",
            "127.1",
            "192.168.0.7:8080",
            "[::1]:8080",
            "sandbox",
            "my_app:3000",
            "app.localhost",
            "printer.local",
            "host.docker.internal:8080",
            "sandbox.test",
            "nas.home.arpa",
            "sandbox.team.svc",
            "sandbox.team.svc.cluster.local",
        ] {
            at_host(s, host).await.expect(200);
        }
        for host in ["evil.example", "localhost.evil.example:8080", "evil.example."] {
            let answer = at_host(s, host).await;
            answer.assert_error(421, "host_not_allowed", "Host");
            let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
            assert!(detail.contains("--allowed-hosts") && detail.starts_with("`Host` is"), "{detail}");
        }
        for host in ["myinternal.example", "mytest.org", "evil.xlocal", "1.2.3.4.nip.io"] {
            at_host(s, host).await.assert_error(421, "host_not_allowed", "Host");
        }
        for host in ["a b", "x:y", "a/b"] {
            at_host(s, host).await.assert_error(400, "header_invalid", "Host");
        }
        // every path, with a key or without, and nothing is done
        for (method, path) in [
            (Method::GET, "/_sandbox/health/live"),
            (Method::GET, "/_sandbox/docs"),
            (Method::GET, "/receipts/x"),
            (Method::DELETE, "/_sandbox/accounts/me"),
        ] {
            let answer = call(s, method, path, &[("Host", "evil.example")]).await;
            assert_eq!(answer.status, 421, "{path}: {answer:?}");
        }
        at_host(s, "localhost").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn further_hosts_are_allowed_by_a_setting() {
    let allow = |hosts: &str| AllowedHosts::read(hosts).unwrap();
    for (hosts, allowed, refused) in [
        ("sandbox.example.com", vec!["Sandbox.Example.com:8080", "public.example.org"], vec!["a.sandbox.example.com"]),
        ("a.example, *.ci.example.com", vec!["a.example", "job-7.ci.example.com"], vec!["ci.example.com", "b.example"]),
        ("*", vec!["evil.example"], vec![]),
    ] {
        let hosts = allow(hosts);
        sandbox_with(
            |config| {
                config.allowed_hosts = Some(hosts);
                config.public_url = Some("https://public.example.org/sandbox".to_owned());
            },
            async |s| {
                for host in allowed {
                    at_host(s, host).await.expect(200);
                }
                for host in refused {
                    at_host(s, host).await.assert_error(421, "host_not_allowed", "Host");
                }
            },
        )
        .await;
    }
    for (text, expected) in [
        ("*, a.example", "must stand alone"),
        ("a.example:80", "without a port"),
        ("https://a.example", "no host"),
        ("", "no host"),
        ("*.", "no host"),
    ] {
        assert!(AllowedHosts::read(text).unwrap_err().contains(expected), "{text}");
    }
}

#[tokio::test]
async fn control_plane_refuses_pages_of_other_origins() {
    account(async |s| {
        let port = s.url("").rsplit_once(':').unwrap().1.to_owned();
        let own = s.url("");
        let other_port = "http://127.0.0.1:1".to_owned();
        let other_name = format!("http://localhost:{port}");
        let other_scheme = format!("https://127.0.0.1:{port}");
        for origin in ["https://evil.example", "null", "file://", "", &other_port, &other_name, &other_scheme] {
            for (method, path) in
                [(Method::POST, ACCOUNTS), (Method::GET, ACCOUNTS), (Method::DELETE, "/_sandbox/faults")]
            {
                let answer = call(s, method, path, &[("Origin", origin)]).await;
                answer.assert_error(403, "origin_not_allowed", "Origin");
                let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
                assert!(detail.contains("--cors-origin") && detail.contains("--public-url"), "{detail}");
            }
        }
        // an older browser sends less, a program nothing
        let cross = [("Sec-Fetch-Site", "cross-site")];
        let answer = call(s, Method::POST, "/_sandbox/reset", &cross).await;
        answer.assert_error(403, "origin_not_allowed", "Sec-Fetch-Site");
        call(s, Method::GET, "/_sandbox/openapi.json", &cross).await.assert_error(
            403,
            "origin_not_allowed",
            "Sec-Fetch-Site",
        );
        for headers in [
            vec![("Origin", own.as_str())],
            vec![("Sec-Fetch-Site", "same-origin")],
            vec![("Sec-Fetch-Site", "none")],
            vec![("Sec-Fetch-Mode", "cors")],
            // a person follows a link
            vec![("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
        ] {
            let answer = call(s, Method::GET, "/_sandbox/docs", &headers).await;
            assert_eq!(answer.status, 200, "{headers:?}");
        }
        // a frame shows the page of somebody else
        let framed = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")];
        call(s, Method::GET, "/_sandbox/docs", &framed).await.assert_error(403, "origin_not_allowed", "Sec-Fetch-Site");
        // the API needs a key, which a page of another origin can't send without leave
        call(s, Method::GET, ME, &[("Origin", "https://evil.example")]).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn origins_of_the_settings_may_call_the_control_plane() {
    let listed = CrossOrigins::read("http://localhost:3000").unwrap();
    sandbox_with(
        |config| {
            config.cors_origin = Some(listed);
            config.public_url = Some("https://sandbox.example.com/base".to_owned());
        },
        async |s| {
            for origin in ["http://localhost:3000", "https://sandbox.example.com", &s.url("")] {
                call(s, Method::GET, ACCOUNTS, &[("Origin", origin), ("Sec-Fetch-Site", "cross-site")])
                    .await
                    .expect(200);
            }
            for origin in
                ["http://localhost:3001", "https://sandbox.example.com.evil.example", "https://sandbox.example"]
            {
                let answer = call(s, Method::GET, ACCOUNTS, &[("Origin", origin)]).await;
                answer.assert_error(403, "origin_not_allowed", "Origin");
            }
        },
    )
    .await;
    sandbox_with(
        |config| config.cors_origin = Some(CrossOrigins::Any),
        async |s| {
            call(s, Method::POST, "/_sandbox/reset", &[("Origin", "null")]).await.expect(204);
            call(s, Method::POST, "/_sandbox/reset", &[("Sec-Fetch-Site", "cross-site")]).await.expect(204);
        },
    )
    .await;
}

#[tokio::test]
async fn bodies_to_the_control_plane_are_json() {
    account(async |s| {
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let post = s.request(Method::POST, ACCOUNTS).header("Content-Type", media_type).body(json!({}).to_string());
            send(post).await.assert_error(415, "media_type_unsupported", "Content-Type");
        }
    })
    .await;
}
