-- A walk through time stops the clock of an account. It says so, and how long its server vouches for it: what a server
-- leaves that is gone runs on.

alter table accounts
    -- the walk that moves the clock; whoever else stops it, moves it or lets it run takes it over
    add column walk uuid,
    -- until when, in the database's time, a clock that runs stands because it is walked
    add column walked_until timestamptz,
    -- until when, in the database's time, something may turn up that was made as if nothing happened by itself: it was
    -- begun before that ended
    add column started_until timestamptz;

create index accounts_walked_until_idx on accounts (walked_until) where walked_until is not null;
create index accounts_started_until_idx on accounts (started_until) where started_until is not null;
