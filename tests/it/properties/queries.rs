//! Reading query strings, writing links, and media types with parameters.

use std::collections::HashSet;
use std::fmt::Write;

use concierge_sandbox::concierge::{SCHEMAS, outputs, requests};
use concierge_sandbox::jsonapi::error::Source;
use concierge_sandbox::jsonapi::links::{Links, PageOf};
use concierge_sandbox::jsonapi::negotiation::{check_accept, check_content_type};
use concierge_sandbox::jsonapi::query::{Query, Target};
use concierge_sandbox::jsonapi::schema::Schema;
use form_urlencoded::{Serializer, parse};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use super::values::{Style, styles};

/// Prints the content of a query, independent of the order of its parameters.
fn meaning(query: &Query) -> (String, [Vec<String>; 3]) {
    let ordered = format!("{:?} {:?} {:?} {:?}", query.include, query.is_compound, query.sort, query.page);
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    let fields = query.fields.iter().map(|fields| format!("{fields:?}")).collect();
    let filters = query.filters.iter().map(|filter| format!("{filter:?}")).collect();
    let others = parse(query.others.as_bytes()).map(|other| format!("{other:?}")).collect();
    (ordered, [sorted(fields), sorted(filters), sorted(others)])
}

/// Generates valid parameters of a collection of outputs or requests.
fn parameters() -> impl Strategy<Value = (&'static Schema, Vec<(String, String)>)> {
    let list = |all: Vec<&'static str>| {
        let length = all.len();
        subsequence(all, 0..=length).prop_shuffle().prop_map(|all| all.join(","))
    };
    let optional = |name: &'static str, values: BoxedStrategy<String>| {
        prop::option::of(values.prop_map(move |value| (name.to_owned(), value)))
    };
    let size = (select(vec!["page[size]", "page[per_page]", "page[limit]"]), 1..=1000_u32);
    let starts = vec!["page[number]", "page[page]", "page[offset]", "page[after]", "page[before]"];
    let page = (prop::option::of(size), prop::option::of((select(starts), 1..=u32::MAX))).prop_map(|(size, start)| {
        [size, start].map(|part| part.map(|(name, value)| (name.to_owned(), value.to_string())))
    });
    let of_outputs = (
        optional(
            "include",
            list(vec!["user", "request", "withdrawal_instruction.user", "request.outputs.user"]).boxed(),
        ),
        optional(
            "sort",
            select(vec!["id", "-id", "state,-port_code", "-state,port_code,id", "port_code"])
                .prop_map(str::to_owned)
                .boxed(),
        ),
        optional("fields[users]", list(vec!["name", "email", "webhook_url"]).boxed()),
        optional("fields[concierge_request_outputs]", list(vec!["state", "amount", "user"]).boxed()),
        optional("filter[state]", select(vec!["accepting", "accepted,rejected"]).prop_map(str::to_owned).boxed()),
        optional("filter[user_id]", "[0-9]{1,20}(,[0-9]{1,20})?".boxed()),
        optional("filter[port_code]", escaped()),
    );
    let of_requests = (
        optional("include", list(vec!["user", "outputs", "outputs.withdrawal_instruction"]).boxed()),
        optional("fields[concierge_requests]", list(vec!["state", "outputs", "external_id"]).boxed()),
        optional("filter[external_id]", escaped()),
    );
    let of_outputs =
        of_outputs.prop_map(|(a, b, c, d, e, f, g)| (&outputs::document::SCHEMA, vec![a, b, c, d, e, f, g]));
    let of_requests = of_requests.prop_map(|(a, b, c)| (&requests::document::SCHEMA, vec![a, b, c]));
    (prop_oneof![of_outputs, of_requests], page).prop_map(|((schema, mut all), page)| {
        all.extend(page);
        (schema, all.into_iter().flatten().collect())
    })
}

/// Generates values of a filter by free text, escaped.
fn escaped() -> BoxedStrategy<String> {
    prop::collection::vec("[^\0]{0,4}", 1..3).prop_map(|values| join(&values)).boxed()
}

/// Escapes values of a filter by free text.
fn join(values: &[String]) -> String {
    let escaped: Vec<String> = values.iter().map(|value| value.replace('\\', r"\\").replace(',', r"\,")).collect();
    escaped.join(",")
}

