//! Seed documents, read and checked against an empty account: an error is the client's.

#![no_main]

use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::sandbox::seed::document::read;
use concierge_sandbox::sandbox::seed::validate::{ExistingData, validate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let read = read(body, 50505, &AddressRules::default()).and_then(|(seed, mut reader)| {
        validate(&mut reader, &seed, &ExistingData::default());
        reader.finish(Some(()))
    });
    if let Err(errors) = read {
        assert!((400..500).contains(&errors.status()), "{errors:?}");
        assert!(!errors.render().is_empty());
    }
});
