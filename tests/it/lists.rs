//! What lists cost: the size of a page, and the memory of an answer.
//!
//! Memory is that of the real program, as the kernel counts it: what it uses at most during one request. A counting
//! allocator would need unsafe code, and would count the test too.

use std::fs;

use concierge_sandbox::jsonapi::query::Target;
use concierge_sandbox::web::route::{QueryOf, Route};
use concierge_sandbox::{api, sandbox as control_plane};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Account, Answer, Program, Wire, account, client, database, documented_output, sandbox, sandbox_with, send, url_of,
    within,
};

const INSTRUCTIONS: &str = "/api/withdrawal_instructions";
const OUTPUTS: &str = "/api/concierge_request_outputs";
const MEBIBYTE: usize = 1 << 20;

/// Makes instructions of about a megabyte each, and returns their ids.
async fn large_instructions(s: &Account, count: usize) -> Vec<String> {
    let body = json!({"payment_method": "domestic_bank", "note": "x".repeat(1_000_000)});
    let document = json!({"data": {"type": "withdrawal_instructions", "attributes": {"label": "large", "body": body},
        "relationships": {"user": {"data": {"type": "users", "id": "20202"}}}}});
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(s.create(INSTRUCTIONS, &document).await);
    }
    ids
}

/// Makes an output that is paid with an instruction.
async fn output_with(s: &Account, instruction: &str) {
    let mut document = documented_output();
    document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
    s.post(&format!("{OUTPUTS}?include="), &document).await.expect(201);
}

/// Asserts that an answer was refused for its size, and returns the reason.
#[track_caller]
fn too_large(answer: &Answer, parameter: &str) -> String {
    answer.assert_error(400, "answer_too_large", parameter);
    let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with(&format!("`{parameter}`")) && detail.contains("32 MiB"), "{detail}");
    detail.to_owned()
}

#[tokio::test]
async fn a_page_above_32_mib_is_refused_and_names_a_size_that_fits() {
    account(async |s| {
        let ids = large_instructions(s, 36).await;
        let detail = too_large(&s.get(INSTRUCTIONS).await, "page[size]");
        assert!(detail.contains("is 100") && detail.contains("35 MiB"), "{detail}");
        // the size that it names fits
        let (_, fitting) = detail.split_once("page[size]=").unwrap();
        let fitting = fitting.split_once(' ').unwrap().0;
        s.get(&format!("{INSTRUCTIONS}?page[size]={fitting}")).await.expect(200);
        too_large(&s.get(&format!("{INSTRUCTIONS}?page[size]=36")).await, "page[size]");
        let page = s.get(&format!("{INSTRUCTIONS}?page[size]=33")).await.expect(200);
        assert_eq!(page["data"].as_array().unwrap().len(), 33);
        let light = s.get(&format!("{INSTRUCTIONS}?fields[withdrawal_instructions]=label")).await.expect(200);
        assert_eq!(light["meta"]["total"], 37);

        for id in &ids {
            output_with(s, id).await;
        }
        too_large(&s.get(OUTPUTS).await, "page[size]");
        s.get(&format!("{OUTPUTS}?include=")).await.expect(200);
        s.get(&format!("{OUTPUTS}?fields[withdrawal_instructions]=label")).await.expect(200);
        let path = "/api/concierge_requests/1010?include=outputs.withdrawal_instruction";
        too_large(&s.get(path).await, "include");
        too_large(&s.get(&path.replace("/1010", "")).await, "page[size]");
        s.get(&format!("{path}&fields[withdrawal_instructions]=label")).await.expect(200);
        // a change is made, so its answer arrives, and says what it leaves out
        let change = json!({"data": {"type": "concierge_requests", "id": "1010", "attributes": {}}});
        let changed = s.patch(path, &change).await.expect(200);
        assert!(changed.get("included").is_none(), "{changed}");
        assert!(changed["meta"]["omitted"].as_str().unwrap().contains("the request was done"), "{changed}");
    })
    .await;
}

