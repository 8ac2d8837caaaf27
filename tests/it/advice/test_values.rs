//! Values that resemble a test value.

use concierge_sandbox::concierge::outputs::misspelling::Misspelling;
use concierge_sandbox::concierge::outputs::scenario::TEST_VALUES;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{advice, counts, expected};
use crate::support::{Account, account};

fn user(email: &str) -> Value {
    json!({"data": {"type": "users", "attributes": {"email": email}}})
}

async fn create_instruction(account: &Account, attributes: Value) {
    let document = json!({"data": {"type": "withdrawal_instructions", "attributes": attributes}});
    account.create("/api/withdrawal_instructions", &document).await;
}

#[tokio::test]
async fn misspelt_test_value_is_told_with_the_nearest() {
    account(async |s| {
        create_instruction(s, json!({"label": "sandbox:rejectd", "body": {}})).await;
        create_instruction(
            s,
            json!({"label": "Sandbox:Rejected#7", "body": {"bank_account_number": 7_263_269_099_u64}}),
        )
        .await;
        s.create("/api/users", &user("sandbox.faild+7@example.com")).await;
        s.patch("/api/users/me", &user("sandbox_stuck@example.com")).await.expect(200);
        let piece = advice(s).await["test_value_unknown"].clone();
        assert_eq!(piece["count"], 5, "{piece}");
        let findings = "`sandbox:rejectd` (label) is no test value; the nearest is `sandbox:rejected`. \
                        `Sandbox:Rejected` (label) is no test value; the nearest is `sandbox:rejected`. \
                        `7263269099` (bank_account_number) is no test value; the nearest is `7263269006`. \
                        `sandbox.faild` (email) is no test value; the nearest is `sandbox.failed`. \
                        `sandbox_stuck` (email) is no test value; the nearest is `sandbox.stuck`.";
        assert!(piece["detail"].as_str().unwrap().ends_with(findings), "{piece}");
        // an output that uses them brings up nothing new
        s.create_output().await;
        assert_eq!(counts(s).await, expected(&[("test_value_unknown", 5)]));
    })
    .await;
}

#[tokio::test]
async fn test_values_and_ordinary_values_give_no_advice() {
    account(async |s| {
        for value in TEST_VALUES {
            let label = format!("{}#7", value.label);
            create_instruction(s, json!({"label": label, "body": {"bank_account_number": value.bank_account_number}}))
                .await;
            s.create("/api/users", &user(&format!("{}+7@example.com", value.email.to_uppercase()))).await;
        }
        for body in [
            json!({"bank_account_number": "7263468021"}),
            json!({"bank_account_number": ["7263269099"], "number": "7263269099"}),
            json!({"bank_account_number": "DE89370400440532013000"}),
        ] {
            create_instruction(s, json!({"label": "savings", "body": body})).await;
        }
        s.create("/api/users", &user("sandbox.user@example.com")).await;
        assert_eq!(counts(s).await.iter().find(|(code, _)| code == "test_value_unknown"), None);
    })
    .await;
}

/// Returns the description of a misspelling.
fn told(misspelling: Option<Misspelling>) -> Option<String> {
    misspelling.map(|misspelling| misspelling.to_string())
}

#[test]
fn a_label_of_ours_is_told_even_if_no_test_value_is_near() {
    for (label, nearest) in [
        ("sandbox:x", None),
        ("SANDBOX:", None),
        ("sandbox:success", None),
        ("sandbox:cancel", Some("sandbox:cancelled")),
        (" sandbox:failed", Some("sandbox:failed")),
        ("sandbox:failed #7", Some("sandbox:failed")),
        ("sandbox:failed/settled", Some("sandbox:failed|settled")),
        ("sandbx:stuck", Some("sandbox:stuck")),
        ("sandbox.returned", Some("sandbox:returned")),
    ] {
        let description = told(Misspelling::of_label(label)).unwrap_or_else(|| panic!("{label:?}"));
        let end = nearest.map_or_else(|| " is no test value".to_owned(), |value| format!("; the nearest is `{value}`"));
        assert!(description.ends_with(&end), "{description}");
    }
    for label in ["", "#", "rejected", "failed", "Sandbox", "my sandbox: failed", "Sandra Bock", &"sandbox".repeat(99)]
    {
        assert_eq!(Misspelling::of_label(label), None);
    }
}

#[test]
fn a_number_is_told_if_one_digit_is_wrong_or_only_its_code_is_unknown() {
    for (number, nearest) in [
        ("7263269099", "7263269006"),
        ("7263269007", "7263269006"),
        ("7263269999", "7263269006"),
        ("726326902", "7263269002"),
        ("07263269002", "7263269002"),
        ("7263296001", "7263269001"),
        ("726-3269-003", "7263269003"),
        (" 7263269004", "7263269004"),
    ] {
        let description = told(Misspelling::of_bank_account_number(number)).unwrap_or_else(|| panic!("{number:?}"));
        assert!(description.ends_with(&format!("; the nearest is `{nearest}`")), "{description}");
    }
    for number in ["", "0", "7263269", "72632690021", "1726326900", "5263268002", &"7".repeat(100_000)] {
        let description = told(Misspelling::of_bank_account_number(number));
        let is_near = ["72632690021"].contains(&number);
        assert_eq!(description.is_some(), is_near, "{number}: {description:?}");
    }
}

proptest! {
    /// Account numbers without the reserved beginning are never told, except those one digit away from it.
    #[test]
    fn ordinary_numbers_are_not_told(number in "[0-9]{4,20}") {
        let is_like_ours = number.contains("726") || number.contains("269") || number.contains("326");
        prop_assume!(!is_like_ours);
        prop_assert_eq!(Misspelling::of_bank_account_number(&number), None);
    }

    /// A letter too few, in any test value, is told with this value or one as near.
    #[test]
    fn a_missing_letter_is_told(row in 0..TEST_VALUES.len(), place in 0..64_usize) {
        let value = &TEST_VALUES[row];
        let without = |text: &str| {
            let mut text = text.to_owned();
            text.remove(place % text.len());
            text
        };
        prop_assert!(Misspelling::of_label(&without(value.label)).is_some());
        prop_assert!(Misspelling::of_bank_account_number(&without(value.bank_account_number)).is_some());
        let email = without(value.email) + "@x";
        prop_assert!(Misspelling::of_email(&email).is_some());
    }
}
