//! Query strings of every resource, and media types: an error is the client's.

#![no_main]

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::negotiation::{check_accept, check_content_type};
use concierge_sandbox::jsonapi::query::{Query, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for schema in SCHEMAS {
        for target in [Target::Collection, Target::Single, Target::Nothing] {
            if let Err(errors) = Query::read(Some(text), schema, target) {
                assert_eq!(errors.status(), 400, "{errors:?}");
                assert!(!errors.render().is_empty());
            }
        }
    }
    for result in
        [check_accept(Some(text)), check_content_type(Some(text), true), check_content_type(Some(text), false)]
    {
        if let Err(error) = result {
            assert!([406, 415].contains(&error.code.status), "{error:?}");
        }
    }
});