#[tokio::test]
async fn a_page_of_the_request_log_above_32_mib_is_refused() {
    account(async |s| {
        // each character takes six in JSON
        let logged = "\u{1}".repeat(16 << 10);
        join_all((0..400).map(|_| s.post_text(INSTRUCTIONS, logged.clone()))).await;
        let detail = too_large(&s.get("/_sandbox/requests?page[size]=1000").await, "page[size]");
        assert!(detail.contains("is 1000"), "{detail}");
        s.get("/_sandbox/requests?page[size]=300").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn large_answers_under_way_share_their_memory() {
    sandbox_with(
        |config| config.answer_memory = 30,
        async |s| {
            large_instructions(s, 20).await;
            let mut slow = Wire::open(s.server().address).await;
            let head = "Host: sandbox\r\nAuthorization: your_api_key\r\n\r\n";
            slow.send(format!("GET {INSTRUCTIONS} HTTP/1.1\r\n{head}")).await;
            slow.wait_for_start().await;
            // the first answer is far from sent
            let refused = s.get(INSTRUCTIONS).await;
            refused.assert_error(503, "unavailable", "");
            assert_eq!(refused.headers["retry-after"], "1");
            assert!(refused.text.contains("--answer-memory"), "{refused:?}");
            // small answers and changes go on
            s.get(&format!("{INSTRUCTIONS}?fields[withdrawal_instructions]=label")).await.expect(200);
            large_instructions(s, 1).await;
            drop(slow);
            let again = async { while s.get(INSTRUCTIONS).await.status != 200 {} };
            within(again).await;
        },
    )
    .await;
}

/// Returns the paths of all lists.
fn lists() -> Vec<&'static str> {
    let tables = control_plane::TABLES.into_iter().chain([api::ROUTES]);
    let is_list = |route: &&Route| {
        !route.path.contains('{')
            && route.operations.iter().any(|operation| {
                operation.method == "GET"
                    && matches!(operation.query, QueryOf::Resource(Target::Collection | Target::List, _))
            })
    };
    tables.flatten().filter(is_list).map(|route| route.path).collect()
}

/// Returns a line of the program's status, in bytes.
fn status(program: &Program, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// Returns the size of an answer, and the most memory that it took.
async fn cost(program: &Program, path: &str) -> (usize, usize) {
    let before = status(program, "VmRSS");
    // the highest use counts from here
    fs::write(format!("/proc/{}/clear_refs", program.id()), "5").unwrap();
    let answer = send(program.request(&client(), Method::GET, path)).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    (answer.text.len(), status(program, "VmHWM").saturating_sub(before))
}

#[tokio::test]
async fn an_answer_takes_three_times_its_size() {
    database(async |database| {
        let filling = database.program(&[]).await;
        let s = Account::of(&filling.base, "your_api_key");
        let ids = large_instructions(&s, 24).await;
        for id in ids.iter().take(10) {
            output_with(&s, id).await;
        }
        for _ in 0..30 {
            join_all((0..10).map(|_| output_with(&s, &ids[0]))).await;
        }
        drop(s);
        filling.stop().await;

        // freed memory goes back at once, so that it can't hide the memory of a later answer
        let url = url_of(database);
        let environment =
            [("DATABASE_URL", url.as_str()), ("SANDBOX_LISTEN", "127.0.0.1:0"), ("MIMALLOC_PURGE_DELAY", "0")];
        let mut program = Program::run(&[], &environment);
        program.ready().await;
        let s = Account::of(&program.base, "your_api_key");
        join_all((0..100).map(|_| s.post_text(INSTRUCTIONS, "\u{1}".repeat(16 << 10)))).await;
        drop(s);

        let mut paths: Vec<String> = lists().into_iter().map(|path| format!("{path}?page[size]=1000")).collect();
        assert!(paths.len() > 10, "{paths:?}");
        paths.extend([
            format!("{OUTPUTS}?page[size]=1000&include="),
            format!("{OUTPUTS}?page[size]=1000&fields[withdrawal_instructions]=label"),
            format!("{INSTRUCTIONS}?page[size]=1000&fields[withdrawal_instructions]=label"),
            format!("{INSTRUCTIONS}/{}", ids[0]),
            format!("{OUTPUTS}/32323"),
            format!("{OUTPUTS}/32323?include="),
            "/api/concierge_requests?page[size]=1000&include=outputs.withdrawal_instruction".to_owned(),
            "/api/concierge_requests/1010?include=outputs.withdrawal_instruction".to_owned(),
            "/_sandbox/events/1".to_owned(),
            "/_sandbox/events/1?include=".to_owned(),
        ]);
        let mut beyond = Vec::new();
        for path in &paths {
            // the code of the path is in memory from here
            cost(&program, &path.replace("page[size]=1000", "page[size]=1")).await;
            // the least of up to three: the program's own work meanwhile is not the answer's
            let (mut size, mut taken) = cost(&program, path).await;
            for _ in 0..2 {
                if taken > 3 * size + MEBIBYTE {
                    let (of_answer, most) = cost(&program, path).await;
                    (size, taken) = (of_answer, taken.min(most));
                }
            }
            if taken > 3 * size + MEBIBYTE {
                beyond.push(format!("{path}: {size} bytes took {taken}"));
            }
        }
        assert_eq!(beyond, [""; 0]);
        program.stop().await;
    })
    .await;
}

#[tokio::test]
async fn outputs_of_one_page_show_their_own_related_resources() {
    sandbox(async |s| {
        let ids = large_instructions(s, 6).await;
        for id in &ids {
            output_with(s, id).await;
        }
        let page = s.get(OUTPUTS).await.expect(200);
        let included = page["included"].as_array().unwrap();
        let bodies = included.iter().filter(|resource| resource["attributes"]["body"]["note"].is_string());
        let shown: Vec<&Value> = bodies.map(|resource| &resource["id"]).collect();
        assert_eq!(shown, ids.iter().collect::<Vec<_>>());
    })
    .await;
}
