//! Deleting Resources.

use reqwest::Method;
use serde_json::json;

use crate::support::{Account, account, send};

const INSTRUCTIONS: &str = "/api/withdrawal_instructions";

async fn create(account: &Account) -> String {
    let id = account.create(INSTRUCTIONS, &super::document("withdrawal_instructions", json!({"body": {}}))).await;
    format!("{INSTRUCTIONS}/{id}")
}

#[tokio::test]
async fn delete_answers_204_and_removes_the_resource() {
    account(async |s| {
        let path = create(s).await;
        let answer = s.delete(&path).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert!(answer.headers.get("content-type").is_none(), "{:?}", answer.headers);
        s.get(&path).await.assert_error(404, "resource_not_found", "");
        assert_eq!(s.get(INSTRUCTIONS).await.expect(200)["meta"]["total"], 1);
    })
    .await;
}

#[tokio::test]
async fn delete_of_missing_resource_is_404() {
    account(async |s| {
        let path = create(s).await;
        assert_eq!(s.delete(&path).await.status, 204);
        for path in [path.as_str(), "/api/withdrawal_instructions/777", "/api/withdrawal_instructions/x"] {
            s.delete(path).await.assert_error(404, "resource_not_found", "");
        }
    })
    .await;
}

#[tokio::test]
async fn delete_of_instruction_in_use_is_409() {
    account(async |s| {
        s.create_output().await;
        let answer = s.delete("/api/withdrawal_instructions/2121").await;
        answer.assert_error(409, "withdrawal_instruction_in_use", "");
        assert_eq!(s.get("/api/withdrawal_instructions/2121").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn delete_ignores_its_body() {
    account(async |s| {
        for body in
            ["", "{}", "{\"data\":{}}", "{\"data\":{\"type\":\"withdrawal_instructions\",\"id\":\"1\"}}", "[]", "{"]
        {
            for content_type in ["application/vnd.api+json", "application/json"] {
                let path = create(s).await;
                let request = s.request(Method::DELETE, &path).header("Content-Type", content_type).body(body);
                assert_eq!(send(request).await.status, 204, "{body}");
            }
        }
    })
    .await;
}
