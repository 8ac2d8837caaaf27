//! What is secret, taken out of what the log of requests keeps, wherever it is.

use concierge_sandbox::sandbox::request_log::redact;
use proptest::prelude::*;

#[test]
fn passwords_are_taken_out_of_queries() {
    for (query, expected) in [
        ("password=x", "password=[redacted]"),
        ("a=1&PassWord=x%26y&b=2", "a=1&PassWord=[redacted]&b=2"),
        ("user[password]=x&user%5Bpassword%5D=y", "user[password]=[redacted]&user%5Bpassword%5D=[redacted]"),
        ("password&password=", "password&password=[redacted]"),
        ("passwords=x&sort=password&&=", "passwords=x&sort=password&&="),
        ("", ""),
    ] {
        assert_eq!(&*redact::query(query), expected, "{query}");
    }
}

#[test]
fn passwords_are_taken_out_wherever_they_are() {
    let redacted = |body: &str| String::from_utf8(redact::body(body.into()).into()).unwrap();
    for (body, expected) in [
        (r#"{"password":"x"}"#, r#"{"password":"[redacted]"}"#),
        (r#"{"a":1,"Password" : "x\"y" ,"b":2}"#, r#"{"a":1,"Password" : "[redacted]" ,"b":2}"#),
        (r#"{"password":{"a":["}",{}]},"b":[1]}"#, r#"{"password":"[redacted]","b":[1]}"#),
        (r#"{"password":12}"#, r#"{"password":"[redacted]"}"#),
        (r#"{"password":null,"b":1}"#, r#"{"password":"[redacted]","b":1}"#),
        (r#"[{"password":[1,[2]]}]"#, r#"[{"password":"[redacted]"}]"#),
        (r#"{"p\u0061ssword":"x"}"#, r#"{"p\u0061ssword":"[redacted]"}"#),
        // cut off
        (r#"{"password":"x"#, r#"{"password":"[redacted]""#),
        (r#"{"password":{"a":"x"#, r#"{"password":"[redacted]""#),
        (r#"{"password":"x\"#, r#"{"password":"[redacted]""#),
        (r#"{"password": "#, r#"{"password": "#),
        (r#"{"password""#, r#"{"password""#),
        (r#"{"password"#, r#"{"password"#),
        // no member's name
        (r#"{"a":"password","b":"password"}"#, r#"{"a":"password","b":"password"}"#),
        (r#"["password"]"#, r#"["password"]"#),
        (r#"{"passwords":"x"}"#, r#"{"passwords":"x"}"#),
    ] {
        assert_eq!(redacted(body), expected, "{body}");
    }
}

proptest! {
    #[test]
    fn whatever_a_body_is_it_can_be_looked_through(body in "[\"\\\\{}\\[\\]:, pu]{0,30}(\"password\")?[\"\\\\{}\\[\\]:, x]{0,30}") {
        let kept = redact::body(body.clone().into_bytes());
        prop_assert!(std::str::from_utf8(&kept).is_ok());
        if !body.contains("\"password\"") {
            prop_assert_eq!(&*kept, body.as_bytes());
        }
    }

    #[test]
    fn a_password_never_stays(depth in 0..5_usize, end in 0..200_usize) {
        let inner = format!("{{\"a\":[1,\"}}\"],\"password\":{}\"s3cret\"{},\"b\":1}}", "[".repeat(depth), "]".repeat(depth));
        let cut = &inner[..end.min(inner.len())];
        let kept = redact::body(cut.as_bytes().to_vec());
        let kept = std::str::from_utf8(&kept).unwrap();
        prop_assert!(!kept.contains("s3"), "{}", kept);
        if cut.len() == inner.len() {
            prop_assert!(kept.ends_with(",\"b\":1}"), "{}", kept);
        }
    }
}
