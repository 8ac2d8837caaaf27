//! The origin that the client called.

use reqwest::Method;
use serde_json::json;

use super::{REQUESTS, finish, get, listen_at, origin, origin_of, send_to};
use crate::support::{Wire, account, documented_output, program, send};

#[tokio::test]
async fn every_link_is_under_the_called_host() {
    account(async |s| {
        finish(s).await;
        let host: &[(&str, &[u8])] = &[("Host", b"127.0.0.1:49153")];
        let outer = "http://127.0.0.1:49153";
        for path in [REQUESTS, "/api/concierge_ports", "/api/cash_wallets", "/api/users", "/_sandbox/events"] {
            let page = get(s, &format!("{path}?page[size]=1"), host).await.expect(200);
            for link in page["links"].as_object().unwrap().values().filter(|link| !link.is_null()) {
                assert!(link.as_str().unwrap().starts_with(&format!("{outer}{path}?")), "{link}");
            }
        }
        for path in [format!("{REQUESTS}/1010"), "/api/concierge_request_outputs/32323?include=request".to_owned()] {
            let shown = get(s, &path, host).await.expect(200);
            let request = if shown["data"]["id"] == "1010" { &shown["data"] } else { &shown["included"][0] };
            assert_eq!(origin_of(&request["attributes"]["receipt_url"], "/receipts/"), outer);
            assert_eq!(origin_of(&request["attributes"]["credit_note_url"], "/credit_notes/"), outer);
        }
        let request = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        let user = json!({"data": {"type": "users"}});
        let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}}}});
        let event = json!({"event_type": "user_enabled"});
        for (path, body) in [
            (REQUESTS, request),
            ("/api/users", user),
            ("/api/withdrawal_instructions", instruction),
            ("/_sandbox/events/trigger", event),
            ("/_sandbox/accounts", json!({})),
        ] {
            let made = send_to(s, "127.0.0.1:49153", Method::POST, path, &body).await;
            assert_eq!(made.status, 201, "{made:?}");
            let collection = path.trim_end_matches("/trigger");
            let location = made.headers["location"].to_str().unwrap();
            assert!(location.starts_with(&format!("{outer}{collection}/")), "{location}");
        }
    })
    .await;
}

#[tokio::test]
async fn output_s_location_is_under_the_called_host() {
    account(async |s| {
        let output = documented_output();
        let made = send_to(s, "sandbox:8080", Method::POST, "/api/concierge_request_outputs", &output).await;
        assert_eq!(made.headers["location"], "http://sandbox:8080/api/concierge_request_outputs/32323");
    })
    .await;
}

#[tokio::test]
async fn links_name_the_host_in_its_normal_form() {
    account(async |s| {
        for (host, expected) in [
            ("sandbox", "http://sandbox"),
            ("Pay_1.Example.TEST:8080", "http://pay_1.example.test:8080"),
            ("127.0.0.1:80", "http://127.0.0.1"),
            ("127.0.0.1:443", "http://127.0.0.1:443"),
            ("localhost:", "http://localhost"),
            ("[::1]:9", "http://[::1]:9"),
            ("[FE80::1]", "http://[fe80::1]"),
        ] {
            assert_eq!(origin(s, &[("Host", host)]).await, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn host_that_is_none_is_400() {
    account(async |s| {
        let junk: [&[u8]; 22] = [
            b"",
            b"a b",
            b"a,b",
            b"\"a\"",
            b"a/b",
            b"http://a",
            b"user@a",
            b"a?b",
            b"a#b",
            b"a:b",
            b"a:0",
            b"a:65536",
            b"a:+1",
            b"a:1:2",
            b":8080",
            b"[::1",
            b"[::g]",
            b"::1",
            b"[::1]x:1",
            b"<script>",
            b"a%20b",
            b"\xc3\xa9.test",
        ];
        for host in junk {
            for path in [REQUESTS, "/_sandbox/settings"] {
                get(s, path, &[("Host", host)]).await.assert_error(400, "header_invalid", "Host");
            }
        }
        let user = json!({"data": {"type": "users"}});
        let before = s.count("select count(*) from users").await;
        let refused = send_to(s, "a b", Method::POST, "/api/users", &user).await;
        let detail = refused.body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.starts_with("`Host` is \"a b\"; it must be a host name or address"), "{detail}");
        refused.assert_error(400, "header_invalid", "Host");
        assert_eq!(s.count("select count(*) from users").await, before);
        // a receipt is a page, with links of its own
        let page = s.client.get(s.url("/receipts/x")).header("Host", "a b");
        send(page).await.assert_error(400, "header_invalid", "Host");
    })
    .await;
}

#[tokio::test]
async fn target_of_a_request_wins_over_its_host() {
    program(&[], async |server| {
        for (head, expected) in [
            (
                "GET http://Outer.test:81/api/users HTTP/1.1\r\nHost: inner.test\r\nConnection: close",
                "http://outer.test:81/api/users?",
            ),
            // HTTP/1.0 has no Host
            ("GET /api/users HTTP/1.0\r\nConnection: close", &format!("{}/api/users?", server.base)),
        ] {
            let mut wire = Wire::open(server.address()).await;
            wire.send(format!("{head}\r\nAuthorization: your_api_key\r\n\r\n")).await;
            let answer = wire.rest().await;
            let expected = format!("\"links\":{{\"self\":\"{expected}");
            assert!(answer.contains(&expected), "{answer} lacks {expected}");
        }
        let mut wire = Wire::open(server.address()).await;
        wire.send("GET /api/users HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: your_api_key\r\n\r\n").await;
        wire.answer().await.assert_error(400, "header_invalid", "Host");
    })
    .await;
}

#[tokio::test]
async fn calls_to_other_hosts_do_not_meet_in_memory() {
    account(async |s| {
        // concurrent calls of one account share a statement, but not their origins
        let hosts: Vec<String> = (1..=8).map(|number| format!("host-{number}.test")).collect();
        let output = documented_output();
        let calls = hosts.iter().map(|host| send_to(s, host, Method::POST, "/api/concierge_request_outputs", &output));
        for (made, host) in futures_util::future::join_all(calls).await.into_iter().zip(&hosts) {
            let location = made.headers["location"].to_str().unwrap().to_owned();
            assert!(location.starts_with(&format!("http://{host}/api/")), "{location}");
        }
        listen_at(s, "a.test", "http://127.0.0.1:9/").await;
        assert_eq!(origin(s, &[("Host", "b.test")]).await, "http://b.test");
    })
    .await;
}
