//! Receipts and credit notes of finished requests, as HTML and as JSON.

use std::time::Duration;

use concierge_sandbox::accounts::caller::hex;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Account, account, documented_output, sandbox, send, within};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Inserts the finished requests 1010 and 1011.
/// Request 1010 has one settled output and one of each refunded state; request 1011 has no refund.
const FINISHED: &str = "
    insert into users (account_id, id, name, compliance_state, created_at)
    select account_id, u.id, u.name, 'enabled', created_at from accounts a (account_id, created_at),
        (values (60001, '<script>alert(\"x\")</script> & Söhne'), (60002, null)) u (id, name) where account_id <> 0;
    update concierge_requests set
        state = 'finished', external_id = 'pay <b>roll</b>', quote_requested_at = '2019-11-25T13:00:00.5Z',
        quote_accepted_at = '2019-11-25T13:01:00Z', state_since = '2019-11-25T14:02:03.004Z', due_at = null,
        total_to_spend = 12345678901234567890.50000001, money_returned = 158.75000001, receipt_token = 'Secret-token_1';
    insert into concierge_requests (account_id, id, user_id, port_code, state, created_at, state_since, total_to_spend,
        receipt_token)
    select account_id, 1011, 60002, 'us_usd', 'finished', created_at, created_at, 7, 'Secret-token_2'
    from concierge_requests where id = 1010;
    insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id, port_code,
        amount, budget, fee_and_cost, state, created_at, state_since)
    select account_id, o.id, request_id, o.user_id, 2121, o.port_code, amount, budget, fee_and_cost, o.state,
        created_at, created_at
    from concierge_requests r, (values
        (32323, 1010, 20202, 'cl_clp', 1000, 12345678901234567731.75, 5, 'settled'),
        (32324, 1010, 60001, 'us_usd', 0.5, 100.00000001, 1, 'rejected'),
        (32325, 1010, 60002, 'mx_mxn', 3, 50, 1.25, 'returned'),
        (32326, 1010, 20202, 'es_eur', null, 10.0, null, 'cancelled'),
        (32327, 1011, 20202, 'cl_clp', 1000, 7, 0, 'settled')
    ) o (id, request_id, user_id, port_code, amount, budget, fee_and_cost, state) where r.id = 1010";

/// Inserts the events of the rows of [`FINISHED`] and of the test, as if each transition had happened.
const EVENTS: &str = "
    insert into events (account_id, id, event_type, resource_type, resource_id, created_at)
    select account_id, row_number() over (order by type, id, position), prefix || step, type, id, created_at
    from (
        select account_id, id, created_at, 'concierge_request_outputs' as type, 'concierge_request_output_' as prefix,
            case state
                when 'settled' then array['accepted', 'working', 'settling', 'settled']
                when 'returned' then array['accepted', 'working', 'settling', 'failed', 'returned']
                else array[state]
            end as steps
        from concierge_request_outputs
        union all
        select account_id, id, created_at, 'concierge_requests', 'concierge_request_',
            array['quote_requested', 'quoted', 'quote_accepted', 'working', 'finished']
        from concierge_requests
    ) resources, unnest(steps) with ordinality as s (step, position)";

async fn finished(account: &Account) {
    account.sql(FINISHED).await;
    account.sql(EVENTS).await;
}

/// Sends a GET without a key.
async fn open(account: &Account, path: &str, accept: &str) -> Response {
    within(account.client.get(account.url(path)).header("Accept", accept).send()).await.unwrap()
}

/// Reads the JSON at a path, with its exact digits.
async fn json_at(account: &Account, path: &str) -> Value {
    let response = open(account, path, "*/*").await;
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"] == "application/json"), (200, true));
    serde_json::from_str(&within(response.text()).await.unwrap()).unwrap()
}

async fn page_at(account: &Account, path: &str) -> String {
    let response = open(account, path, BROWSER).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    within(response.text()).await.unwrap()
}

fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn receipt_has_every_figure_of_its_request() {
    sandbox(async |s| {
        finished(s).await;
        let receipt = json_at(s, "/receipts/Secret-token_1").await;
        let (big, mut outputs) = (number("12345678901234567731.75"), receipt["outputs"].clone());
        assert_eq!(outputs.as_array().unwrap().len(), 4);
        assert_eq!(
            outputs[0].take(),
            json!({"id": "32323", "payee_name": "person3@example.com", "port_code": "cl_clp", "amount": 1000,
                "budget": big, "fee_and_cost": 5, "state": "settled"})
        );
        assert_eq!(outputs[1]["payee_name"], "<script>alert(\"x\")</script> & Söhne");
        assert_eq!((&outputs[2]["payee_name"], &outputs[2]["fee_and_cost"]), (&Value::Null, &json!(1.25)));
        assert_eq!((&outputs[3]["amount"], &outputs[3]["budget"]), (&Value::Null, &json!(10)));
        let states = |state: &str, count: i64, budgets: &Value, returned: &Value| {
            let mut figures = json!({"state": state, "outputs_count": count, "budgets": budgets});
            figures["money_returned"] = returned.clone();
            figures
        };
        let rejected = number("100.00000001");
        let mut rest = receipt.clone();
        rest.as_object_mut().unwrap().remove("outputs");
        assert_eq!(
            rest,
            json!({
                "request_id": "1010", "external_id": "pay <b>roll</b>", "payer_name": "master@example.com",
                "port_code": "ar_ars", "currency": "ars", "state": "finished",
                "quote_requested_at": "2019-11-25T13:00:00.500Z", "quote_accepted_at": "2019-11-25T13:01:00.000Z",
                "finished_at": "2019-11-25T14:02:03.004Z",
                "total_to_spend": number("12345678901234567890.50000001"), "money_returned": number("158.75000001"),
                "paid": big,
                "states": [
                    states("settled", 1, &big, &json!(0)), states("returned", 1, &json!(50), &json!(48.75)),
                    states("rejected", 1, &rejected, &rejected), states("cancelled", 1, &json!(10), &json!(10)),
                ],
                "outputs_not_listed": 0,
            })
        );
    })
    .await;
}