/// Encodes a name or value in one of several ways.
fn encode(text: &str, style: &mut Style, into: &mut String) {
    for byte in text.bytes() {
        let plain = byte.is_ascii_graphic() && !b"&=+%#".contains(&byte);
        match style.choose() % 4 {
            0 => write!(into, "%{byte:02X}").unwrap(),
            1 => write!(into, "%{byte:02x}").unwrap(),
            _ if plain => into.push(char::from(byte)),
            _ if byte == b' ' => into.push('+'),
            _ => write!(into, "%{byte:02X}").unwrap(),
        }
    }
}

/// Generates a query string of meaningful pieces in any order.
fn nonsense() -> impl Strategy<Value = String> {
    let pieces = [
        "include",
        "fields",
        "sort",
        "filter",
        "page",
        "[",
        "]",
        "=",
        "=",
        "&",
        "&",
        ",",
        "-",
        ".",
        "%",
        "%5B",
        "%5D",
        "%00",
        "%ff",
        "+",
        "users",
        "user",
        "state",
        "id",
        "size",
        "number",
        "offset",
        "after",
        "1",
        "0",
        "é",
        "page[size]=",
        "filter[state]=",
        "fields[users]=",
        "&sort=",
        "&include=",
        "draft",
        "accepting",
        "concierge_request_outputs",
    ];
    let known = prop::collection::vec(select(pieces.to_vec()), 0..14).prop_map(|pieces| pieces.concat());
    prop_oneof![3 => known, 1 => "\\PC{0,20}", 1 => "[a-z\\[\\]=&,%.0-9+-]{0,40}"]
}

fn targets() -> impl Strategy<Value = Target> {
    select(vec![Target::Collection, Target::Single, Target::Nothing])
}

