-- Accounts with a clock, a pace and an end of their own.

alter table accounts
    -- by which the control plane knows it. A reset gives it to the account that takes this one's place
    add column name text,
    -- milliseconds by which its time is ahead of the server's, or behind it where that is less than 0
    add column ahead bigint not null default 0,
    -- its time, while it stands still
    add column frozen_at timestamptz,
    -- what is its own of the server's settings, in milliseconds; null: the server's
    add column check_delay bigint,
    add column approval_delay bigint,
    add column quote_delay bigint,
    add column step_delay bigint,
    -- whether new users are approved by time; null: as the server says
    add column approval text,
    -- whether anything happens by itself
    add column progression text not null default 'auto',
    -- when it was reset or deleted: nobody can call as it any more, and its rows go
    add column ended_at timestamptz,
    add constraint accounts_delays_not_negative
        check (least(check_delay, approval_delay, quote_delay, step_delay, 0) >= 0),
    add constraint accounts_approval_known check (approval in ('auto', 'manual')),
    add constraint accounts_progression_known check (progression in ('auto', 'manual')),
    add constraint accounts_ended_without_a_name check (ended_at is null or name is null);

create unique index accounts_name_idx on accounts (name) where name is not null;
create index accounts_ended_at_idx on accounts (ended_at) where ended_at is not null;

-- The account that every database begins with.
update accounts a set name = 'default' from api_keys k
where k.account_id = a.id and k.key_sha256 = sha256('your_api_key');

-- What is due next is looked for account by account: each has its own time.
drop index users_due_at_idx;
create index users_due_at_idx on users (account_id, due_at, id) where due_at is not null;
drop index concierge_request_outputs_checks_due_at_idx;
create index concierge_request_outputs_checks_due_at_idx on concierge_request_outputs (account_id, due_at, id)
    where due_at is not null and state = 'accepting';
drop index concierge_request_outputs_payments_due_at_idx;
create index concierge_request_outputs_payments_due_at_idx on concierge_request_outputs (account_id, due_at, id)
    where due_at is not null and state <> 'accepting';
drop index cash_wallets_due_at_idx;
create index cash_wallets_due_at_idx on cash_wallets (account_id, due_at) where due_at is not null;
drop index concierge_requests_due_at_idx;
create index concierge_requests_due_at_idx on concierge_requests (account_id, due_at, id) where due_at is not null;
drop index deliveries_due_at_idx;
create index deliveries_due_at_idx on deliveries (account_id, due_at) where state = 'due';

-- What was tried in a time.
create index delivery_attempts_at_idx on delivery_attempts (account_id, at);
