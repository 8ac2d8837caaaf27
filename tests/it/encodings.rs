//! Bodies in an encoding: compressed, or in another character set than UTF-8.

use concierge_sandbox::api::ROUTES;
use reqwest::Method;
use serde_json::json;

use crate::support::{Account, Answer, account, send};

/// Routes of the control plane with a body.
const OF_THE_CONTROL_PLANE: [(&str, &str); 15] = [
    ("POST", "/_sandbox/seed"),
    ("PATCH", "/_sandbox/settings"),
    ("POST", "/_sandbox/events/recover"),
    ("POST", "/_sandbox/events/trigger"),
    ("PUT", "/_sandbox/faults"),
    ("POST", "/_sandbox/reset"),
    ("POST", "/_sandbox/clock/freeze"),
    ("POST", "/_sandbox/clock/resume"),
    ("POST", "/_sandbox/clock/advance"),
    ("POST", "/_sandbox/clock/set"),
    ("POST", "/_sandbox/settle"),
    ("POST", "/_sandbox/simulations/concierge_requests/1010/transition"),
    ("POST", "/_sandbox/snapshots"),
    ("POST", "/_sandbox/snapshots/x/restore"),
    ("POST", "/_sandbox/accounts"),
];

async fn encoded(account: &Account, method: &str, path: &str, encoding: &[&str], body: &[u8]) -> Answer {
    let mut request = account.request(method.parse().unwrap(), path).header("Content-Type", "application/json");
    for line in encoding {
        request = request.header("Content-Encoding", *line);
    }
    send(request.body(body.to_vec())).await
}

#[tokio::test]
async fn content_encoding_is_415_on_every_route_with_a_body() {
    account(async |s| {
        let of_the_api = ROUTES.iter().flat_map(|route| {
            let path = route.path.replace("{id}", "1010").replace("{currency}", "ars");
            route.methods().into_iter().map(move |method| (method, path.clone()))
        });
        let with_body = of_the_api.filter(|(method, _)| ["POST", "PATCH", "PUT"].contains(method));
        let rest = OF_THE_CONTROL_PLANE.map(|(method, path)| (method, path.to_owned()));
        let before = s.get("/_sandbox/events").await.expect(200);
        for (method, path) in with_body.chain(rest) {
            // refused before it is parsed, and before anything is done
            for body in [&b"\x1f\x8b\x08\x00"[..], b"{}"] {
                let answer = encoded(s, method, &path, &["gzip"], body).await;
                answer.assert_error(415, "content_encoding_unsupported", "Content-Encoding");
                assert_eq!(answer.headers["accept-encoding"], "identity", "{method} {path}");
            }
        }
        assert_eq!(s.get("/_sandbox/events").await.expect(200), before);
    })
    .await;
}

#[tokio::test]
async fn only_identity_is_accepted_alone_or_in_a_list() {
    account(async |s| {
        let document = json!({"data": {"type": "users"}}).to_string();
        for lines in [&["br"][..], &["deflate"], &["zstd"], &["gzip, identity"], &["identity", "GZIP"], &["x"], &["*"]]
        {
            let answer = encoded(s, "POST", "/api/users", lines, document.as_bytes()).await;
            answer.assert_error(415, "content_encoding_unsupported", "Content-Encoding");
            let shown = lines.join(", ");
            let detail = format!("`Content-Encoding` is \"{shown}\"; send the body as it is, without this header");
            assert_eq!(answer.body["errors"][0]["detail"], detail);
        }
        assert_eq!(s.get("/api/users").await.expect(200)["meta"]["total"], 2);
        for lines in [&["identity"][..], &["Identity"], &["identity, IDENTITY"], &["identity", "identity"], &[""]] {
            encoded(s, "POST", "/api/users", lines, document.as_bytes()).await.expect(201);
        }
        // without a body there is nothing to decode
        let get = s.request(Method::GET, "/api/users").header("Content-Encoding", "gzip");
        send(get).await.expect(200);
        // another refusal has no Accept-Encoding
        let answer = send(s.request(Method::POST, "/api/users").header("Content-Type", "text/plain").body("x")).await;
        answer.assert_error(415, "media_type_unsupported", "Content-Type");
        assert!(!answer.headers.contains_key("accept-encoding"));
    })
    .await;
}

#[tokio::test]
async fn body_that_is_not_utf8_is_400_with_the_right_encoding() {
    account(async |s| {
        let document = json!({"data": {"type": "users"}}).to_string();
        let units: Vec<u16> = document.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let wide: Vec<u8> = document.chars().flat_map(|letter| u32::from(letter).to_be_bytes()).collect();
        for body in [[&[0xff, 0xfe], &little[..]].concat(), [&[0xfe, 0xff], &big[..]].concat(), little, big, wide] {
            for path in ["/api/users", "/_sandbox/seed", "/_sandbox/snapshots"] {
                let answer = s.post_text(path, body.clone()).await;
                answer.assert_error(400, "json_invalid", "");
                assert!(answer.text.contains("it must be in UTF-8"), "{answer:?}");
            }
        }
        let answer = s.post_text("/api/users", [&b"\xef\xbb\xbf"[..], document.as_bytes()].concat()).await;
        answer.assert_error(400, "json_invalid", "");
        assert!(answer.text.contains("a byte order mark; leave it out"), "{answer:?}");
        assert_eq!(s.get("/api/users").await.expect(200)["meta"]["total"], 2);
    })
    .await;
}
