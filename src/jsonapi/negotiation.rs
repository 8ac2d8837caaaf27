//! Content negotiation: which media types come in, and whether ours may go out.

use super::MEDIA_TYPE;
use super::error::{ACCEPT_UNSUPPORTED, Error, MEDIA_TYPE_UNSUPPORTED};

/// Checks the `Content-Type` of a request.
///
/// # Errors
/// 415 where it is JSON:API's with a parameter other than `profile`: extensions (`ext`) are not supported, and any
/// other parameter is forbidden by the specification. Where there is a body, also if it is missing or another type.
pub fn check_content_type(header: Option<&str>, has_body: bool) -> Result<(), Error> {
    let unsupported = |detail: String| Err(Error::new(MEDIA_TYPE_UNSUPPORTED, detail).header("Content-Type"));
    let expected = format!("send {MEDIA_TYPE} or application/json");
    let Some(header) = header else {
        return if has_body { unsupported(format!("is missing; {expected}")) } else { Ok(()) };
    };
    let media = MediaType::read(header);
    if !media.is(MEDIA_TYPE) {
        let fits = !has_body || media.is("application/json");
        return if fits { Ok(()) } else { unsupported(format!("is \"{header}\"; {expected}")) };
    }
    match media.forbidden_parameter() {
        None => Ok(()),
        Some("ext") => unsupported("names an extension; none is supported, leave `ext` out".into()),
        Some(name) => unsupported(format!("has the parameter `{name}`, which JSON:API forbids; leave it out")),
    }
}

/// Checks that `Accept` leaves room for JSON:API without parameters. A client that names other types only gets
/// JSON:API all the same, as HTTP allows.
///
/// # Errors
/// 406 where it names JSON:API, and every time with a parameter that can't be honoured.
pub fn check_accept(header: Option<&str>) -> Result<(), Error> {
    let Some(header) = header else { return Ok(()) };
    let mut ours = split_quoted(header, ',').map(MediaType::read).filter(|media| media.is(MEDIA_TYPE)).peekable();
    if ours.peek().is_none() || ours.any(|media| media.without_weight().forbidden_parameter().is_none()) {
        return Ok(());
    }
    let detail = format!("names {MEDIA_TYPE} only with parameters that can't be honoured; accept it without them");
    Err(Error::new(ACCEPT_UNSUPPORTED, detail).header("Accept"))
}

/// Whether a client would rather have `one` than any of `others`: `Accept` names it or its kind (such as `text/*`), with
/// a weight that isn't below theirs. `*/*` asks for nothing in particular.
pub fn prefers(header: &str, one: &str, others: &[&str]) -> bool {
    let others = others.iter().filter_map(|other| weight(header, other)).map(|(_, weight)| weight);
    let most = others.fold(0.0, f32::max);
    weight(header, one).is_some_and(|(range, weight)| range != Range::Any && weight > 0.0 && weight >= most)
}

/// How exactly a part of `Accept` names a type; the most exact one decides.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Range {
    Any,
    Kind,
    Exact,
}

/// The weight, from 0 to 1, that `Accept` gives a type, and how exactly it names it; `None` where it doesn't.
fn weight(header: &str, name: &str) -> Option<(Range, f32)> {
    let kind = name.split('/').next().unwrap_or_default();
    let weighed = split_quoted(header, ',').map(MediaType::read).filter_map(|media| {
        let range = match media.name.split_once('/') {
            _ if media.is(name) => Range::Exact,
            Some((found, "*")) if found.eq_ignore_ascii_case(kind) => Range::Kind,
            Some(("*", "*")) => Range::Any,
            _ => return None,
        };
        Some((range, media.weight()))
    });
    weighed.reduce(|most, other| if other > most { other } else { most })
}

/// One media type with its parameters, as text.
struct MediaType<'a> {
    name: &'a str,
    parameters: Vec<&'a str>,
}

impl<'a> MediaType<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = split_quoted(text, ';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        Self { name, parameters: parts.filter(|part| !part.is_empty()).collect() }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Its `q`, 1 where there is none that can be used.
    fn weight(&self) -> f32 {
        let named = self.parameters.iter().filter_map(|parameter| parameter.split_once('='));
        let mut weights = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let weight = weights.next().and_then(|(_, weight)| weight.trim().parse().ok());
        weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0)
    }

    /// The same without `q`, which belongs to `Accept` and not to the media type.
    fn without_weight(mut self) -> Self {
        self.parameters
            .retain(|parameter| !parameter.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case("q"));
        self
    }

    /// The first parameter that may not be there.
    fn forbidden_parameter(&self) -> Option<&'a str> {
        let mut names = self.parameters.iter().map(|parameter| parameter.split('=').next().unwrap_or_default().trim());
        names.find(|name| !name.eq_ignore_ascii_case("profile"))
    }
}

/// Splits at a separator outside of quotation marks.
pub fn split_quoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |character| {
        if escaped {
            escaped = false;
            return false;
        }
        match character {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        character == separator && !quoted
    })
}