#[tokio::test]
async fn finished_request_links_receipt_and_credit_note() {
    account(async |s| {
        s.create_output().await;
        let instruction = json!({"data": {"type": "withdrawal_instructions",
            "attributes": {"label": "sandbox:returned", "body": {}},
            "relationships": {"user": {"data": {"type": "users", "id": "20202"}}}}});
        let mut returned = documented_output();
        let id = s.create("/api/withdrawal_instructions", &instruction).await;
        returned["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(id);
        s.create("/api/concierge_request_outputs", &returned).await;
        s.advance(Duration::from_secs(1)).await;
        s.act("1010", "request_quote").await.expect(200);
        s.tick().await;
        assert_eq!(s.attributes_of("1010").await["receipt_url"], Value::Null);
        s.act("1010", "accept_quote").await.expect(200);
        s.advance(Duration::from_mins(1)).await;
        let request = s.attributes_of("1010").await;
        assert_eq!(request["state"], "finished");
        for (name, listed) in [("receipt_url", 2), ("credit_note_url", 1)] {
            let url = request[name].as_str().unwrap();
            let path = url.strip_prefix(&s.url("")).unwrap();
            let shown = json_at(s, path).await;
            assert_eq!(shown["total_to_spend"], request["total_to_spend"]);
            assert_eq!(shown["outputs"].as_array().unwrap().len(), listed);
            let returned =
                shown["states"].as_array().unwrap().iter().find(|figures| figures["state"] == "returned").unwrap();
            assert_ne!(shown["money_returned"], json!(0));
            assert_eq!(returned["money_returned"], shown["money_returned"]);
            page_at(s, path).await;
        }
        let wallet = s.get("/api/cash_wallets/ars").await.expect(200);
        let receipt = json_at(s, request["receipt_url"].as_str().unwrap().strip_prefix(&s.url("")).unwrap()).await;
        let decimal = |value: &Value| value.to_string().parse::<bigdecimal::BigDecimal>().unwrap();
        let left = decimal(&json!(1_000_000)) - decimal(&receipt["paid"]);
        assert_eq!(decimal(&wallet["data"]["attributes"]["balance"]), left);
    })
    .await;
}

/// Finishes the documented request of an account, and returns the path of its receipt.
async fn receipt_path(account: &Account) -> String {
    account.create_output().await;
    let path = "/_sandbox/simulations/concierge_requests/1010/transition";
    account.post(path, &json!({"state": "finished", "through": true})).await.expect(200);
    let url = account.attributes_of("1010").await["receipt_url"].as_str().unwrap().to_owned();
    url.strip_prefix(&account.url("")).unwrap().to_owned()
}

#[tokio::test]
async fn address_of_a_receipt_follows_from_the_key_and_from_nothing_shown() {
    sandbox(async |s| {
        let (one, two) = (s.account(json!({"key": "one"})).await, s.account(json!({"key": "two"})).await);
        let path = receipt_path(&one).await;
        // WEBHOOK-AUTH, which every receiver gets, is the SHA-256 of the key
        let shown = Sha256::digest(b"one");
        let spelt = hex(&shown);
        for hash in [shown.to_vec(), spelt.into_bytes()] {
            let guess = Sha256::new_with_prefix(hash).chain_update(b"receipt 1010").finalize();
            assert_ne!(path, format!("/receipts/{}", hex(&guess)));
        }
        assert_ne!(path, receipt_path(&two).await);
        // the same calls with the same key have the same answers
        one.post("/_sandbox/reset", &json!({})).await.expect(204);
        assert_eq!(path, receipt_path(&one).await);
    })
    .await;
}

#[tokio::test]
async fn credit_note_lists_each_refunded_output() {
    sandbox(async |s| {
        finished(s).await;
        let note = json_at(s, "/credit_notes/Secret-token_1").await;
        let outputs = note["outputs"].as_array().unwrap();
        let returned: Vec<_> = outputs.iter().map(|output| (&output["id"], &output["money_returned"])).collect();
        let expected =
            [(json!("32324"), number("100.00000001")), (json!("32325"), json!(48.75)), (json!("32326"), json!(10))];
        assert_eq!(returned, expected.iter().map(|(id, money)| (id, money)).collect::<Vec<_>>());
        let first = json!({"id": "32324", "payee_name": "<script>alert(\"x\")</script> & Söhne", "port_code": "us_usd",
            "state": "rejected", "budget": number("100.00000001"), "fee_kept": 0, "money_returned": number("100.00000001")});
        assert_eq!((&outputs[0], &outputs[1]["fee_kept"]), (&first, &json!(1.25)));
        assert_eq!(note["money_returned"], number("158.75000001"));
        let states: Vec<&Value> = note["states"].as_array().unwrap().iter().map(|figures| &figures["state"]).collect();
        assert_eq!(states, ["returned", "rejected", "cancelled"]);
        // the other request has no refund
        json_at(s, "/receipts/Secret-token_2").await;
        let missing = send(s.client.get(s.url("/credit_notes/Secret-token_2"))).await;
        missing.assert_error(404, "resource_not_found", "");
    })
    .await;
}

#[tokio::test]
async fn html_page_shows_the_figures_and_escapes_text() {
    sandbox(async |s| {
        finished(s).await;
        let receipt = page_at(s, "/receipts/Secret-token_1").await;
        let note = page_at(s, "/credit_notes/Secret-token_1").await;
        for page in [&receipt, &note] {
            assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"), "{page}");
            assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
            let payee = "<td>&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; Söhne</td>";
            for shown in [
                payee,
                "pay &lt;b&gt;roll&lt;/b&gt;",
                "158.75000001 ARS",
                "12345678901234567731.75 ARS",
                "<td class=\"money\">1.25</td>",
            ] {
                assert!(page.contains(shown), "{shown} in {page}");
            }
            for bank_data in ["standard chartered", "buenos aires", "international_bank", "bob"] {
                assert!(!page.contains(bank_data), "{bank_data} in {page}");
            }
            assert!(
                page.contains("<time datetime=\"2019-11-25T14:02:03.004Z\">2019-11-25 14:02:03 UTC</time>"),
                "{page}"
            );
        }
        assert!(receipt.contains("0.5 USD") && note.contains("<td class=\"money\">48.75</td>"));
        assert!(receipt.contains("<h1>Receipt for request 1010</h1>") && receipt.contains("32323"));
        assert!(receipt.contains(&format!("href=\"{}\"", s.url("/credit_notes/Secret-token_1"))));
        assert!(note.contains("<h1>Credit note for request 1010</h1>") && !note.contains("32323"));
        assert!(note.contains(&format!("href=\"{}\"", s.url("/receipts/Secret-token_1"))));
        // no refund, so no link to a credit note
        assert!(!page_at(s, "/receipts/Secret-token_2/").await.contains("/credit_notes/"));
    })
    .await;
}

#[tokio::test]
async fn receipt_sums_all_outputs_and_lists_the_first_hundred() {
    sandbox(async |s| {
        s.sql(FINISHED).await;
        let more =
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                port_code, amount, budget, fee_and_cost, state, created_at, state_since)
            select account_id, 40000 + n, 1010, 20202, 2121, 'cl_clp', 1, 0.1, 0.01,
                case n % 2 when 0 then 'settled' else 'returned' end, created_at, created_at
            from concierge_requests, generate_series(1, 1000) n where id = 1010";
        s.sql(more).await;
        s.sql(EVENTS).await;
        let ids = |document: &Value| {
            let outputs = document["outputs"].as_array().unwrap().iter();
            outputs.map(|output| output["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let receipt = json_at(s, "/receipts/Secret-token_1").await;
        let listed = ids(&receipt);
        assert_eq!((listed.len(), listed[0].as_str(), listed[99].as_str()), (100, "32323", "40096"));
        assert_eq!(
            (&receipt["outputs_not_listed"], &receipt["states"][0]["outputs_count"]),
            (&json!(904), &json!(501))
        );
        assert_eq!(receipt["states"][0]["budgets"], number("12345678901234567781.75"));
        assert_eq!(receipt["states"][1]["money_returned"], number("93.75"));
        let note = json_at(s, "/credit_notes/Secret-token_1").await;
        let listed = ids(&note);
        assert_eq!((listed.len(), listed[99].as_str(), &note["outputs_not_listed"]), (100, "40193", &json!(403)));
        assert!(page_at(s, "/receipts/Secret-token_1").await.contains("<p>… and 904 more."));
    })
    .await;
}

#[tokio::test]
async fn accept_header_chooses_html_or_json() {
    sandbox(async |s| {
        finished(s).await;
        for (accept, expected) in [
            (BROWSER, "text/html; charset=utf-8"),
            ("TEXT/HTML", "text/html; charset=utf-8"),
            ("text/html;level=1", "text/html; charset=utf-8"),
            ("text/html, application/json", "text/html; charset=utf-8"),
            ("text/*", "text/html; charset=utf-8"),
            ("text/*;q=0.5, application/json;q=0.4", "text/html; charset=utf-8"),
            ("text/html;q=0.5, application/json;q=0.4, */*;q=0.1", "text/html; charset=utf-8"),
            ("*/*", "application/json"),
            ("", "application/json"),
            ("application/json", "application/json"),
            ("application/vnd.api+json", "application/json"),
            ("image/png", "application/json"),
            ("text/html;q=0", "application/json"),
            ("text/html; q=0.4, application/json;q=0.5", "application/json"),
            ("text/html;q=0.4, application/vnd.api+json", "application/json"),
            ("text/html;q=0, text/*", "application/json"),
            ("x=\"text/html, y\"", "application/json"),
        ] {
            for (path, status) in
                [("/receipts/Secret-token_1", 200), ("/credit_notes/Secret-token_1", 200), ("/receipts/no", 404)]
            {
                let response = open(s, path, accept).await;
                let json = if status == 200 { expected } else { "application/vnd.api+json" };
                let expected = if expected.starts_with("text") { expected } else { json };
                let found = response.headers()["content-type"].to_str().unwrap();
                assert_eq!((response.status().as_u16(), found), (status, expected), "{accept} of {path}");
                assert_eq!(response.headers()["vary"], "Accept");
            }
        }
        let two = s.client.get(s.url("/receipts/Secret-token_1")).header("Accept", "application/json;q=0.9");
        let response = within(two.header("Accept", "text/html").send()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    })
    .await;
}

#[tokio::test]
async fn receipt_forbids_shared_caches_and_scripts() {
    sandbox(async |s| {
        finished(s).await;
        for (path, accept) in [
            ("/receipts/Secret-token_1", BROWSER),
            ("/receipts/Secret-token_1", "*/*"),
            ("/receipts/no", BROWSER),
            ("/credit_notes/no", "*/*"),
        ] {
            let response = open(s, path, accept).await;
            let headers = response.headers();
            assert_eq!(headers["cache-control"], "private");
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert_eq!(headers["referrer-policy"], "no-referrer");
            assert!(headers.contains_key("x-request-id"));
            if accept == BROWSER {
                let policy = headers["content-security-policy"].to_str().unwrap().to_owned();
                assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
                assert!(!policy.contains("unsafe"), "{policy}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_receipt_is_404() {
    sandbox(async |s| {
        finished(s).await;
        s.sql("update concierge_requests set receipt_token = repeat('a', 129) where id = 1011").await;
        let long = "a".repeat(129);
        let longer = "a".repeat(4000);
        let tokens =
            ["Secret-token", "secret-token_1", "1010", "%00", "%ff", "%F0%9F%98%80", "a%20b", "'", &long, &longer];
        for folder in ["receipts", "credit_notes"] {
            for token in tokens {
                let path = format!("/{folder}/{token}");
                let answer = send(s.client.get(s.url(&path))).await;
                answer.assert_error(404, "resource_not_found", "");
                let response = open(s, &path, BROWSER).await;
                assert_eq!(response.status(), 404, "{path}");
                let page = within(response.text()).await.unwrap();
                assert!(page.contains("<h1>The resource does not exist</h1>") && page.contains("_url.</p>"), "{page}");
            }
            send(s.client.get(s.url(&format!("/{folder}")))).await.assert_error(404, "route_unknown", "");
        }
    })
    .await;
}

#[tokio::test]
async fn head_answers_like_get_and_other_methods_are_405() {
    sandbox(async |s| {
        finished(s).await;
        for path in ["/receipts/Secret-token_1", "/credit_notes/Secret-token_1", "/receipts/no"] {
            for accept in [BROWSER, "*/*"] {
                let got = open(s, path, accept).await;
                let head = s.client.head(s.url(path)).header("Accept", accept).send();
                let head = within(head).await.unwrap();
                assert_eq!(head.status(), got.status());
                for name in ["content-type", "content-length", "content-security-policy", "cache-control"] {
                    assert_eq!(head.headers().get(name), got.headers().get(name), "{name} of {path}");
                }
                assert_eq!(within(head.text()).await.unwrap(), "");
            }
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
                let answer = send(s.request(method, path)).await;
                answer.assert_error(405, "method_not_allowed", "");
                assert_eq!(answer.headers["allow"], "GET,HEAD");
            }
        }
    })
    .await;
}
