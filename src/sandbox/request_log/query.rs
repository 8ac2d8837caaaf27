//! The query parameters that filter exchanges.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::Exchange;
use crate::faults::pattern::PathPattern;
use crate::jsonapi::error::{Code, Error, Errors, FILTER_UNKNOWN, PARAMETER_INVALID, PARAMETER_UNKNOWN};
use crate::jsonapi::query::{DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE};
use crate::jsonapi::since::Since;
use crate::web::call::Call;

/// The parameter for the start of the list.
const SINCE: &str = "filter[since]";

/// A filter on exchanges.
#[derive(Debug)]
pub struct LogQuery {
    methods: Vec<String>,
    path: Option<PathPattern>,
    statuses: Vec<Status>,
    since: Option<Position>,
    /// Maximum number of exchanges shown.
    pub size: usize,
}

/// A filter on the status of an answer.
#[derive(Debug, Clone, Copy)]
enum Status {
    Is(u16),
    /// A status with this first digit.
    Class(u16),
    /// No answer.
    None,
}

#[derive(Debug)]
enum Position {
    /// Exchanges at this time or later.
    Time(OffsetDateTime),
    /// Exchanges after the one with this id.
    Exchange(String),
}

impl LogQuery {
    /// Reads the query parameters.
    ///
    /// # Errors
    /// 400 for each unknown parameter and each invalid value.
    pub fn read(call: &Call) -> Result<Self, Errors> {
        let size = DEFAULT_PAGE_SIZE as usize;
        let mut query = Self { methods: Vec::new(), path: None, statuses: Vec::new(), since: None, size };
        let faults = call.read_parameters(|name, value| {
            query.read_one(name, value).map_err(|(code, detail)| Error::new(code, detail).parameter(name))
        });
        if faults.is_empty() { Ok(query) } else { Err(Errors::new(faults)) }
    }

    fn read_one(&mut self, name: &str, value: &str) -> Result<(), (Code, String)> {
        let invalid = |expected: &str| {
            (PARAMETER_INVALID, format!("`{name}` is \"{}\"; it must be {expected}", value.escape_default()))
        };
        match name {
            "filter[method]" => {
                let is_method =
                    |method: &str| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
                self.methods = value.split(',').map(str::to_owned).collect();
                let known = self.methods.iter().all(|method| is_method(method));
                known.then_some(()).ok_or_else(|| invalid("one or several methods, such as GET,POST"))
            }
            "filter[path]" => {
                self.path = PathPattern::read(value);
                self.path.as_ref().map(|_| ()).ok_or_else(|| invalid(PathPattern::EXPECTED))
            }
            "filter[status]" => {
                let read: Option<Vec<Status>> = value.split(',').map(Status::read).collect();
                let expected = "one or several of: a status such as 503, a class such as 5xx, or none for no answer";
                self.statuses = read.ok_or_else(|| invalid(expected))?;
                Ok(())
            }
            SINCE => {
                let expected = "the id of a request, or a time in RFC 3339 format such as 2019-11-25T12:53:02.741Z";
                let expected = || invalid(&Since::expected_in_query(value, expected));
                self.since = Some(Position::read(value).ok_or_else(expected)?);
                Ok(())
            }
            "page[size]" => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let size = value.parse().ok().filter(|size| digits && (1..=LARGEST_PAGE_SIZE).contains(size));
                let expected = format!("a whole number from 1 to {LARGEST_PAGE_SIZE}");
                self.size = size.ok_or_else(|| invalid(&expected))? as usize;
                Ok(())
            }
            _ if name.starts_with("filter[") => {
                let detail = format!("`{name}` is not a known filter; the filters are method, path, status and since");
                Err((FILTER_UNKNOWN, detail))
            }
            _ => {
                let detail = format!("`{name}` is not a known parameter; known are filter[KEY] and page[size]");
                Err((PARAMETER_UNKNOWN, detail))
            }
        }
    }

    /// Checks that the exchange in `filter[since]` exists.
    ///
    /// # Errors
    /// 400 if it does not exist, or no longer.
    pub fn check(&self, exchanges: &[Arc<Exchange>]) -> Result<(), Errors> {
        let Some(Position::Exchange(id)) = &self.since else { return Ok(()) };
        if exchanges.iter().any(|exchange| *exchange.id == **id) {
            return Ok(());
        }
        let detail = format!(
            "`{SINCE}` is the request {id}, but it is not, or no longer, in this server's log; it must be the id of a \
             request in the log, or a time in RFC 3339 format"
        );
        Err(Error::new(PARAMETER_INVALID, detail).parameter(SINCE).into())
    }

    /// Returns whether an exchange is the one in `filter[since]`.
    pub fn is_before(&self, exchange: &Exchange) -> bool {
        matches!(&self.since, Some(Position::Exchange(id)) if **id == *exchange.id)
    }

    /// Returns whether an exchange matches the filters.
    pub fn asks_for(&self, exchange: &Exchange) -> bool {
        let status = exchange.response.as_ref().map(|(status, _)| *status);
        let has_status = |wanted: &Status| match wanted {
            Status::Is(wanted) => status == Some(*wanted),
            Status::Class(digit) => status.is_some_and(|status| status / 100 == *digit),
            Status::None => status.is_none(),
        };
        (self.methods.is_empty() || self.methods.iter().any(|method| method == exchange.method.as_str()))
            && self.path.as_ref().is_none_or(|path| path.matches(&exchange.path))
            && (self.statuses.is_empty() || self.statuses.iter().any(has_status))
            && !matches!(self.since, Some(Position::Time(time)) if exchange.at < time)
    }
}

impl Status {
    fn read(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::None);
        }
        let (first, rest) = (text.get(..1)?, text.get(1..)?);
        let digit: u16 = first.parse().ok().filter(|digit| (1..=5).contains(digit))?;
        if rest == "xx" {
            return Some(Self::Class(digit));
        }
        let is_status = rest.len() == 2 && rest.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_status).map(Self::Is)
    }
}

impl Position {
    fn read(text: &str) -> Option<Self> {
        if Uuid::try_parse(text).is_ok() {
            return Some(Self::Exchange(text.to_owned()));
        }
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::Time)
    }
}
