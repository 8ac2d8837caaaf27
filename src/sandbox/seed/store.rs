//! All SQL of seeds.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::validate::ExistingData;
use super::{KINDS, Seed, SeedType};
use crate::accounts::timing::Timing;
use crate::concierge::outputs::state::State;
use crate::concierge::requests;
use crate::concierge::requests::quote::prune_at;
use crate::concierge::users::state::ComplianceState;

/// Finds the account's data that a seed refers to.
///
/// Locks the counters first, so that no server leases an id found to be free.
/// Requests get a share lock so that they stay drafts, instructions so that they are not deleted.
///
/// # Errors
/// Database errors.
pub async fn find_existing(
    connection: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
) -> Result<ExistingData, sqlx::Error> {
    let counters = "select type, next_id from id_counters where account_id = $1 and type = any($2)
        order by type for no key update";
    let types = KINDS.map(SeedType::name);
    let next_ids: Vec<(String, i64)> =
        sqlx::query_as(counters).bind(account_id).bind(types).fetch_all(&mut *connection).await?;
    let mut found = ExistingData { next_ids: next_ids.into_iter().collect(), ..ExistingData::default() };
    for kind in KINDS {
        let wanted = seed.ids.iter().filter(|(wanted, ..)| *wanted == kind).map(|(_, id, _)| *id);
        let sql = format!("select id from {} where account_id = $1 and id = any($2)", kind.name());
        let taken = sqlx::query_scalar(AssertSqlSafe(sql)).bind(account_id).bind(wanted.collect::<Vec<i64>>());
        let taken: Vec<i64> = taken.fetch_all(&mut *connection).await?;
        found.taken.extend(taken.into_iter().map(|id| (kind, id)));
    }
    let named = |kind: SeedType| {
        let named = seed.references.iter().filter(move |reference| reference.kind == kind);
        named.map(|reference| reference.id.number()).collect::<Vec<i64>>()
    };
    let requests = "select id, state from concierge_requests where account_id = $1 and id = any($2)
        order by id for share";
    let requests: Vec<(i64, String)> =
        sqlx::query_as(requests).bind(account_id).bind(named(SeedType::Request)).fetch_all(&mut *connection).await?;
    for (id, state) in requests {
        found.requests.insert(id, requests::store::transitions::read_state(&state)?);
    }
    let users = "select id from users where account_id = $1 and id = any($2)";
    let users = sqlx::query_scalar(users).bind(account_id).bind(named(SeedType::User));
    found.users = users.fetch_all(&mut *connection).await?.into_iter().collect();
    let instructions = "select id, user_id from withdrawal_instructions
        where account_id = $1 and id = any($2) and deleted_at is null order by id for key share";
    let instructions = sqlx::query_as(instructions).bind(account_id).bind(named(SeedType::WithdrawalInstruction));
    let instructions: Vec<(i64, i64)> = instructions.fetch_all(connection).await?;
    found.instructions = instructions.into_iter().collect();
    Ok(found)
}

/// Inserts the resources of a seed with their timers, as if created at `now`.
///
/// They have no creator and no events. `origin` is that of the call, for links in events to a `webhook_url`.
///
/// # Errors
/// Database errors.
pub async fn insert(
    connection: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
    now: OffsetDateTime,
    timing: &Timing,
    origin: Option<&str>,
) -> Result<(), sqlx::Error> {
    insert_users(&mut *connection, account_id, seed, now, timing, origin).await?;
    insert_instructions(&mut *connection, account_id, seed, now).await?;
    insert_requests(&mut *connection, account_id, seed, now, timing).await?;
    insert_outputs(&mut *connection, account_id, seed, now, timing).await?;
    fill_wallets(connection, account_id, seed, timing.unless_manual(now)).await
}

async fn insert_users(
    connection: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
    now: OffsetDateTime,
    timing: &Timing,
    origin: Option<&str>,
) -> Result<(), sqlx::Error> {
    let sql = "insert into users (account_id, id, name, email, kyc_accepted, otp_enabled, do_not_email,
            trezor_login_enabled, compliance_state, webhook_url, webhook_origin, created_at, due_at)
        select $1, u.*, case when u.webhook_url is not null then $14 end, $11,
            case u.compliance_state when $12 then $13::timestamptz end
        from unnest($2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::boolean[], $8::boolean[],
            $9::text[], $10::text[]) as u (id, name, email, kyc_accepted, otp_enabled, do_not_email,
            trezor_login_enabled, compliance_state, webhook_url)";
    let users = &seed.users;
    let approved_at = timing.approves.then(|| timing.unless_manual(now + timing.approval_delay)).flatten();
    sqlx::query(sql)
        .bind(account_id)
        .bind(users.iter().map(|user| user.id).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.name.as_deref()).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.email.as_deref()).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.kyc_accepted).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.otp_enabled).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.do_not_email).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.trezor_login_enabled).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.compliance_state.name()).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.webhook_url.as_deref()).collect::<Vec<_>>())
        .bind(now)
        .bind(ComplianceState::New.name())
        .bind(approved_at)
        .bind(origin)
        .execute(connection)
        .await
        .map(|_| ())
}

