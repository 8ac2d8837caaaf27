-- What is to go wrong for an account's client, on request.

create table faults (
    account_id     bigint  not null,
    -- place in the account's list, from 1
    id             integer not null,
    -- the list it came with: a server that knows another one counts nothing here
    list           uuid    not null,
    -- whether it is events that it acts on, rather than requests
    is_of_webhooks boolean not null,
    -- what it matches and what it does, as JSON
    fault          text    not null,
    -- how often it acts; null: without end
    times          bigint,
    -- how many it lets pass before, and has let pass
    lets_pass      bigint  not null,
    passed         bigint  not null default 0,
    hits           bigint  not null default 0,
    constraint faults_pkey primary key (account_id, id),
    constraint faults_account_id_fkey foreign key (account_id) references accounts (id) on delete cascade,
    constraint faults_id_positive check (id > 0),
    constraint faults_hits_at_most_times check (hits between 0 and coalesce(times, hits)),
    constraint faults_passed_at_most_lets_pass check (passed between 0 and lets_pass)
);

-- Why a fault held an event back, which is then sent when its time has come.
alter table deliveries
    add column held_for text,
    add constraint deliveries_held_for_known check (held_for in ('delay', 'reorder'));
