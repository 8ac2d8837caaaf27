//! Reads a seed document: each resource by the rules of its own module, and its state.

use schemars::JsonSchema;
use serde::Serialize;

use super::{KINDS, STATE_NOT_SEEDABLE, Seed, SeedReference, SeedType, SeededOutput, SeededWallet};
use crate::concierge::outputs::state::State;
use crate::concierge::users::User;
use crate::concierge::users::state::ComplianceState;
use crate::concierge::{cash_wallets, outputs, ports, requests, users, withdrawal_instructions};
use crate::events::address::AddressRules;
use crate::jsonapi::document::{Identifier, Reader};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, Errors};
use crate::jsonapi::schema::{Relationship, Schema};

/// A wallet in a seed. It names its user; the API's own documents don't.
static WALLET: Schema = Schema {
    relationships: &[Relationship::to_one("user", &users::document::SCHEMA).own_document()],
    ..cash_wallets::SCHEMA
};

/// Schemas of the resources in a seed.
pub const SEEDED: &[&Schema] = &[
    &users::document::SCHEMA,
    &withdrawal_instructions::document::SCHEMA,
    &requests::document::SCHEMA,
    &outputs::document::SCHEMA,
    &WALLET,
];

/// The largest id: 15 digits. Enough ids remain beyond it, and every JSON reader keeps all its digits.
const LARGEST_ID: i64 = 999_999_999_999_999;
/// States that an output of a draft may have.
const OUTPUT_STATES: [State; 3] = [State::Accepting, State::Accepted, State::Rejected];
/// Default `rejection_reason` of a rejected output.
const REASON: &str = "the preliminary checks failed";
/// Maximum length of `rejection_reason`, in characters.
const LONGEST: usize = 255;

/// Reads a seed document. Resources without a user belong to `acting`.
///
/// The returned reader holds the faults found so far. Checks against the account add theirs to it.
///
/// # Errors
/// A body without an array of resources.
pub fn read(body: &[u8], acting: i64, rules: &AddressRules) -> Result<(Seed, Reader), Errors> {
    let mut reader = Reader::open_many(body)?;
    let mut seed = Seed::default();
    let types: Vec<&str> = SEEDED.iter().map(|schema| schema.type_name).collect();
    for place in 0..reader.count() {
        reader.turn_to(place);
        let Some(at) = reader.type_among(&types) else { continue };
        let mut item = Item { reader: &mut reader, seed: &mut seed, place, acting };
        match KINDS.get(at) {
            Some(SeedType::User) => item.user(rules),
            Some(SeedType::WithdrawalInstruction) => item.instruction(),
            Some(SeedType::Request) => item.request(),
            Some(SeedType::Output) => item.output(),
            None => item.wallet(),
        }
    }
    Ok((seed, reader))
}

/// The resource being read.
struct Item<'a> {
    reader: &'a mut Reader,
    seed: &'a mut Seed,
    place: usize,
    acting: i64,
}