async fn insert_instructions(
    connection: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let sql = "insert into withdrawal_instructions
            (account_id, id, user_id, label, schema, body, payment_method_type, created_at)
        select $1, w.id, w.user_id, w.label, w.schema, w.body::json, w.payment_method_type, $8
        from unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
            as w (id, user_id, label, schema, body, payment_method_type)";
    let all = &seed.instructions;
    sqlx::query(sql)
        .bind(account_id)
        .bind(all.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, user_id, _)| *user_id).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., new)| new.label.as_deref()).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., new)| new.schema.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., new)| new.body.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., new)| new.payment_method_type.as_deref()).collect::<Vec<_>>())
        .bind(now)
        .execute(connection)
        .await
        .map(|_| ())
}

async fn insert_requests(
    connection: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
    now: OffsetDateTime,
    timing: &Timing,
) -> Result<(), sqlx::Error> {
    let sql = "insert into concierge_requests (account_id, id, user_id, port_code, state, external_id,
            payment_authorization_code, created_at, state_since, due_at)
        select $1, r.id, r.user_id, r.port_code, 'draft', r.external_id, r.payment_authorization_code, $7, $7, $8
        from unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[])
            as r (id, user_id, port_code, external_id, payment_authorization_code)";
    let all = &seed.requests;
    sqlx::query(sql)
        .bind(account_id)
        .bind(all.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, user_id, _)| *user_id).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., new)| new.port_code.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., new)| new.external_id.as_deref()).collect::<Vec<_>>())
        .bind(all.iter().map(|(.., new)| new.payment_authorization_code.as_deref()).collect::<Vec<_>>())
        .bind(now)
        .bind(timing.unless_manual(prune_at(now)))
        .execute(connection)
        .await
        .map(|_| ())
}

async fn insert_outputs(
    connection: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
    now: OffsetDateTime,
    timing: &Timing,
) -> Result<(), sqlx::Error> {
    let sql = "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
            port_code, amount, budget, state, rejection_reason, created_at, state_since, due_at)
        select $1, o.*, $11, $11, case o.state when $12 then $13::timestamptz end
        from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::numeric[], $8::numeric[],
            $9::text[], $10::text[])
            as o (id, request_id, user_id, instruction_id, port_code, amount, budget, state, rejection_reason)";
    let all = &seed.outputs;
    let (amounts, budgets): (Vec<_>, Vec<_>) =
        all.iter().map(|output| output.price.clone().amount_and_budget()).unzip();
    sqlx::query(sql)
        .bind(account_id)
        .bind(all.iter().map(|output| output.id).collect::<Vec<_>>())
        .bind(all.iter().map(|output| output.request_id).collect::<Vec<_>>())
        .bind(all.iter().map(|output| output.user_id).collect::<Vec<_>>())
        .bind(all.iter().map(|output| output.withdrawal_instruction_id).collect::<Vec<_>>())
        .bind(all.iter().map(|output| output.port_code.as_str()).collect::<Vec<_>>())
        .bind(amounts)
        .bind(budgets)
        .bind(all.iter().map(|output| output.state.name()).collect::<Vec<_>>())
        .bind(all.iter().map(|output| output.rejection_reason.as_deref()).collect::<Vec<_>>())
        .bind(now)
        .bind(State::Accepting.name())
        .bind(timing.unless_manual(now + timing.check_delay))
        .execute(connection)
        .await
        .map(|_| ())
}

/// Sets the balances of wallets and schedules the check of requests that wait for money.
async fn fill_wallets(
    connection: &mut PgConnection,
    account_id: i64,
    seed: &Seed,
    at: Option<OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    let sql = "insert into cash_wallets (account_id, user_id, currency, balance, due_at)
        select $1, w.*, $5 from unnest($2::bigint[], $3::text[], $4::numeric[]) as w (user_id, currency, balance)
        order by w.user_id, w.currency
        on conflict on constraint cash_wallets_pkey do update
        set balance = excluded.balance, due_at = least(cash_wallets.due_at, excluded.due_at)";
    let all = &seed.wallets;
    sqlx::query(sql)
        .bind(account_id)
        .bind(all.iter().map(|wallet| wallet.user_id).collect::<Vec<_>>())
        .bind(all.iter().map(|wallet| wallet.currency.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|wallet| wallet.balance.clone()).collect::<Vec<_>>())
        .bind(at)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Advances the counters beyond the highest ids of a seed.
///
/// # Errors
/// Database errors.
pub async fn advance_counters(connection: &mut PgConnection, account_id: i64, seed: &Seed) -> Result<(), sqlx::Error> {
    let sql = "update id_counters c set next_id = greatest(c.next_id, s.next_id)
        from unnest($2::text[], $3::bigint[]) as s (type, next_id) where c.account_id = $1 and c.type = s.type";
    let highest = KINDS.map(|kind| {
        let ids = seed.ids.iter().filter(|(seeded, ..)| *seeded == kind);
        ids.map(|(_, id, _)| id + 1).max().unwrap_or_default()
    });
    sqlx::query(sql)
        .bind(account_id)
        .bind(KINDS.map(SeedType::name))
        .bind(highest)
        .execute(connection)
        .await
        .map(|_| ())
}
