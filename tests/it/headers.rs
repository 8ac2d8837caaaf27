//! Request headers of clients: accepted and malformed ones.

use reqwest::Method;

use crate::support::{account, documented_output, send};

const OUTPUTS: &str = "/api/concierge_request_outputs";

#[tokio::test]
async fn known_headers_are_accepted_and_malformed_ones_rejected() {
    account(async |s| {
        let get = |name: &'static str, value: &'static [u8]| {
            let value = reqwest::header::HeaderValue::from_bytes(value).unwrap();
            send(s.request(Method::GET, "/api/users/me").header(name, value))
        };
        for version in ["2.0", "2.1", "2.1.0", "10.20.30"] {
            get("Version", version.as_bytes()).await.expect(200);
        }
        for version in ["", "2", "2.", ".1", "2.1.0.0", "v2.1", "2.x", "2,1", "latest", "-1.0", "1234567890.1", "2.1 "]
        {
            let answer = get("Version", version.as_bytes()).await;
            match version {
                // blanks around a value don't count
                "2.1 " => drop(answer.expect(200)),
                _ => answer.assert_error(400, "header_invalid", "Version"),
            }
        }
        get("Version", b"2.\xff").await.assert_error(400, "header_invalid", "Version");
        get("One-Time-Password", b"123456").await.expect(200);
        get("One-Time-Password", b"\xff").await.expect(200);
        get("Accept", b"*/*").await.expect(200);
        get("Accept", b"application/json, text/plain, */*").await.expect(200);
        get("Accept-Encoding", b"gzip, deflate, br").await.expect(200);
        get("Content-Type", b"text/plain").await.expect(200);
        get("Accept", b"\xff").await.assert_error(400, "header_invalid", "Accept");

        let id = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
        assert_eq!(get("X-Request-Id", id.as_bytes()).await.headers["x-request-id"], id);
        for other in [&b"42"[..], b"", b"0a1b2c3d", b"\xff", b"\"><script>"] {
            // every answer is checked for a UUID
            assert_ne!(get("X-Request-Id", other).await.headers["x-request-id"].as_bytes(), other);
        }
    })
    .await;
}

#[tokio::test]
async fn body_requires_a_json_content_type() {
    account(async |s| {
        let post = |media_type: Option<&'static str>| {
            let mut request = s.request(Method::POST, OUTPUTS).body(documented_output().to_string());
            if let Some(media_type) = media_type {
                request = request.header("Content-Type", media_type);
            }
            send(request)
        };
        for other in [
            None,
            Some(""),
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data; boundary=x"),
            Some("application/jsonx"),
            Some("application/vnd.api+json; charset=utf-8"),
            Some("application/vnd.api+json; ext=\"https://example.com\""),
        ] {
            post(other).await.assert_error(415, "media_type_unsupported", "Content-Type");
        }
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 0);
        for ours in [
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "Application/JSON",
            "application/vnd.api+json",
            "application/vnd.api+json; profile=\"https://example.com\"",
        ] {
            post(Some(ours)).await.expect(201);
        }
    })
    .await;
}
