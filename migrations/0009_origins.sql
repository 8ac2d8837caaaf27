-- Where links lead: the start of each URL that this server shows or sends.

alter table accounts
    -- the account's own start of its links; null: the server's, or else the caller's
    add column public_url text;

alter table users
    -- the start of this server's URLs for the client that set the webhook_url, so that events have links which it can
    -- reach; null: nobody knows
    add column webhook_origin text;

alter table events
    -- places in the text of resource, in bytes: the paths of its links. The start before each is replaced when the event
    -- is sent or shown; null: the text is sent as it stands
    add column links integer[];
