-- Snapshots: copies of an account's world to go back to. One is an account that nobody can call as and in which nothing
-- happens; its time stands still where it was taken.

alter table accounts
    -- the name of the account that it is a copy of; null: it is none
    add column snapshot_of text,
    -- what its taker called it
    add column snapshot_name text,
    -- whether the time of the account ran on when it was taken
    add column snapshot_runs boolean,
    -- before this there was no snapshot to look through
    add constraint accounts_snapshot_whole
        check (num_nonnulls(snapshot_of, snapshot_name, snapshot_runs) in (0, 3)) not valid,
    add constraint accounts_snapshot_stands_still
        check (snapshot_of is null or (name is null and ended_at is null and frozen_at is not null)) not valid;

create unique index accounts_snapshot_idx on accounts (snapshot_of, snapshot_name) where snapshot_of is not null;
