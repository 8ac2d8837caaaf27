-- The addresses of receipts derive from a secret of the key. The key's SHA-256 is none: every event shows it to the
-- receiver.

alter table api_keys
    -- SHA-256 of the key with a purpose; random for the keys made before, and those of an older server beside this one
    add column receipt_secret bytea not null
        default sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
