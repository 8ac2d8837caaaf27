//! Schema, reading and rendering of estimates.

use bigdecimal::BigDecimal;
use time::OffsetDateTime;

use super::{EstimatedOutput, NewEstimate};
use crate::concierge::outputs::document::{AMOUNT_NOT_POSITIVE, read_price};
use crate::concierge::ports::{self, Port};
use crate::concierge::pricing::{Deductions, Priced};
use crate::jsonapi::document::strays::Stray;
use crate::jsonapi::document::{Purpose, Reader};
use crate::jsonapi::error::Errors;
use crate::jsonapi::render::{Resource, Value};
use crate::jsonapi::schema::{Attribute, Input, Schema, ValueType};

/// An output of an estimate: exactly one of `budget` and `amount` is sent.
static OUTPUT: [Attribute; 6] = [
    Attribute::new("port_code", ValueType::OneOf(&ports::CODES), "Destination port.", r#""us_usd""#)
        .on_create(Input::Required),
    Attribute::new("budget", ValueType::Decimal, "Money from the payer, in the origin's currency.", "100000")
        .on_create(Input::Optional),
    Attribute::new("amount", ValueType::Decimal, "Money for the payee, in the destination's currency.", "133.96820027")
        .on_create(Input::Optional),
    Attribute::new(
        "rate",
        ValueType::Decimal,
        "Price of one unit of the origin's currency, before fees.",
        "0.00135317",
    ),
    Attribute::new("all_in_rate", ValueType::Decimal, "The same with fees.", "0.00133968"),
    Attribute::new("fee_and_cost", ValueType::Decimal, "Fees, in the origin's currency.", "997.5"),
];

/// Schema of estimates, with the attributes of both forms.
/// Estimates cannot be read again, so they are not in [`SCHEMAS`](crate::concierge::SCHEMAS).
pub static SCHEMA: Schema = Schema {
    type_name: "concierge_estimates",
    path: "/api/concierge_estimates",
    example_id: "1574686382",
    pages_by_id: false,
    attributes: &[
        Attribute::new(
            "hint_token",
            ValueType::Text { longest: 64 },
            "Holds the prices for ten minutes in `request_quote`; 64 hexadecimal digits.",
            r#""5f3c9ad0c6a0e3f1e2d7b8a9415263748596a7b8c9d0e1f2031425364758697a""#,
        )
        .optional(),
        Attribute::new("port_code", ValueType::OneOf(&ports::CODES), "Origin port.", r#""cl_clp""#)
            .optional()
            .on_create(Input::Optional),
        Attribute::new(
            "total_to_spend",
            ValueType::Decimal,
            "Sum of the budgets, in the origin's currency.",
            "119132.65420936",
        )
        .optional(),
        Attribute::new(
            "outputs",
            ValueType::Objects(&OUTPUT),
            "The outputs with their prices.",
            r#"[{"port_code":"us_usd","budget":100000}]"#,
        )
        .optional()
        .on_create(Input::Optional),
        Attribute::new("from_code", ValueType::OneOf(&ports::CODES), "Older form: origin port.", r#""cl_clp""#)
            .optional()
            .on_create(Input::Optional),
        Attribute::new("to_code", ValueType::OneOf(&ports::CODES), "Older form: destination port.", r#""us_usd""#)
            .optional()
            .on_create(Input::Optional),
        Attribute::new("amount", ValueType::Decimal, "Older form: money to send, in the origin's currency.", "100000")
            .optional()
            .on_create(Input::Optional),
        Attribute::new(
            "result",
            ValueType::Decimal,
            "Older form: money to receive, in the destination's currency.",
            "133.96820027",
        )
        .optional(),
        Attribute::new("origin_taken", ValueType::Decimal, "Older form: fees, in the origin's currency.", "997.5")
            .optional(),
        Attribute::new(
            "destination_taken",
            ValueType::Decimal,
            "Older form: fees, in the destination's currency.",
            "0",
        )
        .optional(),
    ],
    relationships: &[],
    references: &[],
    default_include: &[],
    sort: &[],
    filters: &[],
};

/// Members of an estimate's outputs, as sent and as answered.
const OUTPUT_MEMBERS: &[&str] = &["port_code", "budget", "amount", "rate", "all_in_rate", "fee_and_cost"];

/// Reads the document of a new estimate, and the members without effect.
/// It has the older form if it has no `outputs`, but a `from_code` or `to_code`.
///
/// # Errors
/// Every fault of the document.
pub fn read_new(body: &[u8]) -> Result<(NewEstimate, Vec<Stray>), Errors> {
    let mut reader = Reader::open(body, &SCHEMA, Purpose::Create)?;
    let is_older = reader.is_null("outputs") && !(reader.is_null("from_code") && reader.is_null("to_code"));
    let read = if is_older { read_sum(&mut reader) } else { read_outputs(&mut reader) };
    let mut strays = reader.strays(&SCHEMA, &[]);
    strays.extend(reader.strays_in_objects("outputs", OUTPUT_MEMBERS));
    reader.finish(read.map(|new| (new, strays)))
}

fn read_outputs(reader: &mut Reader) -> Option<NewEstimate> {
    let origin = ports::read_port(reader, "port_code");
    let outputs = reader.objects("outputs", |reader| {
        let port = ports::read_port(reader, "port_code");
        let price = read_price(reader);
        Some(EstimatedOutput { port: port?, price: price? })
    });
    Some(NewEstimate::Outputs { origin: origin?, outputs: outputs? })
}

fn read_sum(reader: &mut Reader) -> Option<NewEstimate> {
    let from = ports::read_port(reader, "from_code");
    let to = ports::read_port(reader, "to_code");
    if reader.is_null("amount") {
        reader.missing("amount", "the sum to send, in the currency of `from_code`");
    }
    let amount = reader.positive_decimal("amount", AMOUNT_NOT_POSITIVE);
    Some(NewEstimate::Sum { from: from?, to: to?, amount: amount? })
}

/// Renders an estimate of outputs.
pub fn render_outputs(
    origin: &Port,
    outputs: Vec<(&'static Port, Priced)>,
    hint_token: String,
    now: OffsetDateTime,
) -> Resource {
    let total: BigDecimal = outputs.iter().map(|(_, priced)| &priced.budget).sum();
    let outputs = outputs.into_iter().map(|(port, priced)| {
        vec![
            ("port_code", Value::Name(port.code)),
            ("budget", Value::Decimal(priced.budget)),
            ("amount", Value::Decimal(priced.amount)),
            ("rate", Value::Decimal(priced.rate)),
            ("all_in_rate", Value::Decimal(priced.all_in_rate)),
            ("fee_and_cost", Value::Decimal(priced.fee_and_cost)),
        ]
    });
    estimate(
        now,
        vec![
            ("hint_token", Value::Text(Some(hint_token))),
            ("port_code", Value::Text(Some(origin.code.to_owned()))),
            ("total_to_spend", Value::Decimal(total)),
            ("outputs", Value::Objects(outputs.collect())),
        ],
    )
}

/// Renders an estimate of a single sum.
pub fn render_sum(
    from: &'static Port,
    to: &'static Port,
    amount: BigDecimal,
    taken: Deductions,
    now: OffsetDateTime,
) -> Resource {
    estimate(
        now,
        vec![
            ("from_code", Value::Name(from.code)),
            ("to_code", Value::Name(to.code)),
            ("amount", Value::Decimal(amount)),
            ("result", Value::Decimal(taken.result)),
            ("origin_taken", Value::Decimal(taken.origin_taken)),
            ("destination_taken", Value::Decimal(taken.destination_taken)),
        ],
    )
}

/// Builds an estimate of either form.
/// Its id has no meaning (known): it is the time in seconds since 1970.
fn estimate(now: OffsetDateTime, attributes: Vec<(&'static str, Value)>) -> Resource {
    Resource { schema: &SCHEMA, id: now.unix_timestamp().to_string(), attributes, relationships: Vec::new() }
}
