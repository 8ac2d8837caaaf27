-- The whole life of a payout: prices, the payer's money, and the deadlines of a request.

-- Callers without a key share the account 0, which nobody can call as.
insert into accounts (id, created_at) values (0, 'epoch');

alter table concierge_requests
    -- of the port, in lower case
    add column currency text not null generated always as (split_part(port_code, '_', 2)) stored,
    add column quote_requested_at timestamptz,
    add column eta timestamptz,
    add column accept_quote_before timestamptz,
    add column quote_accepted_at timestamptz,
    add column provision_funds_before timestamptz,
    add column cancellation_reason text,
    -- what the payer pays, known once it is quoted
    add column total_to_spend numeric,
    -- what came back of it
    add column money_returned numeric not null default 0,
    -- the prices that an estimate promised; null: those of the day
    add column held_prices json,
    -- while it works: how many of its outputs are not final
    add column outputs_open bigint not null default 0,
    -- the unguessable part of the addresses of its receipt and credit note
    add column receipt_token text,
    -- since when it is in its present state
    add column state_since timestamptz,
    -- when it moves on by itself; null while it waits for something else
    add column due_at timestamptz,
    -- a move that takes its outputs along goes through them in batches: the last output that was done
    add column outputs_done_to bigint,
    add constraint concierge_requests_total_not_negative check (total_to_spend >= 0),
    add constraint concierge_requests_open_not_negative check (outputs_open >= 0),
    add constraint concierge_requests_reason_if_cancelled
        check ((cancellation_reason is not null) = (state = 'cancelled')),
    add constraint concierge_requests_receipt_if_finished
        check ((receipt_token is not null) = (state = 'finished'));

update concierge_requests set state_since = created_at, due_at = created_at + interval '30 days' where state = 'draft';

-- What is due next, whichever account it belongs to.
create index concierge_requests_due_at_idx on concierge_requests (due_at) where due_at is not null;
-- Who waits for money, in the order in which it is given out.
create index concierge_requests_waiting_idx
    on concierge_requests (account_id, user_id, currency, quote_accepted_at, id) where state = 'quote_accepted';
-- The directory from a receipt's address to its request.
create index concierge_requests_receipt_token_idx on concierge_requests (receipt_token) where receipt_token is not null;

alter table concierge_request_outputs
    -- an amount of 12 digits can need a budget of many more
    alter column amount type numeric,
    alter column budget type numeric,
    -- the part of the budget that isn't paid out, known once it is quoted
    add column fee_and_cost numeric,
    add column failure_reason text,
    -- how often it was tried to pay it
    add column attempts integer not null default 0,
    drop constraint concierge_request_outputs_amount_positive,
    drop constraint concierge_request_outputs_budget_positive,
    drop constraint concierge_request_outputs_state_known,
    drop constraint concierge_request_outputs_due_only_while_accepting,
    -- what is computed of the other of the two may be less than its last decimal place
    add constraint concierge_request_outputs_amount_not_negative check (amount >= 0),
    add constraint concierge_request_outputs_budget_not_negative check (budget >= 0),
    add constraint concierge_request_outputs_fee_within_budget check (fee_and_cost between 0 and budget),
    add constraint concierge_request_outputs_state_known check (state in (
        'accepting', 'accepted', 'rejected', 'working', 'settling', 'settled', 'failed', 'returned', 'cancelled')),
    add constraint concierge_request_outputs_failure_only_if_failed
        check (failure_reason is null or state in ('failed', 'returned'));

-- Checks are moved apart from what follows them, so each has its own queue.
drop index concierge_request_outputs_due_at_idx;
create index concierge_request_outputs_checks_due_at_idx on concierge_request_outputs (due_at, account_id, id)
    where due_at is not null and state = 'accepting';
create index concierge_request_outputs_payments_due_at_idx on concierge_request_outputs (due_at, account_id, id)
    where due_at is not null and state <> 'accepting';
drop index concierge_request_outputs_instruction_idx;
create index concierge_request_outputs_instruction_idx on concierge_request_outputs (account_id, withdrawal_instruction_id)
    where state not in ('rejected', 'settled', 'returned', 'cancelled');

create table cash_wallets (
    account_id bigint      not null,
    user_id    bigint      not null,
    -- ISO 4217, in lower case
    currency   text        not null,
    balance    numeric     not null,
    -- money came in that a request may wait for
    due_at     timestamptz,
    constraint cash_wallets_pkey primary key (account_id, user_id, currency),
    constraint cash_wallets_user_id_fkey foreign key (account_id, user_id) references users (account_id, id) on delete cascade,
    constraint cash_wallets_balance_not_negative check (balance >= 0)
);

create index cash_wallets_due_at_idx on cash_wallets (due_at) where due_at is not null;

insert into cash_wallets (account_id, user_id, currency, balance)
select account_id, id, currency, 1000000 from users, unnest(array['ars', 'usd', 'clp']) as currency where id = 50505;

-- What an estimate promised: the holder of its token gets these prices for the same ports and amounts.
create table price_holds (
    account_id     bigint      not null,
    token          text        not null,
    port_code      text        not null,
    -- of the outputs it was made for, in an order that doesn't depend on the client's
    outputs_sha256 bytea       not null,
    prices         json        not null,
    expires_at     timestamptz not null,
    constraint price_holds_pkey primary key (account_id, token),
    constraint price_holds_account_id_fkey foreign key (account_id) references accounts (id) on delete cascade
);

create index price_holds_expires_at_idx on price_holds (account_id, expires_at);

-- The keys of an account, the oldest of which makes its receipts' addresses unguessable.
create index api_keys_account_id_idx on api_keys (account_id, created_at);
