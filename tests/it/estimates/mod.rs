//! Estimates: the documented examples to the last digit, refusals, and held prices.

mod holds;

use concierge_sandbox::concierge::estimates::document::SCHEMA;
use concierge_sandbox::concierge::pricing::Prices;
use concierge_sandbox::jsonapi::document::{Purpose, Reader};
use concierge_sandbox::jsonapi::error::Source;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Program, account, program, sandbox, sandbox_with, send};

const ESTIMATES: &str = "/api/concierge_estimates";

fn documented_outputs() -> Value {
    json!([{"port_code": "us_usd", "budget": 100_000}, {"port_code": "mx_mxn", "amount": 500}])
}

fn estimate(attributes: Value) -> Value {
    let mut document = json!({"data": {"type": "concierge_estimates"}});
    document["data"]["attributes"] = attributes;
    document
}

fn documented() -> Value {
    estimate(json!({"port_code": "cl_clp", "outputs": documented_outputs()}))
}

/// POSTs an estimate with the given key, or without one.
async fn post_as(account: &Account, key: Option<&str>, document: &Value) -> Answer {
    let request = account.client.post(account.url(ESTIMATES)).header("Content-Type", "application/json");
    let request = match key {
        Some(key) => request.header("Authorization", key),
        None => request,
    };
    send(request.body(document.to_string())).await
}

