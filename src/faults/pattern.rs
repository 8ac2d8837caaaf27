//! The patterns of faults: for paths of the emulated API, and for event types.

/// A pattern for paths, in segments. `*`, or a name in braces such as `{id}`, matches any one segment. A last `**`
/// matches any number of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    /// True if more segments may follow.
    is_open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Is(String),
    Any,
}

impl PathPattern {
    /// Description of a valid pattern, for error details.
    pub const EXPECTED: &str = "a path under /api such as /api/users/20202, without a query, of at most 500 \
                                characters; * matches one segment, a last ** any number of segments";

    /// Longest pattern, in characters.
    pub const LONGEST: usize = 500;

    /// Reads a pattern, or returns `None` for an invalid one. Ignores a slash at the end, as in paths.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut rest = text.strip_prefix('/').filter(|_| text.len() <= Self::LONGEST)?;
        let open = rest.strip_suffix("/**");
        rest = open.unwrap_or(rest);
        let segments: Vec<Segment> = rest.split('/').map(read_segment).collect::<Option<_>>()?;
        let is_under_api = segments.first() == Some(&Segment::Is("api".to_owned()));
        is_under_api.then(|| Self { text: text.to_owned(), segments, is_open: open.is_some() })
    }

    /// Returns the pattern as sent, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the pattern matches a path.
    pub fn matches(&self, path: &str) -> bool {
        self.fits(path, |expected, found| expected == found)
    }

    /// Returns the routes of the emulated API with a matching path.
    pub fn matches_template(&self, template: &str) -> bool {
        self.fits(template, |expected, found| found.starts_with('{') || expected == found)
    }

    fn fits(&self, path: &str, is: impl Fn(&str, &str) -> bool) -> bool {
        let mut found = path.split('/').skip(1);
        let begins = self.segments.iter().all(|segment| match (segment, found.next()) {
            (_, None) => false,
            (Segment::Any, Some(_)) => true,
            (Segment::Is(expected), Some(found)) => is(expected, found),
        });
        begins && (self.is_open || found.next().is_none())
    }
}

fn read_segment(text: &str) -> Option<Segment> {
    let is_name = |name: &str| !name.contains(['{', '}']);
    if text == "*" || text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(is_name) {
        return Some(Segment::Any);
    }
    // the characters of a segment in RFC 3986, without the asterisk
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&byte);
    (!text.is_empty() && text.bytes().all(is_plain)).then(|| Segment::Is(text.to_owned()))
}

/// A pattern for event types. `*` matches any number of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPattern(String);

impl EventPattern {
    /// Description of a valid pattern, for error details.
    pub const EXPECTED: &str = "an event type such as concierge_request_output_*; * matches any number of characters";

    /// Reads a pattern, or returns `None` for an invalid one.
    pub fn read(text: &str) -> Option<Self> {
        /// Longer than any event type.
        const LONGEST: usize = 100;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'*';
        let is_pattern = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_plain);
        is_pattern.then(|| Self(text.to_owned()))
    }

    /// Returns the pattern as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the pattern matches an event type.
    pub fn matches(&self, event_type: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = event_type.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            // the earliest match leaves most text for the next parts
            let Some(place) = rest.find(part) else { return false };
            rest = &rest[place + part.len()..];
        }
        rest.ends_with(last)
    }
}
