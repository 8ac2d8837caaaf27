//! Allowed and forbidden webhook URLs.

use clap::Parser;
use concierge_sandbox::config::Cli;
use serde_json::{Value, json};

use crate::support::{Account, Answer, account, sandbox_with};

const NOT_HTTP: &str = "must be an http or https URL, such as https://example.com/hook";
const LINK_LOCAL: &str = "may not be called: it is link-local";

/// Sets the URL through each endpoint.
async fn set(account: &Account, url: &Value) -> [(Answer, &'static str); 3] {
    let user = json!({"data": {"type": "users", "id": "20202", "attributes": {"webhook_url": url}}});
    let webhook = json!({"data": {"type": "webhooks", "attributes": {"url": url}}});
    [
        (account.patch("/api/users/me", &user).await, "/data/attributes/webhook_url"),
        (account.patch("/api/users/20202", &user).await, "/data/attributes/webhook_url"),
        (account.post("/api/webhooks", &webhook).await, "/data/attributes/url"),
    ]
}

/// Asserts that every endpoint refuses a URL for this reason.
async fn assert_refused(account: &Account, url: &str, reason: &str) {
    for (answer, pointer) in set(account, &json!(url)).await {
        answer.assert_error(422, "webhook_url_invalid", pointer);
        let attribute = pointer.rsplit('/').next().unwrap();
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(reason), "{url}: {detail}");
        assert!(detail.starts_with(&format!("`{attribute}` is \"")) && detail.chars().count() < 300, "{detail}");
    }
}

#[tokio::test]
async fn invalid_and_forbidden_urls_are_rejected() {
    account(async |s| {
        for (answer, _) in set(s, &json!("https://example.com/before")).await {
            assert!(answer.status < 300, "{answer:?}");
        }
        let long_label = format!("http://{}.example/", "a".repeat(64));
        let long_name = format!("http://{}example/", "abc.".repeat(62));
        for (url, reason) in [
            ("", NOT_HTTP),
            ("hook", NOT_HTTP),
            ("example.com/hook", NOT_HTTP),
            ("localhost:8080/hook", NOT_HTTP),
            ("http:example.com", NOT_HTTP),
            ("//example.com/hook", NOT_HTTP),
            ("ftp://example.com/hook", NOT_HTTP),
            ("file:///etc/passwd", NOT_HTTP),
            ("javascript:alert(1)", NOT_HTTP),
            ("http://", "this one has an empty host"),
            ("http://:80/", "this one has an empty host"),
            ("http://example.com:99999/", "this one has an invalid port number"),
            ("http://[fe80::1%25eth0]/", "this one has an invalid IPv6 address"),
            ("http://1.2.3.4.5/", "this one has an invalid IPv4 address"),
            ("http://a<b/", "this one has an invalid international domain name"),
            ("http://{name}/", "this one has a character besides letters, digits, hyphen, underscore and dot"),
            ("http://*.x/", "this one has a character besides letters"),
            ("http://a!b.example/", "this one has a character besides letters"),
            ("http://app..local/", "this one has an empty label"),
            ("http://.local/", "this one has an empty label"),
            ("http://local../", "this one has an empty label"),
            ("http://./", "this one has an empty label"),
            ("http://-app-:3000/", "this one has a label with a hyphen at its begin or end"),
            ("http://app.lo-/", "this one has a label with a hyphen at its begin or end"),
            (&long_label, "this one has a label of more than 63 characters"),
            (&long_name, "this one has more than 253 characters"),
            ("http://127.0.0.1:0/", "a port from 1 to 65535"),
            ("https://app.local:00/hook", "a port from 1 to 65535"),
            (" http://example.com", "without white space"),
            ("http://example.com/a b", "without white space"),
            ("http://example.com/\n", "without white space"),
            ("http://exam\tple.com/", "without white space"),
            ("http://example.com/\u{1}", "without white space"),
            ("http://ana@example.com/", "without user name and password"),
            ("http://ana:secret@example.com/", "without user name and password"),
            ("http://:secret@example.com/", "without user name and password"),
            ("https://example.com/#", "without a fragment"),
            ("https://example.com/hook#part", "without a fragment"),
            ("http://169.254.169.254/", LINK_LOCAL),
            ("http://169.254.169.254./latest/meta-data", LINK_LOCAL),
            ("http://2852039166/", "169.254.169.254 may not be called: it is link-local"),
            ("http://0251.0376.0251.0376/", "169.254.169.254 may not be called: it is link-local"),
            ("http://0xA9.0xFE.43518/", "169.254.169.254 may not be called: it is link-local"),
            ("http://0xa9fea9fe:8080/", LINK_LOCAL),
            ("http://%31%36%39.254.169.254/", LINK_LOCAL),
            ("http://１６９.254.169.254/", LINK_LOCAL),
            ("http://[::ffff:169.254.169.254]/", "169.254.169.254 may not be called: it is link-local"),
            ("http://[::ffff:a9fe:a9fe]/", LINK_LOCAL),
            ("http://[64:ff9b::169.254.169.254]/", LINK_LOCAL),
            ("http://[fe80::1]/", LINK_LOCAL),
            ("http://[fd00:ec2::254]/", "it is a cloud's metadata"),
            ("http://0/", "it is unspecified"),
            ("https://[::]:443/", "it is unspecified"),
            ("http://224.0.0.1/", "it is multicast"),
            ("http://255.255.255.255/", "it is broadcast"),
        ] {
            assert_refused(s, url, reason).await;
        }
        let long = format!("https://example.com/{}", "é".repeat(2980));
        assert_refused(s, &long, "at most 2048 characters long; it has 3000").await;
        for path in ["/api/users/me", "/api/users/20202"] {
            let kept = s.get(path).await.expect(200);
            assert_eq!(kept["data"]["attributes"]["webhook_url"], "https://example.com/before");
        }
    })
    .await;
}

