//! Schema, reading and rendering of users.

use super::state::NAMES;
use super::{User, UserChanges};
use crate::events::address::AddressRules;
use crate::events::receiver;
use crate::jsonapi::document::strays::Stray;
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, Errors};
use crate::jsonapi::render::{Resource, Value};
use crate::jsonapi::schema::{Attribute, Input, Schema, ValueType};

crate::codes! {
    WEBHOOK_URL_INVALID = 422 "webhook_url_invalid" "Events can't be sent to this URL";
}

/// Schema of users.
/// As an included resource, a user shows the six known attributes only.
pub static SCHEMA: Schema = Schema {
    type_name: "users",
    path: "/api/users",
    example_id: "20202",
    pages_by_id: true,
    attributes: &[
        Attribute::new(
            "name",
            ValueType::Text { longest: LONGEST },
            "Name; a new user's e-mail address at first.",
            r#""person3@example.com""#,
        )
        .nullable()
        .on_update(),
        Attribute::new("email", ValueType::Text { longest: LONGEST }, "E-mail address.", r#""person3@example.com""#)
            .nullable()
            .on_create(Input::Optional)
            .on_update(),
        Attribute::new("kyc_accepted", ValueType::Boolean, "True once the identity check passed.", "true"),
        Attribute::new("otp_enabled", ValueType::Boolean, "True with a second factor for sign-in.", "true"),
        Attribute::new("do_not_email", ValueType::Boolean, "True to receive no e-mail.", "false").on_update(),
        Attribute::new("trezor_login_enabled", ValueType::Boolean, "True with sign-in by hardware key.", "true"),
        Attribute::new(
            "compliance_state",
            ValueType::OneOf(&NAMES),
            "Result of the review; only an enabled user can be paid.",
            r#""enabled""#,
        )
        .own_document(),
        Attribute::new(
            "webhook_url",
            ValueType::Text { longest: usize::MAX },
            "Receiver of the user's events.",
            r#""https://client.example.com/events""#,
        )
        .own_document()
        .nullable()
        .on_update(),
    ],
    relationships: &[],
    references: &[],
    default_include: &[],
    sort: &[],
    filters: &[],
};

/// Maximum length of names and e-mail addresses, in characters.
pub const LONGEST: usize = 254;

/// Attributes that clients send and never receive. A password is ignored.
const UNSEEN: &[&str] = &["password"];

/// Reads the optional e-mail address in the document of a new user, and the members without effect.
///
/// # Errors
/// Every fault of the document.
pub fn read_new(body: &[u8]) -> Result<(Option<String>, Vec<Stray>), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, Purpose::Create)?;
    let (email, strays) = (read_email(&mut reader), reader.strays(&SCHEMA, UNSEEN));
    reader.finish(Some((email, strays)))
}

/// Reads the optional `email`.
pub fn read_email(reader: &mut Reader) -> Option<String> {
    let email = reader.text("email", LONGEST);
    check_email(reader, email.as_deref());
    email
}

/// Reads the changes of a PATCH, and the members without effect: an absent attribute is kept, `null` clears it.
/// `rules` apply to the `webhook_url`.
///
/// # Errors
/// Every fault of the document.
pub fn read_changes(
    body: &[u8],
    purpose: Purpose<'_>,
    rules: &AddressRules,
) -> Result<(UserChanges, Vec<Stray>), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, purpose)?;
    let mut text = |name: &str| reader.has_attribute(name).then(|| reader.text(name, LONGEST));
    let changes = UserChanges {
        name: text("name"),
        email: text("email"),
        webhook_url: reader.has_attribute("webhook_url").then(|| read_webhook_url(&mut reader, "webhook_url", rules)),
        do_not_email: reader.boolean("do_not_email"),
    };
    check_email(&mut reader, changes.email.as_ref().and_then(Option::as_deref));
    let strays = reader.strays(&SCHEMA, UNSEEN);
    reader.finish(Some((changes, strays)))
}

/// Reads the optional URL of a receiver, unchanged; `None` if `rules` refuse it.
pub fn read_webhook_url(reader: &mut Reader, name: &str, rules: &AddressRules) -> Option<String> {
    let url = reader.text(name, usize::MAX)?;
    if let Err(fault) = receiver::read(&url, rules) {
        reader.invalid_as(WEBHOOK_URL_INVALID, name, fault);
        return None;
    }
    Some(url)
}

fn check_email(reader: &mut Reader, email: Option<&str>) {
    let Some(email) = email else { return };
    let well_formed = email
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if !well_formed || email.chars().any(char::is_whitespace) {
        let detail = format!("`email` is {email:?}; it must look like person@example.com");
        reader.fault(ATTRIBUTE_INVALID, &reader.pointer("email"), detail);
    }
}

/// Renders a user as a resource.
pub fn render(user: &User) -> Resource {
    Resource {
        schema: &SCHEMA,
        id: user.id.to_string(),
        attributes: vec![
            ("name", Value::Text(user.name.clone())),
            ("email", Value::Text(user.email.clone())),
            ("kyc_accepted", Value::Boolean(user.kyc_accepted)),
            ("otp_enabled", Value::Boolean(user.otp_enabled)),
            ("do_not_email", Value::Boolean(user.do_not_email)),
            ("trezor_login_enabled", Value::Boolean(user.trezor_login_enabled)),
            ("compliance_state", Value::Name(user.compliance_state.name())),
            ("webhook_url", Value::Text(user.webhook_url.clone())),
        ],
        relationships: Vec::new(),
    }
}
