//! The requests that are measured: over HTTP, and as the bare statements behind them.

use concierge_sandbox::concierge::fixtures::DEFAULT_KEYS;
use concierge_sandbox::concierge::outputs::store::{CREATE, FIND};

/// The key that every request carries.
pub const KEY: &str = DEFAULT_KEYS[0].0;

/// Where outputs are.
pub const PATH: &str = "/api/concierge_request_outputs";

/// The document of a new output, over what a fresh account holds.
pub const BODY: &str = concat!(
    r#"{"data":{"type":"concierge_request_outputs","attributes":{"port_code":"us_usd","amount":1500.25},"#,
    r#""relationships":{"request":{"data":{"type":"concierge_requests","id":"1010"}},"#,
    r#""user":{"data":{"type":"users","id":"20202"}},"#,
    r#""withdrawal_instruction":{"data":{"type":"withdrawal_instructions","id":"2121"}}}}}"#
);

/// What is done to outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Makes one.
    Post,
    /// Shows one, always the same.
    Get,
}

impl Request {
    pub fn method(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }

    /// The body, where there is one.
    pub fn body(self) -> Option<&'static str> {
        (self == Self::Post).then_some(BODY)
    }

    /// Its statement, called for one output, and the pgbench variables that stand for the parameters. The server's own text with two
    /// differences that pgbench asks for, as it can't say null: `$2` names the user whom the key acts as anyway, and
    /// nulls are in the text.
    pub fn script(self) -> String {
        let (statement, setup, parameters): (_, _, &[&str]) = match self {
            Self::Post => {
                // ascending whichever client asks, like the server's
                let setup = "\\set n :n + 1\n\\set id :base + :n * :clients + :client_id\n";
                let parameters = [
                    ":key",
                    ":actor",
                    "array[:id]",
                    "array[:request]",
                    "array[:user]",
                    "array[:instruction]",
                    "array[:port]",
                    "array[:amount]",
                    "array[null]",
                    ":now::timestamptz",
                    "1000",
                    // what the event shows; a colon before a digit would be a variable
                    "array['{\"id\": \"32323\", \"type\": \"concierge_request_outputs\", \"attributes\": {\"amount\": \
                     1000, \"port_code\": \"cl_clp\", \"state\": \"accepting\"}, \"relationships\": {\"request\": {\"data\": {\
                     \"id\": \"1010\", \"type\": \"concierge_requests\"}}}}']",
                    "50505",
                    "array[1]",
                    "array[null]",
                    "array['5b3d8ef0-6f2a-4f0e-9d3e-2f9a3f9f1c11']",
                ];
                (CREATE, setup, &parameters.clone())
            }
            Self::Get => (FIND, "", &[":key", ":actor", "array[:base]"]),
        };
        // from the last, so that $1 is not found in $10
        let numbered = parameters.iter().enumerate().rev();
        let statement = numbered.fold(statement.to_owned(), |statement, (index, variable)| {
            statement.replace(&format!("${}", index + 1), variable)
        });
        format!("{setup}{statement};\n")
    }
}