impl Item<'_> {
    fn id(&mut self, kind: SeedType) -> Option<i64> {
        let expected = "a number from 1 to 999999999999999, as a string or a number";
        let id = self.reader.own_id(expected)?.number();
        if !(1..=LARGEST_ID).contains(&id) {
            self.reader.invalid_id(expected);
            return None;
        }
        self.seed.ids.push((kind, id, self.place));
        Some(id)
    }

    /// Reads the id in a relationship. Returns 0, which is no valid id, if it is unreadable.
    fn reference(&mut self, schema: &'static Schema, name: &'static str, kind: SeedType) -> i64 {
        let is_acting = !self.reader.has_relationship(name) && schema.type_name != outputs::document::SCHEMA.type_name;
        if is_acting {
            return self.acting;
        }
        let Some(id) = self.reader.linkage(schema, name, true) else { return 0 };
        let number = id.number();
        self.seed.references.push(SeedReference { place: self.place, name, kind, id });
        number
    }

    fn user(&mut self, rules: &AddressRules) {
        let id = self.id(SeedType::User);
        self.reader.only_attributes_of(&users::document::SCHEMA);
        let email = users::document::read_email(self.reader);
        let name = self.reader.text("name", users::document::LONGEST);
        let state = self.reader.text("compliance_state", usize::MAX);
        let compliance_state = state.as_deref().map_or(Some(ComplianceState::New), ComplianceState::named);
        if compliance_state.is_none() {
            self.reader.invalid("compliance_state", "new, enabled, disabled or rejected");
        }
        let mut flag = |name: &str| self.reader.boolean(name);
        let (kyc_accepted, otp_enabled) = (flag("kyc_accepted"), flag("otp_enabled"));
        let (do_not_email, trezor_login_enabled) = (flag("do_not_email"), flag("trezor_login_enabled"));
        let webhook_url = users::document::read_webhook_url(self.reader, "webhook_url", rules);
        let (Some(id), Some(compliance_state)) = (id, compliance_state) else { return };
        self.seed.users.push(User {
            id,
            // as for users created through the API
            name: name.or_else(|| email.clone()),
            email,
            kyc_accepted: kyc_accepted.unwrap_or(compliance_state == ComplianceState::Enabled),
            otp_enabled: otp_enabled.unwrap_or_default(),
            do_not_email: do_not_email.unwrap_or_default(),
            trezor_login_enabled: trezor_login_enabled.unwrap_or_default(),
            compliance_state,
            webhook_url,
        });
    }

    fn instruction(&mut self) {
        let id = self.id(SeedType::WithdrawalInstruction);
        self.reader.only_attributes_of(&withdrawal_instructions::document::SCHEMA);
        let new = withdrawal_instructions::document::read(self.reader);
        let user_id = self.reference(&withdrawal_instructions::document::SCHEMA, "user", SeedType::User);
        self.seed.instructions.extend(id.zip(new).map(|(id, new)| (id, user_id, new)));
    }

    fn request(&mut self) {
        let id = self.id(SeedType::Request);
        self.reader.only_attributes_of(&requests::document::SCHEMA);
        let new = requests::document::read(self.reader);
        let draft = requests::state::MACHINE.states[0].name();
        let state = self.reader.text("state", usize::MAX);
        self.check_state(state.as_deref(), &requests::state::NAMES, &[draft]);
        let user_id = self.reference(&requests::document::SCHEMA, "user", SeedType::User);
        self.seed.requests.extend(id.zip(new).map(|(id, new)| (id, user_id, new)));
    }

    fn output(&mut self) {
        let id = self.id(SeedType::Output);
        self.reader.only_attributes_of(&outputs::document::SCHEMA);
        let port_code = ports::read_code(self.reader);
        let price = outputs::document::read_price(self.reader);
        let state = self.reader.text("state", usize::MAX);
        self.check_state(state.as_deref(), &outputs::state::NAMES, &OUTPUT_STATES.map(State::name));
        let state = state.as_deref().map_or(Some(State::Accepting), |state| outputs::state::MACHINE.named(state));
        let reason = self.reader.text("rejection_reason", LONGEST);
        let is_rejected = state == Some(State::Rejected);
        if reason.is_some() && !is_rejected {
            let pointer = self.reader.pointer("rejection_reason");
            let detail = "`rejection_reason` requires the state \"rejected\"; set that `state` or leave the reason out";
            self.reader.fault(ATTRIBUTE_INVALID, &pointer, detail);
        }
        let rejection_reason = is_rejected.then(|| reason.unwrap_or_else(|| REASON.to_owned()));
        let request_id = self.reference(&outputs::document::SCHEMA, "request", SeedType::Request);
        let user_id = self.reference(&outputs::document::SCHEMA, "user", SeedType::User);
        let withdrawal_instruction_id =
            self.reference(&outputs::document::SCHEMA, "withdrawal_instruction", SeedType::WithdrawalInstruction);
        let (Some(id), Some(port_code), Some(price), Some(state)) = (id, port_code, price, state) else { return };
        self.seed.outputs.push(SeededOutput {
            place: self.place,
            id,
            request_id,
            user_id,
            withdrawal_instruction_id,
            port_code,
            price,
            state,
            rejection_reason,
        });
    }

    /// Checks that a resource may be seeded in its state, if it names one.
    fn check_state(&mut self, state: Option<&str>, known: &[&str], seedable: &[&str]) {
        let Some(state) = state.filter(|state| !seedable.contains(state)) else { return };
        if !known.contains(&state) {
            self.reader.invalid("state", format_args!("{}", seedable.join(" or ")));
            return;
        }
        let detail = format!(
            "`state` is {state:?}; it must be {}, because transitions to later states move money and set times. Seed \
             the request as a draft with its outputs, then POST {{\"state\":…,\"through\":true}} to \
             /_sandbox/simulations/concierge_requests/ID/transition",
            seedable.join(" or ")
        );
        let pointer = self.reader.pointer("state");
        self.reader.fault(STATE_NOT_SEEDABLE, &pointer, detail);
    }

    fn wallet(&mut self) {
        const EXPECTED: &str = "the currency of a port, such as ars";
        self.reader.only_attributes_of(&WALLET);
        let id = self.reader.own_id(EXPECTED);
        let currency = id.as_ref().and_then(|Identifier { text }| cash_wallets::currency(text));
        if id.is_some() && currency.is_none() {
            self.reader.invalid_id(EXPECTED);
        }
        let named = self.reader.text("currency", usize::MAX);
        if let (Some(named), Some(currency)) = (named, &currency)
            && !named.eq_ignore_ascii_case(currency)
        {
            self.reader.invalid("currency", format_args!("{currency:?} like the id, or left out"));
        }
        if self.reader.is_null("balance") {
            self.reader.missing("balance", "an amount of money, such as 1000");
        }
        let balance = self.reader.decimal_from_zero("balance");
        let user_id = self.reference(&WALLET, "user", SeedType::User);
        let (Some(currency), Some(balance)) = (currency, balance) else { return };
        if self.seed.wallets.iter().any(|other| (other.user_id, &other.currency) == (user_id, &currency)) {
            self.reader.invalid_id("unique for each user; the document already has this wallet of the user");
        }
        self.seed.wallets.push(SeededWallet { user_id, currency, balance });
    }
}

/// Result of a seed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SeedResult {
    /// Number of inserted resources by type.
    seeded: SeededCounts,
}

/// Number of inserted resources by type.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SeededCounts {
    /// Number of users.
    users: usize,
    /// Number of withdrawal instructions.
    withdrawal_instructions: usize,
    /// Number of requests.
    concierge_requests: usize,
    /// Number of outputs.
    concierge_request_outputs: usize,
    /// Number of wallets, new ones and replaced ones.
    cash_wallets: usize,
}

/// Renders the number of seeded resources of each type.
pub fn render(seed: &Seed) -> SeedResult {
    SeedResult {
        seeded: SeededCounts {
            users: seed.users.len(),
            withdrawal_instructions: seed.instructions.len(),
            concierge_requests: seed.requests.len(),
            concierge_request_outputs: seed.outputs.len(),
            cash_wallets: seed.wallets.len(),
        },
    }
}
