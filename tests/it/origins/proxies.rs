//! Headers of proxies: believed with `--trust-proxy`, and else without effect.

use reqwest::Method;
use serde_json::json;

use super::{FINISHED, REQUESTS, finish, get, links_of_event, origin, origin_of};
use crate::support::{account, sandbox_with, send, within};

#[tokio::test]
async fn untrusted_proxy_has_no_effect() {
    account(async |s| {
        let called = s.url("");
        let lies: [(&str, &[u8]); 12] = [
            ("X-Forwarded-Proto", b"https"),
            ("X-Forwarded-Proto", b"javascript"),
            ("X-Forwarded-Host", b"evil.test"),
            ("X-Forwarded-Host", b"a b"),
            ("X-Forwarded-Host", b"\xff"),
            ("X-Forwarded-Port", b"1"),
            ("X-Forwarded-Prefix", b"/evil"),
            ("X-Forwarded-Prefix", b"evil"),
            ("Forwarded", b"proto=https;host=evil.test"),
            ("Forwarded", b"\";;,,="),
            ("Forwarded", b"\xff"),
            ("X-Forwarded-Proto", b"https, http"),
        ];
        for lie in lies {
            let page = get(s, REQUESTS, &[lie]).await;
            assert_eq!(page.headers["vary"], "Accept, Prefer");
            assert_eq!(origin_of(&page.expect(200)["links"]["self"], "/api/"), called, "{lie:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn trusted_proxy_names_the_origin() {
    sandbox_with(
        |config| config.trust_proxy = true,
        async |s| {
            let called = s.url("").strip_prefix("http://").unwrap().to_owned();
            let cases: [(&[(&str, &str)], &str); 27] = [
                (&[], "http://CALLED"),
                (&[("X-Forwarded-Proto", "https")], "https://CALLED"),
                (&[("X-Forwarded-Proto", "HTTPS")], "https://CALLED"),
                (&[("X-Forwarded-Proto", "https, http")], "https://CALLED"),
                (&[("X-Forwarded-Proto", "http,https")], "http://CALLED"),
                (&[("X-Forwarded-Proto", "")], "http://CALLED"),
                (&[("X-Forwarded-Proto", " , https")], "https://CALLED"),
                (&[("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")], "https://CALLED"),
                (&[("X-Forwarded-Host", "pay.example.test")], "http://pay.example.test"),
                (&[("X-Forwarded-Host", "Pay.Example.test:8443, inner:1")], "http://pay.example.test:8443"),
                (&[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a.test:443")], "https://a.test"),
                (&[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a.test:80")], "https://a.test:80"),
                (&[("Host", "kept.test"), ("X-Forwarded-Proto", "https")], "https://kept.test"),
                (&[("X-Forwarded-Host", "a.test"), ("X-Forwarded-Prefix", "/bitex")], "http://a.test/bitex"),
                (&[("X-Forwarded-Host", "a.test"), ("X-Forwarded-Prefix", "/a/b%20c/")], "http://a.test/a/b%20c"),
                // each proxy of a list removes its own prefix
                (
                    &[("X-Forwarded-Host", "a.test"), ("X-Forwarded-Prefix", "/outer, /inner/")],
                    "http://a.test/outer/inner",
                ),
                (&[("X-Forwarded-Host", "a.test"), ("X-Forwarded-Prefix", "/")], "http://a.test"),
                (&[("X-Forwarded-Host", "a.test"), ("X-Forwarded-Port", "99")], "http://a.test"),
                (&[("Forwarded", "proto=https;host=a.test")], "https://a.test"),
                (
                    &[("Forwarded", "for=1.2.3.4; Host=\"A.test:8443\" ;PROTO=HttpS, host=b.test")],
                    "https://a.test:8443",
                ),
                (&[("Forwarded", "for=\"[::1]:1\";host=\"[::1]:8080\"")], "http://[::1]:8080"),
                (&[("Forwarded", "host=\"a\\.te\\st\"")], "http://a.test"),
                (&[("Forwarded", "for=\"a,b;host=evil.test\";by=_x;host=a.test")], "http://a.test"),
                (&[("Forwarded", "for=_hidden, host=b.test;proto=https")], "http://CALLED"),
                (&[("Forwarded", ", host=a.test")], "http://a.test"),
                // `Forwarded` wins, value by value
                (
                    &[("Forwarded", "host=a.test"), ("X-Forwarded-Host", "b.test"), ("X-Forwarded-Proto", "https")],
                    "https://a.test",
                ),
                (
                    &[
                        ("Forwarded", "proto=http;host=a.test"),
                        ("X-Forwarded-Proto", "https"),
                        ("X-Forwarded-Prefix", "/p"),
                    ],
                    "http://a.test/p",
                ),
            ];
            for (headers, expected) in cases {
                assert_eq!(origin(s, headers).await, expected.replace("CALLED", &called), "{headers:?}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn unusable_header_of_a_trusted_proxy_is_400() {
    sandbox_with(
        |config| config.trust_proxy = true,
        async |s| {
            let cases: [(&str, &[u8]); 34] = [
                ("X-Forwarded-Proto", b"javascript"),
                ("X-Forwarded-Proto", b"ws, https"),
                ("X-Forwarded-Proto", b"https://"),
                ("X-Forwarded-Proto", b"\"https\""),
                ("X-Forwarded-Proto", b"\xff"),
                ("X-Forwarded-Host", b"a b"),
                ("X-Forwarded-Host", b"http://a"),
                ("X-Forwarded-Host", b"a/b, c"),
                ("X-Forwarded-Host", b"user@a"),
                ("X-Forwarded-Host", b"a:99999"),
                ("X-Forwarded-Host", b"\xff"),
                ("X-Forwarded-Prefix", b"bitex"),
                ("X-Forwarded-Prefix", b"//evil.test"),
                ("X-Forwarded-Prefix", b"/a//b"),
                ("X-Forwarded-Prefix", b"/a/../b"),
                ("X-Forwarded-Prefix", b"/./a"),
                ("X-Forwarded-Prefix", b"/a?b"),
                ("X-Forwarded-Prefix", b"/a#b"),
                ("X-Forwarded-Prefix", b"/a b"),
                ("X-Forwarded-Prefix", b"/a\"b"),
                ("X-Forwarded-Prefix", b"/a%2"),
                ("X-Forwarded-Prefix", b"/a%zz"),
                ("X-Forwarded-Prefix", b"/a, b"),
                ("X-Forwarded-Prefix", b"\\evil"),
                ("X-Forwarded-Prefix", b"/\xff"),
                ("Forwarded", b"https"),
                ("Forwarded", b"proto=gopher"),
                ("Forwarded", b"host=\"a b\""),
                ("Forwarded", b"host=a/b"),
                ("Forwarded", b"host=\"a"),
                ("Forwarded", b"host=a:1"),
                ("Forwarded", b"proto=http;proto=https"),
                ("Forwarded", b"ho st=a"),
                ("Forwarded", b"host="),
            ];
            for header in cases {
                let answer = get(s, REQUESTS, &[header]).await;
                let detail = answer.body["errors"][0]["detail"].as_str().unwrap().to_owned();
                assert!(detail.starts_with(&format!("`{}`", header.0)), "{detail}");
                answer.assert_error(400, "header_invalid", header.0);
            }
            let user = s.request(Method::POST, "/api/users").header("Content-Type", "application/json");
            let user = user.header("X-Forwarded-Proto", "ftp").body(json!({"data": {"type": "users"}}).to_string());
            send(user).await.assert_error(400, "header_invalid", "X-Forwarded-Proto");
            assert_eq!(s.count("select count(*) from users where id > 50505").await, 0, "nothing is stored");
        },
    )
    .await;
}

#[tokio::test]
async fn pages_and_events_follow_a_trusted_prefix() {
    sandbox_with(
        |config| config.trust_proxy = true,
        async |s| {
            finish(s).await;
            let proxy =
                [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a.test"), ("X-Forwarded-Prefix", "/bitex")];
            let proxied = |method, path: &str| {
                proxy.iter().fold(s.request(method, path), |request, (name, value)| request.header(*name, *value))
            };
            let request = send(proxied(Method::GET, "/api/concierge_requests/1010")).await;
            let vary = "Accept, Prefer, Forwarded, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Prefix";
            assert_eq!(request.headers["vary"], vary);
            let request = request.expect(200)["data"]["attributes"].clone();
            let receipt = request["receipt_url"].as_str().unwrap();
            let path = receipt.strip_prefix("https://a.test/bitex").unwrap();
            let page = within(proxied(Method::GET, path).header("Accept", "text/html").send()).await.unwrap();
            assert_eq!(page.headers()["vary"], vary.replace(", Prefer", ""));
            let page = within(page.text()).await.unwrap();
            let note = request["credit_note_url"].as_str().unwrap();
            assert!(page.contains(&format!("href=\"{note}\"")), "{page} does not link to {note}");
            let events = send(proxied(Method::GET, "/_sandbox/events?page[size]=1")).await.expect(200);
            assert_eq!(origin_of(&events["links"]["next"], "/_sandbox/"), "https://a.test/bitex");
            // the call that sets the address is seen through the proxy, too
            let url = json!({"data": {"type": "users", "attributes": {"webhook_url": "http://127.0.0.1:9/"}}});
            let set = proxied(Method::PATCH, "/api/users/me").header("Content-Type", "application/json");
            send(set.body(url.to_string())).await.expect(200);
            assert_eq!(links_of_event(s, "other.test", FINISHED).await["receipt_url"], receipt);
        },
    )
    .await;
}
