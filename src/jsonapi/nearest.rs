//! Names that resemble a misspelt one: known names for a sent one, or sent names for a missing one.

use std::cmp::Reverse;

/// Maximum length of a candidate, in bytes: no known name is longer, and a distance costs the product of both lengths.
const LONGEST: usize = 64;

/// Returns the candidate that resembles `name` most, if any does.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    similar(name, candidates).into_iter().next()
}

/// Returns the candidates that resemble `name`, the nearest first.
///
/// A candidate is near if few letters differ, or only case and separators, or if it begins or ends with the words of
/// `name`, or `name` with its words.
pub fn similar<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = snake_case(name);
    let near = candidates.into_iter().filter_map(|candidate| Some((distance(&name, candidate)?, candidate)));
    let mut near: Vec<_> = near.collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// A measure of difference, the smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    /// Number of letters to change.
    Letters(usize),
    /// Number of words in common.
    Words(Reverse<usize>),
}

/// Returns the distance of a candidate from a name in snake case; `None` if they don't resemble each other.
fn distance(name: &str, candidate: &str) -> Option<Distance> {
    if name.len() > LONGEST || candidate.len() > LONGEST {
        return None;
    }
    let candidate = snake_case(candidate);
    let letters = strsim::damerau_levenshtein(name, &candidate);
    // one letter of a short word, and one more for every four letters beyond
    let most = (name.chars().count().max(candidate.chars().count()) + 2) / 4;
    if letters <= most {
        return Some(Distance::Letters(letters));
    }
    let (one, other) = (words(name), words(&candidate));
    let (longer, shorter) = if one.len() < other.len() { (other, one) } else { (one, other) };
    let has_words = !shorter.is_empty() && (longer.starts_with(&shorter) || longer.ends_with(&shorter));
    has_words.then_some(Distance::Words(Reverse(shorter.len())))
}

/// Returns the words of a name in snake case, in the singular.
fn words(name: &str) -> Vec<&str> {
    let words = name.split('_').filter(|word| !word.is_empty());
    words.map(|word| word.strip_suffix('s').unwrap_or(word)).collect()
}

/// Converts a name to snake case, from camel case, kebab case or upper case.
fn snake_case(name: &str) -> String {
    let mut converted = String::with_capacity(name.len());
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && after_lower {
            converted.push('_');
        }
        after_lower = letter.is_lowercase();
        match letter {
            '-' | ' ' => converted.push('_'),
            letter => converted.extend(letter.to_lowercase()),
        }
    }
    converted
}
