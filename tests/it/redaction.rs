//! Redaction of passwords in the log of requests.

use concierge_sandbox::sandbox::request_log::redact;
use proptest::prelude::*;

#[test]
fn passwords_in_queries_are_redacted() {
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
fn passwords_in_bodies_are_redacted() {
    let redacted = |body: &str| String::from_utf8(redact::body(body.into()).into()).unwrap();
    for (body, expected) in [
        (r#"{"password":"x"}"#, r#"{"password":"[redacted]"}"#),
        (r#"{"a":1,"Password" : "x\"y" ,"b":2}"#, r#"{"a":1,"Password" : "[redacted]" ,"b":2}"#),
        (r#"{"password":{"a":["}",{}]},"b":[1]}"#, r#"{"password":"[redacted]","b":[1]}"#),
        (r#"{"password":12}"#, r#"{"password":"[redacted]"}"#),
        (r#"{"password":null,"b":1}"#, r#"{"password":"[redacted]","b":1}"#),
        (r#"[{"password":[1,[2]]}]"#, r#"[{"password":"[redacted]"}]"#),
        (r#"{"p\u0061ssword":"x"}"#, r#"{"p\u0061ssword":"[redacted]"}"#),
        // cut bodies
        (r#"{"password":"x"#, r#"{"password":"[redacted]""#),
        (r#"{"password":{"a":"x"#, r#"{"password":"[redacted]""#),
        (r#"{"password":"x\"#, r#"{"password":"[redacted]""#),
        (r#"{"password": "#, r#"{"password": "#),
        (r#"{"password""#, r#"{"password""#),
        (r#"{"password"#, r#"{"password"#),
        // what passes for JSON
        (r"{'password':'x'}", r#"{'password':"[redacted]"}"#),
        (r"{'Password' : 'x\'y', 'b': 'it'}", r#"{'Password' : "[redacted]", 'b': 'it'}"#),
        (r"{'password':'x", r#"{'password':"[redacted]""#),
        (r#"it's {"password":"x"}"#, r#"it's {"password":"[redacted]"}"#),
        // forms
        ("a=1&password=x%26y&b=2", "a=1&password=[redacted]&b=2"),
        ("user[password]=x", "user[password]=[redacted]"),
        ("user%5BPassword%5D=x&p%61ssword=y", "user%5BPassword%5D=[redacted]&p%61ssword=[redacted]"),
        ("password=x", "password=[redacted]"),
        ("passwords=x&a=password", "passwords=x&a=password"),
        // multipart documents
        (
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nx\r\ny\r\n--b\r\n\
             Content-Disposition: form-data; name=\"a\"\r\n\r\npassword\r\n--b--\r\n",
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n[redacted]\r\n--b\r\n\
             Content-Disposition: form-data; name=\"a\"\r\n\r\npassword\r\n--b--\r\n",
        ),
        (
            "--b\r\ncontent-disposition:form-data;name=user[password];filename=\"f\"\r\nX: y\r\n\r\nx",
            "--b\r\ncontent-disposition:form-data;name=user[password];filename=\"f\"\r\nX: y\r\n\r\n[redacted]",
        ),
        (
            "--b\r\nContent-Disposition: form-data; name=\"password",
            "--b\r\nContent-Disposition: form-data; name=\"password",
        ),
        ("--password", "--password"),
        // `password` as a value or a part of a name
        (r#"{"a":"password","b":"password"}"#, r#"{"a":"password","b":"password"}"#),
        (r#"["password"]"#, r#"["password"]"#),
        (r#"{"passwords":"x"}"#, r#"{"passwords":"x"}"#),
    ] {
        assert_eq!(redacted(body), expected, "{body}");
    }
}

proptest! {
    #[test]
    fn redaction_of_any_body_gives_valid_text(body in "[\"\\\\{}\\[\\]:, pu]{0,30}(\"password\")?[\"\\\\{}\\[\\]:, x]{0,30}") {
        let kept = redact::body(body.clone().into_bytes());
        prop_assert!(std::str::from_utf8(&kept).is_ok());
        if !body.contains("\"password\"") {
            prop_assert_eq!(&*kept, body.as_bytes());
        }
    }

    #[test]
    fn redaction_of_any_form_or_multipart_document_ends(body in "(--)?[-=&%a\r\n\"';]{0,20}(name=password)?[-=&%61\r\n\"']{0,20}") {
        redact::body(body.into_bytes());
    }

    #[test]
    fn redaction_leaves_no_nested_or_cut_password(depth in 0..5_usize, end in 0..200_usize) {
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
