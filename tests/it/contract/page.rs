//! The page of the document, and its files.

use reqwest::Method;

use crate::support::{account, client, send};

/// Gets a file of the page: status, media type, policy and content.
async fn get(url: String) -> (u16, String, String, String) {
    let answer = client().get(url).header("Accept", "text/html").send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (media_type, policy) = (header("content-type"), header("content-security-policy"));
    (answer.status().as_u16(), media_type, policy, answer.text().await.unwrap())
}

#[tokio::test]
async fn page_needs_no_key_and_no_other_server() {
    account(async |s| {
        let (status, media_type, policy, page) = get(s.url("/_sandbox/docs")).await;
        assert_eq!((status, media_type.as_str()), (200, "text/html; charset=utf-8"));
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!page.contains("<script>") && !page.contains("<style") && !page.contains("//"), "{page}");
        let mut files = 0;
        for address in page.split('"').filter(|part| part.starts_with("/_sandbox/docs/")) {
            let (status, media_type, policy, content) = get(s.url(address)).await;
            let expected = if address.contains(".css") { "text/css" } else { "text/javascript" };
            assert_eq!((status, media_type.split(';').next()), (200, Some(expected)), "{address}");
            assert!(policy.contains("frame-ancestors 'none'") && !content.is_empty(), "{address}");
            files += 1;
        }
        assert_eq!(files, 3);
        assert_eq!(get(s.url("/_sandbox/docs/")).await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn other_files_of_the_page_do_not_exist() {
    account(async |s| {
        for name in ["", "index.html", "swagger-ui.css.map", "../openapi.json", "oauth2-redirect.html"] {
            let file = client().get(s.url(&format!("/_sandbox/docs/{}", name.replace('/', "%2F"))));
            let answer = file.send().await.unwrap();
            let expected = if name.is_empty() { 200 } else { 404 };
            assert_eq!(answer.status().as_u16(), expected, "{name}");
        }
        send(s.request(Method::GET, "/_sandbox/docs/x.js")).await.assert_error(404, "resource_not_found", "");
        // bytes that are no UTF-8 name nothing, like any unknown name
        for path in ["/_sandbox/docs/%FF", "/_sandbox/state_machines/%FF"] {
            send(s.request(Method::GET, path)).await.assert_error(404, "resource_not_found", "");
        }
        let simulation = s.request(Method::POST, "/_sandbox/simulations/users/%FF/enable");
        send(simulation).await.assert_error(404, "resource_not_found", "");
        send(s.request(Method::POST, "/_sandbox/docs")).await.assert_error(405, "method_not_allowed", "");
    })
    .await;
}
