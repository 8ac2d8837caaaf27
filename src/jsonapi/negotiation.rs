//! Content negotiation: the media types of requests and answers, and the encoding of requests.

use super::MEDIA_TYPE;
use super::error::{ACCEPT_UNSUPPORTED, CONTENT_ENCODING_UNSUPPORTED, Error, MEDIA_TYPE_UNSUPPORTED};

/// Checks the `Content-Type` of a request.
///
/// # Errors
/// 415 for JSON:API's type with a parameter other than `profile`: extensions (`ext`) are not supported, and the
/// specification forbids any other parameter. With a body, also 415 for a missing header or another type.
pub fn check_content_type(header: Option<&str>, has_body: bool) -> Result<(), Error> {
    let unsupported = |fault: String| {
        Err(Error::new(MEDIA_TYPE_UNSUPPORTED, format!("`Content-Type` {fault}")).header("Content-Type"))
    };
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
        Some("ext") => unsupported("has the parameter `ext`; extensions are not supported, leave it out".into()),
        Some(name) => unsupported(format!("has the parameter `{name}`; JSON:API forbids it, leave it out")),
    }
}

/// The only encoding of a body: none.
pub const IDENTITY: &str = "identity";

/// Checks the `Content-Encoding` of a request with a body.
///
/// # Errors
/// 415 for any encoding but `identity`.
pub fn check_content_encoding(header: Option<&str>) -> Result<(), Error> {
    let Some(header) = header else { return Ok(()) };
    let mut encodings = header.split(',').map(str::trim).filter(|encoding| !encoding.is_empty());
    if encodings.all(|encoding| encoding.eq_ignore_ascii_case(IDENTITY)) {
        return Ok(());
    }
    let detail = format!("`Content-Encoding` is \"{header}\"; send the body as it is, without this header");
    Err(Error::new(CONTENT_ENCODING_UNSUPPORTED, detail).header("Content-Encoding"))
}

/// Checks that `Accept` allows JSON:API without parameters. A client that names other types only gets JSON:API all the
/// same, as HTTP allows.
///
/// # Errors
/// 406 if it names JSON:API, and each time with an unsupported parameter.
pub fn check_accept(header: Option<&str>) -> Result<(), Error> {
    let Some(header) = header else { return Ok(()) };
    let mut ours = split_quoted(header, ',').map(MediaType::read).filter(|media| media.is(MEDIA_TYPE)).peekable();
    if ours.peek().is_none() || ours.any(|media| media.without_weight().forbidden_parameter().is_none()) {
        return Ok(());
    }
    let detail = format!("`Accept` names {MEDIA_TYPE} only with unsupported parameters; accept it without parameters");
    Err(Error::new(ACCEPT_UNSUPPORTED, detail).header("Accept"))
}

/// Returns whether a client prefers the type `one` to all of `others`: `Accept` names it or its kind (such as
/// `text/*`), with at least their weight. `*/*` expresses no preference.
pub fn prefers(header: &str, one: &str, others: &[&str]) -> bool {
    let others = others.iter().filter_map(|other| weight(header, other)).map(|(_, weight)| weight);
    let most = others.fold(0.0, f32::max);
    weight(header, one).is_some_and(|(range, weight)| range != Range::Any && weight > 0.0 && weight >= most)
}

/// The precision of a type in `Accept`; the most precise match decides.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Range {
    Any,
    Kind,
    Exact,
}

/// Returns the weight of a type in `Accept`, from 0 to 1, and the precision of the match; `None` without a match.
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

    /// Returns its `q`, or 1 if it has no valid one.
    fn weight(&self) -> f32 {
        let named = self.parameters.iter().filter_map(|parameter| parameter.split_once('='));
        let mut weights = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let weight = weights.next().and_then(|(_, weight)| weight.trim().parse().ok());
        weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0)
    }

    /// Removes `q`, which belongs to `Accept` and not to the media type.
    fn without_weight(mut self) -> Self {
        self.parameters
            .retain(|parameter| !parameter.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case("q"));
        self
    }

    /// Returns the first forbidden parameter.
    fn forbidden_parameter(&self) -> Option<&'a str> {
        let mut names = self.parameters.iter().map(|parameter| parameter.split('=').next().unwrap_or_default().trim());
        names.find(|name| !name.eq_ignore_ascii_case("profile"))
    }
}

/// Splits a text at each separator outside of quotation marks.
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
