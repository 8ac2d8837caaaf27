//! Bad input on the wire: bodies too large, too slow, cut off or of a wrong length, and invalid documents.
//! After each the server still works, and has stored nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Account, Wire, account, documented_output, sandbox, sandbox_with, send, within};

const OUTPUTS: &str = "/api/concierge_request_outputs";
const MIB: usize = 1 << 20;

/// Asserts that nothing was stored and that the server still works.
async fn assert_unharmed(account: &Account) {
    assert_eq!(account.count("select count(*) from concierge_request_outputs").await, 0);
    assert_eq!(account.create_output().await, "32323");
}

/// Pads the documented request with blanks to a length.
fn padded(length: usize) -> String {
    let document = documented_output().to_string();
    format!("{document}{}", " ".repeat(length - document.len()))
}

#[tokio::test]
async fn body_is_limited_to_a_mebibyte() {
    sandbox(async |s| {
        let mut wire = Wire::open(s.server().address).await;
        for length in [MIB + 1, 2 * MIB] {
            s.post_text(OUTPUTS, padded(length)).await.assert_error(413, "body_too_large", "");
            // the same connection is used again
            wire.post(OUTPUTS, &format!("Content-Length: {length}")).await;
            wire.send(padded(length)).await;
            wire.answer().await.assert_error(413, "body_too_large", "");
            wire.post(OUTPUTS, "Transfer-Encoding: chunked").await;
            for part in padded(length).as_bytes().chunks(50_000) {
                wire.chunk(part).await;
            }
            wire.chunk("").await;
            wire.answer().await.assert_error(413, "body_too_large", "");
        }
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 0);
        wire.post(OUTPUTS, &format!("Content-Length: {MIB}")).await;
        wire.send(padded(MIB)).await;
        assert_eq!(wire.answer().await.expect(201)["data"]["id"], "32323");
        wire.post(OUTPUTS, "Transfer-Encoding: chunked").await;
        for part in padded(MIB).as_bytes().chunks(99_999) {
            wire.chunk(part).await;
        }
        wire.chunk("").await;
        assert_eq!(wire.answer().await.expect(201)["data"]["id"], "32324");
    })
    .await;
}

#[tokio::test]
async fn slow_body_is_answered_with_408() {
    sandbox_with(
        |config| config.body_timeout = Duration::from_millis(200),
        async |s| {
            let document = documented_output().to_string();
            let (start, _) = document.split_at(document.len() / 2);
            for headers in [format!("Content-Length: {}", document.len()), "Transfer-Encoding: chunked".to_owned()] {
                let mut wire = Wire::open(s.server().address).await;
                wire.post(OUTPUTS, &headers).await;
                if headers.starts_with("Transfer") {
                    wire.chunk(start).await;
                } else {
                    wire.send(start).await;
                }
                let answer = wire.answer().await;
                answer.assert_error(408, "body_timeout", "");
                assert!(answer.text.contains("after 200ms"), "{answer:?}");
                // late bytes are not taken for a request
                assert_eq!(wire.rest().await, "");
            }
            assert_unharmed(s).await;
        },
    )
    .await;
}

#[tokio::test]
async fn body_cut_off_is_rejected() {
    sandbox(async |s| {
        // also cut after a whole document
        let document = documented_output().to_string();
        for end in [1, document.len() / 2, document.len()] {
            for headers in [format!("Content-Length: {}", document.len() + 9), "Transfer-Encoding: chunked".to_owned()]
            {
                for vanish in [false, true] {
                    let mut wire = Wire::open(s.server().address).await;
                    wire.post(OUTPUTS, &headers).await;
                    let part = &document[..end];
                    if headers.starts_with("Transfer") {
                        wire.chunk(part).await;
                    } else {
                        wire.send(part).await;
                    }
                    if !vanish {
                        wire.finish().await;
                        wire.answer().await.assert_error(400, "document_invalid", "");
                    }
                }
            }
        }
        assert_unharmed(s).await;
    })
    .await;
}

#[tokio::test]
async fn wrong_content_length_is_rejected() {
    sandbox_with(
        |config| config.body_timeout = Duration::from_millis(200),
        async |s| {
            let document = documented_output().to_string();
            let mut wire = Wire::open(s.server().address).await;
            wire.post(OUTPUTS, &format!("Content-Length: {}", document.len() - 5)).await;
            wire.send(&document).await;
            wire.answer().await.assert_error(400, "json_invalid", "");
            // the remaining bytes are not a request
            let rest = wire.rest().await;
            assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");

            let mut wire = Wire::open(s.server().address).await;
            wire.post(OUTPUTS, &format!("Content-Length: {}", document.len() + 5)).await;
            wire.send(&document).await;
            wire.answer().await.assert_error(408, "body_timeout", "");

            for length in ["-1", "abc", "99999999999999999999999", "5\r\nContent-Length: 6"] {
                let mut wire = Wire::open(s.server().address).await;
                wire.post(OUTPUTS, &format!("Content-Length: {length}")).await;
                let rest = wire.rest().await;
                assert!(rest.starts_with("HTTP/1.1 400 "), "{length}: {rest}");
            }
            assert_unharmed(s).await;
        },
    )
    .await;
}

