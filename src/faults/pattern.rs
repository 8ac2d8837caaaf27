//! What faults match: paths of the emulated API, and types of events.

/// A set of paths: segments, of which `*` (or a name in braces, such as `{id}`) stands for any one, and a last `**` for
/// any number of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    /// Whether anything may follow.
    is_open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Is(String),
    Any,
}

impl PathPattern {
    /// What a text has to be, for complaints.
    pub const EXPECTED: &str = "a path under /api such as /api/users/20202, in which * stands for one segment and a last \
                                ** for any number of them, without a query, of at most 500 characters";

    /// How long it can be.
    pub const LONGEST: usize = 500;

    /// Reads a pattern; `None` where it isn't one. A slash at its end means as little as one at the end of a path.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut rest = text.strip_prefix('/').filter(|_| text.len() <= Self::LONGEST)?;
        let open = rest.strip_suffix("/**");
        rest = open.unwrap_or(rest);
        let segments: Vec<Segment> = rest.split('/').map(read_segment).collect::<Option<_>>()?;
        let is_under_api = segments.first() == Some(&Segment::Is("api".to_owned()));
        is_under_api.then(|| Self { text: text.to_owned(), segments, is_open: open.is_some() })
    }

    /// As it was sent, but for a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path is one of these.
    pub fn matches(&self, path: &str) -> bool {
        self.fits(path, |expected, found| expected == found)
    }

    /// Whether a path is one of these that fits a template, whose segments in braces stand for any one.
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
    // what RFC 3986 has in a segment, but for the asterisk
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&byte);
    (!text.is_empty() && text.bytes().all(is_plain)).then(|| Segment::Is(text.to_owned()))
}

/// A set of event types: names in which `*` stands for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPattern(String);

impl EventPattern {
    /// What a text has to be, for complaints.
    pub const EXPECTED: &str =
        "a type of events such as concierge_request_output_*, in which * stands for any number of characters";

    /// Reads a pattern; `None` where it isn't one.
    pub fn read(text: &str) -> Option<Self> {
        /// No type of event is as long.
        const LONGEST: usize = 100;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'*';
        let is_pattern = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_plain);
        is_pattern.then(|| Self(text.to_owned()))
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a type of event is one of these.
    pub fn matches(&self, event_type: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = event_type.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            // the earliest place leaves most for the others
            let Some(place) = rest.find(part) else { return false };
            rest = &rest[place + part.len()..];
        }
        rest.ends_with(last)
    }
}
