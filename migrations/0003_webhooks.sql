-- Events with the resource as it was then, and their sending.

-- Who made it: the user that the call acted as, whose webhook_url events of it go to first. Null: the master user.
alter table users add column made_by bigint;
alter table concierge_requests add column made_by bigint;
alter table concierge_request_outputs add column made_by bigint;

alter table events
    -- the resource as it was then, as documents include it: JSON that is sent as it stands
    add column resource text,
    -- of an output: how many tries to pay it had failed
    add column failures integer,
    -- who made the resource, as there; of an event that was made up, who made that
    add column made_by bigint,
    -- made up on request: nothing happened
    add column is_made_up boolean not null default false;

-- One of a request with very many outputs is large; squeezing it would take longer than writing it.
alter table events alter column resource set storage external;

-- The sending of an event that has somewhere to go. One that hasn't has no row here.
create table deliveries (
    account_id    bigint      not null,
    event_id      bigint      not null,
    -- the user whose webhook_url it goes to
    receiver_id   bigint      not null,
    -- as the event's: of one resource, one event is due and the others wait behind it
    resource_type text        not null,
    resource_id   bigint      not null,
    state         text        not null,
    -- when the next attempt is due, in the account's time
    due_at        timestamptz,
    -- when it was first tried
    sent_at       timestamptz,
    -- when it was received or given up
    ended_at      timestamptz,
    -- attempts since it was queued, which is how far up the ladder of retries it is
    tries         integer     not null default 0,
    -- attempts ever
    attempts      integer     not null default 0,
    -- the server that is sending it, and until when the others leave it alone, in the database's time
    leased_by     uuid,
    leased_until  timestamptz,
    constraint deliveries_pkey primary key (account_id, event_id),
    constraint deliveries_event_id_fkey
        foreign key (account_id, event_id) references events (account_id, id) on delete cascade,
    constraint deliveries_state_known check (state in ('waiting', 'due', 'delivered', 'given_up')),
    constraint deliveries_due_at_if_due check ((due_at is not null) = (state = 'due')),
    constraint deliveries_leased_only_if_due check (leased_until is null or state = 'due'),
    constraint deliveries_ended_at_if_ended check ((ended_at is not null) = (state in ('delivered', 'given_up')))
);

-- What is due, receiver by receiver: the backlog of one is never gone through to find another's.
create index deliveries_due_idx on deliveries (account_id, receiver_id, due_at, event_id) where state = 'due';
-- What is due next, whoever's it is.
create index deliveries_due_at_idx on deliveries (due_at) where state = 'due';
-- What is still to be sent of a resource.
create index deliveries_pending_idx on deliveries (account_id, resource_type, resource_id, event_id)
    where state in ('waiting', 'due');

create table delivery_attempts (
    account_id  bigint      not null,
    event_id    bigint      not null,
    -- counted from 1
    number      integer     not null,
    -- when it began, in the account's time
    at          timestamptz not null,
    -- of the answer, if there was one
    status      smallint,
    -- why the event does not count as received; null: it was received
    error       text,
    -- milliseconds
    duration    integer     not null,
    -- how the answer's body begins
    response    text        not null,
    -- when the next attempt was due after it; null: there was to be none
    next_at     timestamptz,
    constraint delivery_attempts_pkey primary key (account_id, event_id, number),
    constraint delivery_attempts_event_id_fkey
        foreign key (account_id, event_id) references events (account_id, id) on delete cascade
);
