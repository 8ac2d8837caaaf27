//! The query parameters that filter exchanges, and their pages.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::Exchange;
use crate::faults::pattern::PathPattern;
use crate::jsonapi::error::{Error, Errors, PARAMETER_INVALID};
use crate::jsonapi::links::{Links, PageOf};
use crate::jsonapi::query::{Query, Start, Target};
use crate::jsonapi::schema::{Filter, Schema, Values};
use crate::web::call::Call;

/// The parameter for the start of the list.
const SINCE: &str = "filter[since]";

/// Schema of the list.
pub static SCHEMA: Schema = Schema {
    filters: &[
        Filter::new("method", checked("one or several methods, such as GET,POST", |text| methods(text).is_some())),
        Filter::new("path", checked(PathPattern::EXPECTED, |text| PathPattern::read(text).is_some())),
        Filter::new(
            "status",
            checked("one or several of: a status such as 503, a class such as 5xx, or none for no answer", |text| {
                statuses(text).is_some()
            }),
        ),
        Filter::new(
            "since",
            checked("the id of a request, or a time in RFC 3339 format such as 2019-11-25T12:53:02.741Z", |text| {
                Position::read(text).is_some()
            }),
        ),
    ],
    pages_by_id: true,
    ..Schema::list("requests", "/_sandbox/requests")
};

const fn checked(expected: &'static str, accepts: fn(&str) -> bool) -> Values {
    Values::Checked { expected, accepts }
}

/// A filter on exchanges, and the requested page.
#[derive(Debug)]
pub struct LogQuery {
    methods: Vec<String>,
    path: Option<PathPattern>,
    statuses: Vec<Status>,
    since: Option<Position>,
    query: Query,
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
        let query = call.query(&SCHEMA, Target::List)?;
        // accepted values can be read
        let value = |name: &str| {
            let found = query.filters.iter().find(|(filter, _)| filter.name == name);
            found.and_then(|(_, values)| values.first())
        };
        Ok(Self {
            methods: value("method").and_then(|text| methods(text)).unwrap_or_default(),
            path: value("path").and_then(|text| PathPattern::read(text)),
            statuses: value("status").and_then(|text| statuses(text)).unwrap_or_default(),
            since: value("since").and_then(|text| Position::read(text)),
            query,
        })
    }

    /// Returns the requested page of the exchanges found, and its links. The exchanges are sorted by the numbers of
    /// their arrivals, the newest first. Links, under `origin`, name these numbers, so that new exchanges do not move a next page.
    pub fn page<'a>(&self, found: &'a [(u64, Arc<Exchange>)], origin: &str) -> (&'a [(u64, Arc<Exchange>)], Links) {
        let (size, total) = (self.query.page.size as usize, found.len());
        let arrived = |arrival: u64| i64::try_from(arrival).unwrap_or(i64::MAX);
        let from = match self.query.page.start {
            Start::Number(number) => (number as usize - 1).saturating_mul(size),
            Start::Offset(offset) => offset as usize,
            Start::After(last) => found.partition_point(|(arrival, _)| arrived(*arrival) >= last),
            Start::Before(first) => {
                found.partition_point(|(arrival, _)| arrived(*arrival) > first).saturating_sub(size)
            }
        };
        let end = match self.query.page.start {
            Start::Before(first) => found.partition_point(|(arrival, _)| arrived(*arrival) > first),
            Start::Number(_) | Start::Offset(_) | Start::After(_) => from.saturating_add(size).min(total),
        };
        let more = if matches!(self.query.page.start, Start::Before(_)) { from > 0 } else { end < total };
        let page = found.get(from..end).unwrap_or_default();
        let ends = page.first().zip(page.last()).map(|((first, _), (last, _))| (first.to_string(), last.to_string()));
        let ends = ends.as_ref().map(|(first, last)| (first.as_str(), last.as_str()));
        let page_of = PageOf { ends, more, total: i64::try_from(total).ok() };
        (page, Links::new(origin, SCHEMA.path, &self.query, page_of))
    }

    /// Returns the maximum number of exchanges on a page.
    pub const fn page_size(&self) -> u32 {
        self.query.page.size
    }

    /// Checks that the exchange in `filter[since]` exists.
    ///
    /// # Errors
    /// 400 if it does not exist, or no longer.
    pub fn check(&self, exchanges: &[(u64, Arc<Exchange>)]) -> Result<(), Errors> {
        let Some(Position::Exchange(id)) = &self.since else { return Ok(()) };
        if exchanges.iter().any(|(_, exchange)| *exchange.id == **id) {
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

/// Reads a list of methods.
fn methods(text: &str) -> Option<Vec<String>> {
    let read = |method: &str| {
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        is_method.then(|| method.to_owned())
    };
    text.split(',').map(read).collect()
}

/// Reads a list of statuses.
fn statuses(text: &str) -> Option<Vec<Status>> {
    text.split(',').map(Status::read).collect()
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
