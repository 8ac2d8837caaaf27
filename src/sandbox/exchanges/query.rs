//! Which exchanges are asked for.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::Exchange;
use crate::faults::pattern::PathPattern;
use crate::jsonapi::error::{Code, Error, Errors, FILTER_UNKNOWN, PARAMETER_INVALID, PARAMETER_UNKNOWN};
use crate::jsonapi::query::{DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE};
use crate::web::call::Call;

/// The parameter that says from where on.
const SINCE: &str = "filter[since]";

/// What the exchanges that are asked for have in common.
#[derive(Debug)]
pub struct Query {
    methods: Vec<String>,
    path: Option<PathPattern>,
    statuses: Vec<Status>,
    since: Option<Since>,
    /// How many are shown.
    pub size: usize,
}

/// The status of an answer.
#[derive(Debug, Clone, Copy)]
enum Status {
    Is(u16),
    /// One with this first digit.
    Class(u16),
    /// There was no answer.
    None,
}

#[derive(Debug)]
enum Since {
    /// At this time or later.
    Time(OffsetDateTime),
    /// After the exchange with this id.
    Exchange(String),
}

impl Query {
    /// Reads the query parameters.
    ///
    /// # Errors
    /// 400 for each that is unknown or can't be used.
    pub fn read(call: &Call) -> Result<Self, Errors> {
        let size = DEFAULT_PAGE_SIZE as usize;
        let mut query = Self { methods: Vec::new(), path: None, statuses: Vec::new(), since: None, size };
        let (mut seen, mut faults) = (Vec::new(), Vec::new());
        for (name, value) in call.parameters() {
            let read = if seen.contains(&name) {
                Err((PARAMETER_INVALID, "is there more than once; send it once, its values with commas".to_owned()))
            } else {
                query.read_one(&name, &value)
            };
            if let Err((code, detail)) = read {
                faults.push(Error::new(code, detail).parameter(&*name));
            }
            seen.push(name);
        }
        if faults.is_empty() { Ok(query) } else { Err(Errors::new(faults)) }
    }

    fn read_one(&mut self, name: &str, value: &str) -> Result<(), (Code, String)> {
        let invalid =
            |expected: &str| (PARAMETER_INVALID, format!("can't be \"{}\"; it is {expected}", value.escape_default()));
        match name {
            "filter[method]" => {
                let is_method =
                    |method: &str| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
                self.methods = value.split(',').map(str::to_owned).collect();
                let known = self.methods.iter().all(|method| is_method(method));
                known.then_some(()).ok_or_else(|| invalid("one or several methods such as GET,POST"))
            }
            "filter[path]" => {
                self.path = PathPattern::read(value);
                self.path.as_ref().map(|_| ()).ok_or_else(|| invalid(PathPattern::EXPECTED))
            }
            "filter[status]" => {
                let read: Option<Vec<Status>> = value.split(',').map(Status::read).collect();
                let expected = "one or several of a status such as 503, a class such as 5xx, and none, for no answer";
                self.statuses = read.ok_or_else(|| invalid(expected))?;
                Ok(())
            }
            SINCE => {
                let expected = "the id of a request, or a time as RFC 3339 spells it, such as 2019-11-25T12:53:02.741Z";
                self.since = Some(Since::read(value).ok_or_else(|| invalid(expected))?);
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
                Err((FILTER_UNKNOWN, "is not a filter here; the filters are method, path, status, since".into()))
            }
            _ => Err((PARAMETER_UNKNOWN, "is not known here; filter[KEY] and page[size] are".into())),
        }
    }

    /// Checks that there is the exchange after which those asked for begin.
    ///
    /// # Errors
    /// 400 where it isn't, or isn't any more.
    pub fn check(&self, exchanges: &[Arc<Exchange>]) -> Result<(), Errors> {
        let Some(Since::Exchange(id)) = &self.since else { return Ok(()) };
        if exchanges.iter().any(|exchange| *exchange.id == **id) {
            return Ok(());
        }
        let detail = format!(
            "names the request {id}, which this server does not have in its log, or no longer; it is the id of one that \
             it has, or a time as RFC 3339 spells it"
        );
        Err(Error::new(PARAMETER_INVALID, detail).parameter(SINCE).into())
    }

    /// Whether an exchange is as old as the one after which those asked for begin.
    pub fn is_before(&self, exchange: &Exchange) -> bool {
        matches!(&self.since, Some(Since::Exchange(id)) if **id == *exchange.id)
    }

    /// Whether an exchange is asked for.
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
            && !matches!(self.since, Some(Since::Time(time)) if exchange.at < time)
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

impl Since {
    fn read(text: &str) -> Option<Self> {
        if Uuid::try_parse(text).is_ok() {
            return Some(Self::Exchange(text.to_owned()));
        }
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::Time)
    }
}
