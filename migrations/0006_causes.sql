-- Why things happened: what asked for them to go this way, and what set them off.

-- Of the instruction's body: some numbers are reserved. Kept apart, so that no step of a payment reads a body, which
-- may be large.
alter table withdrawal_instructions
    add column bank_account_number text generated always as (left(body ->> 'bank_account_number', 64)) stored;
