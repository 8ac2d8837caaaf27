//! Ports: a country and a currency, the entry or exit of money.
//!
//! The table is fixed; reading it needs no key.

use crate::jsonapi::document::Reader;
use crate::jsonapi::render::{Resource, Value};
use crate::jsonapi::schema::{Attribute, Filter, Schema, ValueType, Values};

/// Schema of ports.
pub static SCHEMA: Schema = Schema {
    type_name: "concierge_ports",
    path: "/api/concierge_ports",
    example_id: "cl_clp",
    pages_by_id: false,
    attributes: &[
        Attribute::new(
            "code",
            ValueType::OneOf(&CODES),
            "Country and currency in lower case; also the id.",
            r#""cl_clp""#,
        ),
        Attribute::new("country", ValueType::Text { longest: 2 }, "Country, ISO 3166 alpha-2.", r#""CL""#),
        Attribute::new("currency", ValueType::Text { longest: 3 }, "Currency, ISO 4217.", r#""CLP""#),
        Attribute::new(
            "name",
            ValueType::Text { longest: 255 },
            "Country and currency in words.",
            r#""Chile, Chilean peso""#,
        ),
    ],
    relationships: &[],
    references: &[],
    default_include: &[],
    sort: &[],
    filters: &[Filter::new("country", Values::Text), Filter::new("currency", Values::Text)],
};

/// A port.
/// Its code is also its id: country and currency in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    pub code: &'static str,
    /// ISO 3166 alpha-2.
    pub country: &'static str,
    /// ISO 4217.
    pub currency: &'static str,
    pub name: &'static str,
    place: usize,
}

impl Port {
    /// Returns its index in [`PORTS`] and in every other table of all ports.
    pub const fn place(&self) -> usize {
        self.place
    }
}

const fn port(code: &'static str, country: &'static str, currency: &'static str, name: &'static str) -> Port {
    Port { code, country, currency, name, place: 0 }
}

const fn numbered<const N: usize>(mut ports: [Port; N]) -> [Port; N] {
    let mut place = 0;
    while place < N {
        ports[place].place = place;
        place += 1;
    }
    ports
}

/// Countries with immediate quotes for their ports (known from the guides).
const QUOTED_AT_ONCE: [&str; 5] = ["AR", "CL", "MX", "PY", "UY"];

impl Port {
    /// Returns true if quotes through this port come without delay.
    pub fn is_quoted_at_once(&self) -> bool {
        QUOTED_AT_ONCE.contains(&self.country)
    }
}

/// All ports, by ascending code.
pub const PORTS: [Port; 13] = numbered([
    port("ar_ars", "AR", "ARS", "Argentina, Argentine peso"),
    port("ar_usd", "AR", "USD", "Argentina, US dollar"),
    port("br_brl", "BR", "BRL", "Brazil, Brazilian real"),
    port("cl_clp", "CL", "CLP", "Chile, Chilean peso"),
    port("co_cop", "CO", "COP", "Colombia, Colombian peso"),
    port("es_eur", "ES", "EUR", "Spain, euro"),
    port("mx_mxn", "MX", "MXN", "Mexico, Mexican peso"),
    port("pe_pen", "PE", "PEN", "Peru, Peruvian sol"),
    port("py_pyg", "PY", "PYG", "Paraguay, Paraguayan guaraní"),
    port("py_usd", "PY", "USD", "Paraguay, US dollar"),
    port("us_usd", "US", "USD", "United States, US dollar"),
    port("uy_usd", "UY", "USD", "Uruguay, US dollar"),
    port("uy_uyu", "UY", "UYU", "Uruguay, Uruguayan peso"),
]);

/// The codes of [`PORTS`], in the same order.
pub static CODES: [&str; PORTS.len()] = {
    let mut codes = [""; PORTS.len()];
    let mut place = 0;
    while place < PORTS.len() {
        codes[place] = PORTS[place].code;
        place += 1;
    }
    codes
};

/// Returns the port with this code.
pub fn find(code: &str) -> Option<&'static Port> {
    PORTS.iter().find(|port| port.code == code)
}

/// Returns the currency of a port code, in lower case as in codes and wallets.
pub fn currency(code: &str) -> &str {
    code.split_once('_').map_or(code, |(_, currency)| currency)
}

/// Describes valid port codes for an error message; suggests the right case.
fn expected(code: &str) -> String {
    match find(&code.to_lowercase()) {
        Some(port) => format!("\"{}\", in lower case", port.code),
        None => {
            let codes: Vec<&str> = PORTS.iter().map(|port| port.code).collect();
            format!("one of {}", codes.join(", "))
        }
    }
}

/// A port as a resource.
pub fn render(port: &Port) -> Resource {
    Resource {
        schema: &SCHEMA,
        id: port.code.to_owned(),
        attributes: vec![
            ("code", Value::Name(port.code)),
            ("country", Value::Name(port.country)),
            ("currency", Value::Name(port.currency)),
            ("name", Value::Name(port.name)),
        ],
        relationships: Vec::new(),
    }
}

/// Reads the required `port_code` of a document.
pub fn read_code(reader: &mut Reader) -> Option<String> {
    read_port(reader, "port_code").map(|port| port.code.to_owned())
}

/// Reads a required port code from any attribute.
pub fn read_port(reader: &mut Reader, name: &str) -> Option<&'static Port> {
    let present = !reader.is_null(name);
    let code = reader.text(name, usize::MAX);
    let port = code.as_deref().and_then(find);
    match (&code, port) {
        (_, Some(_)) => {}
        (Some(code), None) => reader.invalid(name, expected(code)),
        (None, None) if present => {}
        (None, None) => reader.missing(name, expected("")),
    }
    port
}
