-- The call of an attempt.

alter table delivery_attempts
    -- the URL to call, without user name and password; null: there was none, or an older server made the attempt
    add column url text,
    -- JSON object of its headers, by lower-case name; null: there was no call, or an older server made the attempt
    add column headers text;
