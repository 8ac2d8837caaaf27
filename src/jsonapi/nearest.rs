//! Finds the known name nearest to an unknown one.

/// Maximum length of a compared name, in characters. A longer name is near to none.
const LONGEST: usize = 64;
/// Maximum number of typing errors: a letter too many, too few, wrong, or exchanged with its neighbour.
const ERRORS: usize = 3;

/// Returns the known name that an unknown one probably stands for. The nearest differs only in case or separators. Next
/// come names with a few typing errors, then names with the same words and more, such as `request` for `my_request`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let is_short = name.chars().nth(LONGEST).is_none();
    let sent = if is_short { words(name) } else { Vec::new() };
    let distances = known.into_iter().filter_map(|known| Some((distance(&sent, &words(known))?, known)));
    distances.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// Returns the distance between two names; `None` if they are not near.
fn distance(name: &[String], known: &[String]) -> Option<usize> {
    if name.is_empty() || known.is_empty() {
        return None;
    }
    let (letters, known_letters) = (name.concat(), known.concat());
    let errors = strsim::osa_distance(&letters, &known_letters);
    let most = letters.chars().count().max(known_letters.chars().count()) / 3;
    if errors <= most.min(ERRORS) {
        return Some(errors);
    }
    let (longer, shorter) = if name.len() < known.len() { (known, name) } else { (name, known) };
    let has_words = longer.starts_with(shorter) || longer.ends_with(shorter);
    has_words.then(|| ERRORS + longer.len() - shorter.len())
}

/// Splits a name into its words, in lower case: at separators, and at capitals after small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for letter in name.chars() {
        let is_new = !letter.is_alphanumeric() || (was_small && letter.is_uppercase());
        if is_new && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}
