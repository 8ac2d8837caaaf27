-- A walk through time stops the clock of an account that runs. It says so, and how long its server vouches for it: what a
-- server leaves that is gone runs on.

-- until when, in the database's time, a clock that runs stands because a server walks it
alter table accounts add column walked_until timestamptz;

create index accounts_walked_until_idx on accounts (walked_until) where walked_until is not null;