#[tokio::test]
async fn invalid_json_is_rejected_with_its_position() {
    account(async |s| {
        let nested = |levels: usize| {
            let value = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
            documented_output().to_string().replace("1000", &value).into_bytes()
        };
        let cases: [(&[u8], &str); 22] = [
            (b"", "line 1, column 1: "),
            (b"  \n ", "line 2, column 1: "),
            (b"{\"data\":\n {\"type\": \"users\"", "line 2, column 17: "),
            (b"{\"data\":\n  nul}", "line 2, column 6: "),
            (b"{'data': 1}", "line 1, column 2: "),
            (b"{\"data\": {},}", "line 1, column 13: "),
            (b"{\"data\": {}} {\"data\": {}}", "line 1, column 14: trailing characters"),
            (b"{}{}", "line 1, column 3: trailing characters"),
            (b"null null", "line 1, column 6: trailing characters"),
            (b"\xef\xbb\xbf{}", "line 1, column 1: "),
            (b"{\"a\": \"\xff\"}", "line 1, column 8: invalid unicode code point"),
            (b"{\"a\": \"\xed\xa0\x80\"}", "line 1, column 8: invalid unicode code point"),
            (b"{\"\xc3\x28\": 1}", "line 1, column 3: invalid unicode code point"),
            (b"{\"a\": \"\\ud800\"}", "line 1, column 14: "),
            (b"{\"a\": \"\\ud800\\u0041\"}", "line 1, column 19: lone leading surrogate in hex escape"),
            (b"{\"a\": \"\\udc00\"}", "line 1, column 13: lone leading surrogate in hex escape"),
            (b"{\"a\": \"\x00\"}", "line 1, column 8: control character"),
            (b"{\"a\": 1,\n\"b\": 2, \"a\": 3}", "line 2, column 11: the member \"a\" appears twice"),
            (b"{\"data\":{\"a\":{\"x\":1,\"\\u0078\":1}}}", "line 1, column 28: the member \"x\" appears twice"),
            (&nested(100), "nested deeper than 64 levels"),
            (&nested(62), "nested deeper than 64 levels"),
            (&nested(100_000), "nested deeper than 64 levels"),
        ];
        let mut misplaced = Vec::new();
        for (body, detail) in cases {
            let answer = s.post_text(OUTPUTS, body.to_vec()).await;
            answer.assert_error(400, "json_invalid", "");
            let found = answer.body["errors"][0]["detail"].as_str().unwrap();
            if !found.starts_with("invalid JSON at line ") || !found.contains(detail) {
                misplaced.push(format!("{}: {found}, not {detail}", &body.escape_ascii().to_string()));
            }
        }
        assert_eq!(misplaced, [""; 0]);
        // the deepest allowed nesting
        s.post_text(OUTPUTS, nested(61)).await.assert_error(422, "attribute_invalid", "/data/attributes/amount");
        // no body at all
        let answer = send(s.request(Method::POST, OUTPUTS)).await;
        answer.assert_error(400, "json_invalid", "");
        assert_unharmed(s).await;
    })
    .await;
}

#[tokio::test]
async fn json_without_a_document_is_rejected() {
    account(async |s| {
        for body in ["null", "[]", "[{\"data\": {}}]", "\"data\"", "17", "true", "{}", "{\"meta\": {}}"] {
            s.post_text(OUTPUTS, body).await.assert_error(400, "document_invalid", "");
        }
        for data in ["null", "[]", "\"x\"", "1", "{}"] {
            let answer = s.post_text(OUTPUTS, format!("{{\"data\": {data}}}")).await;
            answer.assert_error(400, "document_invalid", "/data");
        }
        assert_unharmed(s).await;
    })
    .await;
}

#[tokio::test]
async fn nul_is_rejected_with_its_pointer() {
    account(async |s| {
        let instructions = "/api/withdrawal_instructions";
        let document = json!({"data": {"type": "withdrawal_instructions", "attributes": {
            "label": "a\0b",
            "body": {"bank": "\0", "a/b~c": [1, {"deep": "x\0"}], "fine": "\\u0000", "na\0me": 1},
        }}});
        let errors = s.post(instructions, &document).await.errors();
        let expected = ["/label", "/body/bank", "/body/a~1b~0c/1/deep", "/body"];
        let invalid = |at: &str| ("422".to_owned(), "attribute_invalid".to_owned(), format!("/data/attributes{at}"));
        assert_eq!(errors, expected.map(invalid));
        assert_eq!(s.count("select count(*) from withdrawal_instructions").await, 1);
        let mut document = documented_output();
        document["data"]["relationships"]["user"]["data"]["id"] = json!("2\0");
        let answer = s.post(OUTPUTS, &document).await;
        answer.assert_error(422, "attribute_invalid", "/data/relationships/user/data/id");
        assert_unharmed(s).await;
    })
    .await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    sandbox(async |s| {
        let document = documented_output().to_string();
        let post = |body: &str| {
            format!(
                "POST {OUTPUTS} HTTP/1.1\r\nHost: x\r\nAuthorization: your_api_key\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: your_api_key\r\n\r\n");
        let mut wire = Wire::open(s.server().address).await;
        let shown = get(&format!("{OUTPUTS}/32323"));
        wire.send([post(&document), shown, post("{"), post(&document), get("/nowhere"), post(&document)].concat()).await;
        assert_eq!(wire.answer().await.expect(201)["data"]["id"], "32323");
        assert_eq!(wire.answer().await.expect(200)["data"]["id"], "32323");
        wire.answer().await.assert_error(400, "json_invalid", "");
        assert_eq!(wire.answer().await.expect(201)["data"]["id"], "32324");
        wire.answer().await.assert_error(404, "route_unknown", "");
        assert_eq!(wire.answer().await.expect(201)["data"]["id"], "32325");

        // many incomplete requests delay no other
        let mut halves = Vec::new();
        for _ in 0..200 {
            let mut wire = Wire::open(s.server().address).await;
            wire.send("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Le").await;
            halves.push(wire);
        }
        within(s.create_output()).await;
        drop(halves);
    })
    .await;
}