proptest! {
    #![proptest_config(super::cases(600))]

    #[test]
    fn parameter_order_and_encoding_are_ignored(
        ((schema, plain), shuffled) in parameters().prop_flat_map(|found| (Just(found.clone()), Just(found.1).prop_shuffle())),
        mut style in styles(),
    ) {
        let canonical = Serializer::new(String::new()).extend_pairs(&plain).finish();
        let expected = Query::read(Some(&canonical), schema, Target::Collection);
        let expected = expected.unwrap_or_else(|errors| panic!("{errors:?} in {canonical}"));
        let mut other = String::new();
        for (name, value) in &shuffled {
            other.push_str(if other.is_empty() { "" } else { "&" });
            other.push_str(if style.choose().is_multiple_of(5) { "&" } else { "" });
            encode(name, &mut style, &mut other);
            other.push('=');
            encode(value, &mut style, &mut other);
        }
        let read = Query::read(Some(&other), schema, Target::Collection);
        let read = read.unwrap_or_else(|errors| panic!("{errors:?} in {other}"));
        prop_assert_eq!(meaning(&read), meaning(&expected), "{}", other);
    }

    #[test]
    fn links_keep_the_query_and_self_keeps_the_page((schema, plain) in parameters(), more in any::<bool>()) {
        let canonical = Serializer::new(String::new()).extend_pairs(&plain).finish();
        let query = Query::read(Some(&canonical), schema, Target::Collection).unwrap();
        let page = PageOf { ends: Some(("5", "9")), more, total: Some(5000) };
        let links = serde_json::to_value(Links::new("", schema.path, &query, page)).unwrap();
        for (name, link) in links.as_object().unwrap() {
            let Some(link) = link.as_str() else { continue };
            let (path, raw) = link.split_once('?').unwrap();
            prop_assert_eq!(path, schema.path);
            prop_assert!(raw.bytes().all(|byte| byte.is_ascii_graphic()), "{}", raw);
            let mut again = Query::read(Some(raw), schema, Target::Collection).unwrap();
            prop_assert_eq!(again.page.size, query.page.size);
            if name != "self" {
                again.page.start = query.page.start;
            }
            prop_assert_eq!(meaning(&again), meaning(&query), "{}", link);
        }
    }

    #[test]
    fn query_errors_are_400_and_name_a_sent_parameter(raw in nonsense(), target in targets()) {
        // a name that is not UTF-8 is shown as it was sent
        let sent = raw.split('&').filter_map(|part| part.split('=').next());
        let read: Vec<String> = parse(raw.as_bytes()).map(|(name, _)| name.into_owned()).collect();
        let names: Vec<String> = sent.map(str::to_owned).chain(read.clone()).collect();
        for schema in SCHEMAS {
            let Err(errors) = Query::read(Some(&raw), schema, target) else {
                let once: Vec<&String> = read.iter().filter(|name| !name.starts_with("filter[")).collect();
                let distinct: HashSet<&&String> = once.iter().collect();
                prop_assert_eq!(distinct.len(), once.len(), "a parameter is there twice in {}", raw);
                prop_assert!(target != Target::Nothing || read.is_empty());
                prop_assert!(!read.iter().any(|text| text.contains('\u{fffd}')), "{} is not UTF-8", raw);
                continue;
            };
            prop_assert_eq!(errors.status(), 400);
            for error in errors.as_slice() {
                let Some(Source::Parameter(name)) = &error.source else { panic!("{error:?}") };
                prop_assert!(names.contains(name), "{:?} names none of {:?}", error, names);
            }
        }
    }

    #[test]
    fn any_text_is_found_among_the_values_of_a_filter(
        values in prop::collection::vec("([^\0]|[,\\\\]){0,6}", 1..5), more in prop::collection::vec("[^\0]{0,3}", 0..3),
        mut style in styles(),
    ) {
        let mut raw = String::from("filter[external_id]=");
        encode(&join(&values), &mut style, &mut raw);
        for (index, value) in more.iter().enumerate() {
            raw.push_str(["&filter[external_id]=", "&filter[external_id][]=", &format!("&filter[external_id][{index}]=")]
                [usize::from(style.choose() % 3)]);
            encode(&join(std::slice::from_ref(value)), &mut style, &mut raw);
        }
        let query = Query::read(Some(&raw), &requests::document::SCHEMA, Target::Collection).unwrap();
        let (filter, read) = &query.filters[0];
        prop_assert_eq!((filter.name, query.filters.len()), ("external_id", 1));
        prop_assert_eq!(read, &[values, more].concat(), "{}", raw);
    }

    #[test]
    fn repeated_parameter_is_refused(
        (schema, mut all) in parameters(), which in any::<Index>(), to in any::<Index>(), mut style in styles(),
    ) {
        // a repeated filter has more values
        all.retain(|(name, _)| !name.starts_with("filter["));
        if all.is_empty() {
            return Ok(());
        }
        let repeated = all[which.index(all.len())].clone();
        all.insert(to.index(all.len() + 1), repeated.clone());
        let mut raw = String::new();
        for (name, value) in &all {
            encode(name, &mut style, &mut raw);
            raw.push('=');
            encode(value, &mut style, &mut raw);
            raw.push('&');
        }
        let errors = Query::read(Some(&raw), schema, Target::Collection).unwrap_err();
        let sources: Vec<_> = errors.as_slice().iter().map(|error| error.source.clone()).collect();
        prop_assert_eq!(sources, [Some(Source::Parameter(repeated.0))]);
    }

    #[test]
    fn media_type_allows_only_the_profile_parameter(
        instances in prop::collection::vec(
            (select(vec!["application/vnd.api+json", "Application/Vnd.Api+JSON", "text/html", "*/*"]),
             prop::collection::vec((select(vec!["profile", "Profile", "ext", "charset", "q", "version"]),
                 select(vec!["x", "\"a b\"", "\"a;ext=b,application/vnd.api+json\"", "\"\\\";,\\\"\"", "0.5"]), " ?; ?"), 0..3)),
            1..4),
    ) {
        let mut texts = Vec::new();
        let mut ours = Vec::new();
        for (name, parameters) in &instances {
            let mut text = (*name).to_owned();
            for (name, value, separator) in parameters {
                write!(text, "{separator}{name}={value}").unwrap();
            }
            let is_ours = name.eq_ignore_ascii_case("application/vnd.api+json");
            let foreign = |but: &[&str]| parameters.iter().any(|(name, ..)| !but.contains(&name.to_lowercase().as_str()));
            prop_assert_eq!(check_content_type(Some(&text), true).is_ok(), is_ours && !foreign(&["profile"]), "{}", text);
            prop_assert_eq!(check_content_type(Some(&text), false).is_ok(), !is_ours || !foreign(&["profile"]), "{}", text);
            if is_ours {
                ours.push(!foreign(&["profile", "q"]));
            }
            texts.push(text);
        }
        let accept = texts.join(", ");
        prop_assert_eq!(check_accept(Some(&accept)).is_ok(), ours.is_empty() || ours.contains(&true), "{}", accept);
    }

    #[test]
    fn arbitrary_header_is_accepted_or_406_or_415(
        text in "(application/vnd\\.api\\+json[;, ]{0,2})?(\\PC{0,30}|[a-z/+;=\",\\\\. ]{0,40})",
    ) {
        for result in [check_content_type(Some(&text), true), check_content_type(Some(&text), false), check_accept(Some(&text))] {
            if let Err(error) = result {
                prop_assert!([406, 415].contains(&error.code.status));
            }
        }
    }
}