#[tokio::test]
async fn allowed_url_is_stored_and_shown_unchanged() {
    account(async |s| {
        let longest = format!("https://example.com/{}", "é".repeat(2048 - 20));
        let longest_name = format!("http://{}.{}/", "a".repeat(63), "abc.".repeat(47) + "a");
        for url in [
            "http://localhost:3000/hook",
            "http://127.0.0.1/hook",
            "http://[::1]:3000/hook",
            "http://10.1.2.3/",
            "http://192.168.0.7:8000",
            "http://[fd12:3456::1]/",
            "http://receiver:8080/hook",
            "http://host.docker.internal/",
            "http://my_app:3000/hook",
            "http://_app.my_net./",
            "http://a-b.xn--mnchen-3ya.example:1/",
            &longest_name,
            "HTTPS://Example.com/Hook?a=b&c=%20",
            "https://example.com:8443/ñ/{x}|y?q=[1]",
            "https://münchen.example/",
            "http://8.8.8.8/",
            "http://[2001:db8::1]/",
            &longest,
        ] {
            for (answer, _) in set(s, &json!(url)).await {
                assert!(answer.status < 300, "{url}: {answer:?}");
                let attributes = &answer.body["data"]["attributes"];
                let shown = attributes.get("webhook_url").unwrap_or(&attributes["url"]);
                assert_eq!(shown, url);
            }
        }
        let clear = json!({"data": {"type": "users", "attributes": {"webhook_url": null}}});
        let cleared = s.patch("/api/users/me", &clear).await.expect(200);
        assert_eq!(cleared["data"]["attributes"]["webhook_url"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn allow_and_deny_settings_restrict_the_networks() {
    sandbox_with(
        |config| {
            let arguments =
                ["", "--webhook-allow", "127.0.0.1, fd00::/8,169.254.0.0/16", "--webhook-deny", "fd00:9::/32"];
            let read = Cli::try_parse_from(arguments).unwrap().config;
            (config.webhook_allow, config.webhook_deny) = (read.webhook_allow, read.webhook_deny);
        },
        async |s| {
            for (url, reason) in [
                ("http://127.0.0.2/", "may not be called: --webhook-allow does not list it"),
                ("http://[fd00:9::1]/", "may not be called: --webhook-deny lists it"),
                ("http://169.254.1.1/", LINK_LOCAL),
            ] {
                assert_refused(s, url, reason).await;
            }
            for url in ["http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://[fd00:8::1]/", "http://example.com/"]
            {
                for (answer, _) in set(s, &json!(url)).await {
                    assert!(answer.status < 300, "{url}: {answer:?}");
                }
            }
        },
    )
    .await;
}

#[test]
fn invalid_network_list_is_a_usage_error() {
    for list in ["", ",", "10.0.0.0/8,", "10.0.0.0/33", "10.0.0", "example.com", "10.0.0.0/8;::1", "fe80::1%eth0"] {
        for flag in ["--webhook-allow", "--webhook-deny"] {
            let refused = Cli::try_parse_from(["", flag, list]).unwrap_err().to_string();
            assert!(refused.contains("such as 10.0.0.0/8,192.168.1.7,fd00::/8"), "{list:?}: {refused}");
        }
    }
}
