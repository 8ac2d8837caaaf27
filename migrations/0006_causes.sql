-- Why things happened: what asked for them to go this way, and what set them off.

-- Of the instruction's body: some numbers are reserved. Kept apart, so that no step of a payment reads a body, which
-- may be large.
alter table withdrawal_instructions
    add column bank_account_number text generated always as (left(body ->> 'bank_account_number', 64)) stored;

alter table concierge_request_outputs
    -- how its payment goes, where the call that made it said so
    add column outcome text,
    -- nothing is there yet that would have to be looked through
    add constraint concierge_request_outputs_outcome_known check (outcome in
        ('settled', 'rejected', 'failed', 'failed|settled', 'returned', 'stuck', 'cancelled')) not valid;

alter table events
    -- what set it off; null: it happened before this was kept
    add column cause text,
    -- of a request or a simulation, its X-Request-Id; of a timer, what decided which way its step went, if anything did
    add column caused_by text,
    add constraint events_cause_known check (cause in ('request', 'timer', 'money', 'simulation')) not valid;