fn token_of(answer: &Answer) -> String {
    answer.body["data"]["attributes"]["hint_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

#[tokio::test]
async fn estimate_matches_the_documented_one_to_the_last_digit() {
    account(async |s| {
        let answer = s.post(ESTIMATES, &documented()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/vnd.api+json");
        assert_eq!(answer.headers.get("location"), None);
        let expected = format!(
            concat!(
                r#"{{"data":{{"id":"1574686382","type":"concierge_estimates","attributes":{{"hint_token":"{token}","#,
                r#""port_code":"cl_clp","total_to_spend":119132.65420936,"outputs":["#,
                r#"{{"port_code":"us_usd","budget":100000,"amount":133.96820027,"rate":0.00135317,"#,
                r#""all_in_rate":0.00133968,"fee_and_cost":997.5}},"#,
                r#"{{"port_code":"mx_mxn","budget":19132.65420936,"amount":500,"rate":0.02647582,"#,
                r#""all_in_rate":0.02613333,"fee_and_cost":247.50367733}}]}}}}}}"#
            ),
            token = token_of(&answer)
        );
        assert_eq!(answer.text, expected);
    })
    .await;
}

#[tokio::test]
async fn older_form_shows_the_part_taken_on_each_side() {
    account(async |s| {
        // additional attributes have no effect
        let sum = json!({"from_code": "cl_clp", "to_code": "mx_mxn", "amount": "100000.5", "port_code": null,
            "outputs": null, "result": 7});
        let answer = s.post(&format!("{ESTIMATES}/"), &estimate(sum)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        // 500.0025 stays in Chile; 99500.4975 × 19.565637 ÷ 739 = 2634.35807226 arrives in Mexico
        let expected = concat!(
            r#"{"data":{"id":"1574686382","type":"concierge_estimates","attributes":{"from_code":"cl_clp","#,
            r#""to_code":"mx_mxn","amount":100000.5,"result":2613.34624317,"origin_taken":500.0025,"#,
            r#""destination_taken":21.01182909}}}"#
        );
        assert_eq!(answer.text, expected);
        assert_eq!(s.count("select count(*) from price_holds").await, 0);
        for (attributes, code, pointer) in [
            (json!({"from_code": "cl_clp", "amount": 1}), "attribute_missing", "/data/attributes"),
            (json!({"to_code": "cl_clp", "amount": 1}), "attribute_missing", "/data/attributes"),
            (
                json!({"from_code": "cl_clp", "to_code": "xx", "amount": 1}),
                "attribute_invalid",
                "/data/attributes/to_code",
            ),
            (
                json!({"from_code": 5, "to_code": "us_usd", "amount": 1}),
                "attribute_invalid",
                "/data/attributes/from_code",
            ),
            (json!({"from_code": "cl_clp", "to_code": "us_usd"}), "attribute_missing", "/data/attributes"),
            (
                json!({"from_code": "cl_clp", "to_code": "us_usd", "amount": null}),
                "attribute_missing",
                "/data/attributes/amount",
            ),
            (
                json!({"from_code": "cl_clp", "to_code": "us_usd", "amount": 0}),
                "amount_not_positive",
                "/data/attributes/amount",
            ),
            (
                json!({"from_code": "cl_clp", "to_code": "us_usd", "amount": "a"}),
                "attribute_invalid",
                "/data/attributes/amount",
            ),
        ] {
            s.post(ESTIMATES, &estimate(attributes)).await.assert_error(422, code, pointer);
        }
        // a document with outputs is read as the newer form
        let both = estimate(
            json!({"port_code": "cl_clp", "outputs": documented_outputs(), "from_code": "ar_ars", "amount": 5}),
        );
        assert_eq!(s.post(ESTIMATES, &both).await.text, s.post(ESTIMATES, &documented()).await.text);
        let nothing = estimate(json!({"from_code": "x", "to_code": "y"}));
        assert_eq!(s.post(ESTIMATES, &nothing).await.errors().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn estimate_reports_every_fault_with_its_array_index() {
    account(async |s| {
        let outputs = json!([
            {"port_code": "us_usd", "amount": 1},
            {"port_code": "US_USD", "amount": 1},
            {"amount": 1, "budget": 2},
            {"port_code": null},
            7,
            null,
            {"port_code": "us_usd", "amount": 0, "budget": null},
            {"port_code": "us_usd", "budget": -3},
            {"port_code": "us_usd", "budget": 0.123_456_789},
            {"port_code": ["us_usd"], "amount": "1000000000000"},
        ]);
        let answer = s.post(ESTIMATES, &estimate(json!({"port_code": "nowhere", "outputs": outputs}))).await;
        let at = |code: &str, pointer: &str| ("422".to_owned(), code.to_owned(), format!("/data/attributes/{pointer}"));
        assert_eq!(
            answer.errors(),
            [
                at("attribute_invalid", "port_code"),
                at("attribute_invalid", "outputs/1/port_code"),
                at("attribute_missing", "outputs/2"),
                at("amount_and_budget_given", "outputs/2/budget"),
                at("attribute_missing", "outputs/3/port_code"),
                at("amount_or_budget_missing", "outputs/3"),
                at("attribute_invalid", "outputs/4"),
                at("attribute_invalid", "outputs/5"),
                at("amount_not_positive", "outputs/6/amount"),
                at("budget_not_positive", "outputs/7/budget"),
                at("attribute_invalid", "outputs/8/budget"),
                at("attribute_invalid", "outputs/9/port_code"),
                at("attribute_invalid", "outputs/9/amount"),
            ]
        );
        let details = answer.body["errors"].to_string();
        assert!(details.contains("must be \\\"us_usd\\\", in lower case"), "{details}");
        assert!(details.contains("is a number; it must be an object"), "{details}");
        for (attributes, code, pointer) in [
            (json!({"port_code": "cl_clp"}), "attribute_missing", "/data/attributes"),
            (json!({"port_code": "cl_clp", "outputs": null}), "attribute_missing", "/data/attributes/outputs"),
            (json!({"port_code": "cl_clp", "outputs": []}), "attribute_invalid", "/data/attributes/outputs"),
            (json!({"port_code": "cl_clp", "outputs": {"0": {}}}), "attribute_invalid", "/data/attributes/outputs"),
            (json!({"port_code": "cl_clp", "outputs": "us_usd"}), "attribute_invalid", "/data/attributes/outputs"),
            (json!({"outputs": documented_outputs()}), "attribute_missing", "/data/attributes"),
            (
                json!({"port_code": {}, "outputs": documented_outputs()}),
                "attribute_invalid",
                "/data/attributes/port_code",
            ),
        ] {
            s.post(ESTIMATES, &estimate(attributes)).await.assert_error(422, code, pointer);
        }
        // general faults are reported as in every document
        let post = async |text: &str| s.post_text(ESTIMATES, text.to_owned()).await;
        post("{").await.assert_error(400, "json_invalid", "");
        post(r#"{"data":{"type":"users"}}"#).await.assert_error(409, "type_mismatch", "/data/type");
        post(r#"{"data":{"type":"concierge_estimates","id":"1"}}"#).await.assert_error(
            403,
            "client_id_forbidden",
            "/data/id",
        );
        assert_eq!(post(r#"{"data":{"type":"concierge_estimates"}}"#).await.errors().len(), 2);
        assert_eq!(s.count("select count(*) from price_holds").await, 0);
    })
    .await;
}

#[test]
fn reader_returns_to_attributes_after_an_array() {
    let mut reader = Reader::open(documented().to_string().as_bytes(), &SCHEMA, Purpose::Create).unwrap();
    let ports = reader.objects("outputs", |reader| reader.text("port_code", 9));
    assert_eq!(ports.unwrap(), ["us_usd", "mx_mxn"]);
    assert_eq!(reader.text("port_code", 9).unwrap(), "cl_clp");
    assert_eq!(reader.objects("port_code", |_| Some(())), None);
    reader.missing("x", "y");
    let errors = reader.into_errors();
    let sources: Vec<_> = errors.as_slice().iter().map(|error| error.source.clone().unwrap()).collect();
    assert_eq!(sources, ["/data/attributes/port_code", "/data/attributes"].map(|at| Source::Pointer(at.into())));
}

#[tokio::test]
async fn estimate_reports_only_the_first_hundred_faults() {
    account(async |s| {
        let document = estimate(json!({"port_code": "cl_clp", "outputs": vec![0; 300_000]}));
        let errors = s.post(ESTIMATES, &document).await.errors();
        let pointers: Vec<String> = errors.into_iter().map(|(_, _, pointer)| pointer).collect();
        let expected: Vec<String> = (0..100).map(|index| format!("/data/attributes/outputs/{index}")).collect();
        assert_eq!(pointers, expected);
    })
    .await;
}

#[tokio::test]
async fn estimate_needs_no_key_but_checks_a_given_one() {
    sandbox(async |s| {
        let sum = estimate(json!({"from_code": "ar_ars", "to_code": "cl_clp", "amount": 1000}));
        for document in [documented(), sum.clone()] {
            for (key, code) in [
                ("nope", "invalid_api_key"),
                ("", "invalid_api_key"),
                ("Bearer your_api_key", "invalid_api_key"),
                ("your_api_key; admin=1", "invalid_api_key"),
                ("your_api_key; user=777", "acting_user_unknown"),
            ] {
                post_as(s, Some(key), &document).await.assert_error(401, code, "Authorization");
            }
        }
        assert_eq!(s.count("select count(*) from price_holds").await, 0);
        for document in [documented(), sum] {
            for key in [None, Some("your_api_key"), Some("your_read_only_api_key"), Some("your_api_key; user=20202")] {
                let answer = post_as(s, key, &document).await;
                assert_eq!(answer.status, 201, "{key:?}: {answer:?}");
            }
        }
        // an invalid key hides other faults; a call without a key gets them all
        let faulty = estimate(json!({"port_code": "cl_clp"}));
        post_as(s, Some("nope"), &faulty).await.assert_error(401, "invalid_api_key", "Authorization");
        post_as(s, None, &faulty).await.assert_error(422, "attribute_missing", "/data/attributes");
        post_as(s, Some("your_read_only_api_key"), &faulty).await.assert_error(
            422,
            "attribute_missing",
            "/data/attributes",
        );
        assert_eq!(s.count("select count(*) from price_holds where account_id = 0").await, 1);
        assert_eq!(s.count("select count(*) from price_holds").await, 2);
    })
    .await;
}

#[tokio::test]
async fn estimate_takes_the_parameters_of_a_single_document() {
    account(async |s| {
        let post = async |query: &str| s.post(&format!("{ESTIMATES}?{query}"), &documented()).await;
        let shown = post("fields[concierge_estimates]=total_to_spend,port_code").await.expect(201);
        assert_eq!(
            shown["data"]["attributes"].to_string(),
            r#"{"port_code":"cl_clp","total_to_spend":119132.65420936}"#
        );
        assert_eq!(post("include=").await.expect(201)["included"], json!([]));
        post("sort=id").await.assert_error(400, "parameter_unknown", "sort");
        post("page[size]=1").await.assert_error(400, "parameter_unknown", "page[size]");
        post("include=outputs").await.assert_error(400, "include_unknown", "include");
        post("fields[concierge_estimates]=price").await.assert_error(
            400,
            "field_unknown",
            "fields[concierge_estimates]",
        );
        let answer = send(s.client.get(s.url(ESTIMATES))).await;
        answer.assert_error(405, "method_not_allowed", "");
        assert_eq!(answer.headers["allow"], "POST");
        assert_eq!(SCHEMA.path, ESTIMATES);
    })
    .await;
}

#[tokio::test]
async fn prices_file_replaces_the_built_in_prices() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.json");
    let mut prices: Value = serde_json::from_str(Prices::built_in().unwrap().json()).unwrap();
    prices["us_usd"]["fee"] = json!(0);
    prices["cl_clp"] = json!({"per_usd": 800, "fee": 0, "cost": 0});
    std::fs::write(&file, prices.to_string()).unwrap();
    sandbox_with(|config| config.prices = Some(file.clone()), async |s| {
        let shown = s.post(ESTIMATES, &documented()).await.expect(201);
        let output = shown["data"]["attributes"]["outputs"][0].to_string();
        let expected =
            r#"{"port_code":"us_usd","budget":100000,"amount":125,"rate":0.00125,"all_in_rate":0.00125,"fee_and_cost":0}"#;
        assert_eq!(output, expected);
    })
    .await;

    // an invalid file is reported in one line, before the database is opened
    let environment = |file: &std::path::Path| {
        [("SANDBOX_PRICES", file.to_str().unwrap().to_owned()), ("SANDBOX_LISTEN", "127.0.0.1:0".into())]
    };
    let complaint = async |file: &std::path::Path| {
        let environment = environment(file);
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let ended = Program::run(&[], &environment).ended().await;
        assert_eq!((ended.status.code(), ended.stderr.len()), (Some(1), 1), "{ended:?}");
        assert!(ended.stderr[0].contains(file.to_str().unwrap()), "{ended:?}");
        ended.stderr[0].clone()
    };
    prices["mx_mxn"]["fee"] = json!(1);
    std::fs::write(&file, prices.to_string()).unwrap();
    let message = complaint(&file).await;
    assert!(message.contains("`fee` of mx_mxn is 1; it must be the share"), "{message}");
    let message = complaint(&folder.path().join("none.json")).await;
    assert!(message.contains("can't be read: No such file") && message.contains("--prices"), "{message}");
    // the program accepts a valid file
    prices["mx_mxn"]["fee"] = json!(0.5);
    std::fs::write(&file, prices.to_string()).unwrap();
    program(&["--prices", file.to_str().unwrap()], async |_| {}).await;
}
