//! Hint tokens, and the prices that they hold.

use std::time::Duration;

use concierge_sandbox::concierge::estimates::fingerprint;
use concierge_sandbox::concierge::estimates::store::{Hold, find_hold};
use concierge_sandbox::concierge::pricing::{Price, Prices};
use serde_json::json;
use time::OffsetDateTime;

use super::{ESTIMATES, documented, post_as, token_of};
use crate::support::{START, sandbox};

#[tokio::test]
async fn hint_token_depends_only_on_its_content_and_instant() {
    sandbox(async |s| {
        let first = s.post(ESTIMATES, &documented()).await;
        let token = token_of(&first);
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(token.len() == 64 && token.bytes().all(is_hex), "{token}");
        // at the same instant every caller gets the same bytes
        assert_eq!(s.post(ESTIMATES, &documented()).await.text, first.text);
        assert_eq!(post_as(s, None, &documented()).await.text, first.text);
        // the same outputs in another order and spelling
        let mut other = documented();
        other["data"]["attributes"]["outputs"] =
            json!([{"port_code": "mx_mxn", "amount": "500.00"}, {"port_code": "us_usd", "budget": 1e5, "amount": null}]);
        assert_eq!(token_of(&s.post(ESTIMATES, &other).await), token);
        assert_eq!(s.count("select count(*) from price_holds").await, 2);
        for (pointer, value) in [
            ("/data/attributes/port_code", json!("ar_ars")),
            ("/data/attributes/outputs/0/port_code", json!("ar_usd")),
            ("/data/attributes/outputs/1/amount", json!(500.000_000_01)),
            ("/data/attributes/outputs/0", json!({"port_code": "us_usd", "amount": 100_000})),
        ] {
            let mut other = documented();
            *other.pointer_mut(pointer).unwrap() = value;
            assert_ne!(token_of(&s.post(ESTIMATES, &other).await), token, "{pointer}");
        }
        s.advance(Duration::from_millis(1)).await;
        assert_ne!(token_of(&s.post(ESTIMATES, &documented()).await), token);
    })
    .await;
}

#[tokio::test]
async fn hold_is_found_by_its_account_or_by_all_if_made_keyless() {
    sandbox(async |s| {
        let token = token_of(&s.post(ESTIMATES, &documented()).await);
        let account = s.count("select account_id from api_keys limit 1").await;
        let mut connection = s.database().acquire().await.unwrap();
        let (budget, amount) = (Price::Budget(100_000.into()), Price::Amount(500.into()));
        let expected = Hold {
            port_code: "cl_clp".to_owned(),
            outputs_sha256: fingerprint([("mx_mxn", &amount), ("us_usd", &budget)]),
            prices: Prices::built_in().unwrap().json().to_owned(),
            expires_at: OffsetDateTime::from_unix_timestamp_nanos(START).unwrap() + Duration::from_mins(10),
        };
        let found = find_hold(&mut connection, account, &token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&expected));
        assert_eq!(Prices::read(&found.unwrap().prices), Prices::built_in());
        assert_eq!(find_hold(&mut connection, account + 1, &token).await.unwrap(), None);
        assert_eq!(find_hold(&mut connection, account, "").await.unwrap(), None);
        assert_eq!(token_of(&post_as(s, None, &documented()).await), token);
        assert_eq!(find_hold(&mut connection, account + 1, &token).await.unwrap(), Some(expected));
        // the account's own hold comes before the keyless one
        s.sql("update price_holds set port_code = 'ar_ars' where account_id <> 0").await;
        assert_eq!(find_hold(&mut connection, account, &token).await.unwrap().unwrap().port_code, "ar_ars");
        drop(connection);
    })
    .await;
}

#[tokio::test]
async fn new_estimate_removes_expired_holds() {
    sandbox(async |s| {
        let holds = "select count(*) from price_holds";
        s.post(ESTIMATES, &documented()).await.expect(201);
        s.sql(
            "insert into price_holds select account_id, 'old' || n, port_code, outputs_sha256, prices, expires_at
            from price_holds, generate_series(1, 120) n",
        )
        .await;
        post_as(s, None, &documented()).await.expect(201);
        s.advance(Duration::from_mins(10)).await;
        // the last instant at which the holds are valid
        s.post(ESTIMATES, &documented()).await.expect(201);
        assert_eq!(s.count(holds).await, 123);
        s.advance(Duration::from_millis(1)).await;
        s.post(ESTIMATES, &documented()).await.expect(201);
        assert_eq!(s.count(holds).await, 24, "an estimate must remove at most 100 holds");
        s.post(ESTIMATES, &documented()).await.expect(201);
        assert_eq!(s.count(holds).await, 3);
        // an estimate removes only holds of its own account
        assert_eq!(s.count("select count(*) from price_holds where account_id = 0").await, 1);
        post_as(s, None, &documented()).await.expect(201);
        assert_eq!(s.count("select count(*) from price_holds where account_id = 0").await, 1);
    })
    .await;
}
