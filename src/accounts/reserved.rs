//! The ids that every account begins with. They are part of the contract: documented commands name them.

/// The user that manages all other users of its account.
pub const MASTER_USER: i64 = 50505;

/// The id of the first output of an account, as the guides print it.
pub const FIRST_OUTPUT: i64 = 32323;

/// The next id of each type in a fresh account.
pub const FIRST_IDS: [(&str, i64); 5] = [
    ("users", MASTER_USER + 1),
    ("withdrawal_instructions", 2122),
    ("concierge_requests", 1011),
    ("concierge_request_outputs", FIRST_OUTPUT),
    ("events", 1),
];
