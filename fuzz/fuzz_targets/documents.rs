//! Bodies of the emulated API, read by every reader: an error is the client's.

#![no_main]

use concierge_sandbox::concierge::{estimates, outputs, requests, users, withdrawal_instructions};
use concierge_sandbox::events::address::AddressRules;
use concierge_sandbox::jsonapi::document::Purpose;
use concierge_sandbox::sandbox::clock::document::{read_advance, read_set};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let rules = AddressRules::default();
    let errors = [
        outputs::document::read_new(body).err(),
        users::document::read_new(body).err(),
        users::document::read_changes(body, Purpose::Update("20202"), &rules).err(),
        users::document::read_changes(body, Purpose::UpdateByRole, &rules).err(),
        withdrawal_instructions::document::read_new(body).err(),
        requests::document::read_new(body).err(),
        estimates::document::read_new(body).err(),
        read_advance(body).err(),
        read_set(body).err(),
    ];
    for errors in errors.into_iter().flatten() {
        assert!((400..500).contains(&errors.status()), "{errors:?}");
        // rendering must not fail either
        assert!(!errors.render().is_empty());
    }
});
