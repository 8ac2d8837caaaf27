//! The measured requests, over HTTP and as bare SQL statements.

use concierge_sandbox::concierge::fixtures::DEFAULT_KEYS;
use concierge_sandbox::concierge::outputs::store::{CREATE, FIND};

/// API key of every request.
pub const KEY: &str = DEFAULT_KEYS[0].0;

/// Path of the outputs.
pub const PATH: &str = "/api/concierge_request_outputs";

/// The document of a new output. It refers to the resources of a fresh account.
pub const BODY: &str = concat!(
    r#"{"data":{"type":"concierge_request_outputs","attributes":{"port_code":"us_usd","amount":1500.25},"#,
    r#""relationships":{"request":{"data":{"type":"concierge_requests","id":"1010"}},"#,
    r#""user":{"data":{"type":"users","id":"20202"}},"#,
    r#""withdrawal_instruction":{"data":{"type":"withdrawal_instructions","id":"2121"}}}}}"#
);

/// A request about outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Creates an output.
    Post,
    /// Gets one output, always the same.
    Get,
}

impl Request {
    pub fn method(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }

    /// Returns the body, if there is one.
    pub fn body(self) -> Option<&'static str> {
        (self == Self::Post).then_some(BODY)
    }

    /// Returns the pgbench script: the server's statement for one output, with variables instead of parameters.
    ///
    /// The text differs in two points, because a pgbench variable can't be null.
    /// `$2` names the key's own user, and nulls are written in the text.
    pub fn script(self) -> String {
        let (statement, setup, parameters): (_, _, &[&str]) = match self {
            Self::Post => {
                // ids ascend across all clients, like the server's
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
                    // the resource in the event; pgbench reads a colon before a digit as a variable
                    "array['{\"id\": \"32323\", \"type\": \"concierge_request_outputs\", \"attributes\": {\"amount\": \
                     1000, \"port_code\": \"cl_clp\", \"state\": \"accepting\"}, \"relationships\": {\"request\": {\"data\": {\
                     \"id\": \"1010\", \"type\": \"concierge_requests\"}}}}']",
                    "50505",
                    "array[1]",
                    "array[null]",
                    "array['5b3d8ef0-6f2a-4f0e-9d3e-2f9a3f9f1c11']",
                    "array[true]",
                ];
                (CREATE, setup, &parameters.clone())
            }
            Self::Get => (FIND, "", &[":key", ":actor", "array[:base]", "array[true]"]),
        };
        // from the last, so that $1 does not match in $10
        let numbered = parameters.iter().enumerate().rev();
        let statement = numbered.fold(statement.to_owned(), |statement, (index, variable)| {
            statement.replace(&format!("${}", index + 1), variable)
        });
        format!("{setup}{statement};\n")
    }
}
