//! The links in the snapshot of a resource. Their origin depends on the receiver, so it is put in when an event is sent.

use crate::jsonapi::render::{Resource, Value};

/// Finds the links in the JSON of a resource, whose links are under `origin`. Returns the place of each path, in bytes.
///
/// Texts can't be taken for a link: their quotation marks are escaped.
pub fn find(resource: &Resource, json: &str, origin: &str) -> Vec<i32> {
    let place = |(name, value): &(&str, Value)| {
        let Value::Link(path) = value else { return None };
        let start = format!("\"{name}\":\"{origin}");
        let at = json.find(&format!("{start}{path}\""))?;
        i32::try_from(at + start.len()).ok()
    };
    resource.attributes.iter().filter_map(place).collect()
}

/// Puts the links in the JSON of a resource under another origin. `places` are those of their paths.
///
/// Without places or an origin, it returns the JSON as it was recorded.
pub fn put_under(json: String, places: Option<&[i32]>, origin: Option<&str>) -> String {
    let (Some(places), Some(origin)) = (places, origin) else { return json };
    let mut put = String::with_capacity(json.len() + places.len() * origin.len());
    let mut written = 0;
    for place in places {
        let path = usize::try_from(*place).unwrap_or_default();
        let Some(before) = json.get(written..path) else { break };
        // no origin has a quotation mark: the last one before the path opens the link
        put += before.rfind('"').map_or(before, |mark| &before[..=mark]);
        put += origin;
        written = path;
    }
    put += &json[written..];
    put
}
