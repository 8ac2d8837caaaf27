//! The loop that runs due work in all accounts.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::agenda::Agenda;
use super::step::{step_by_kind, step_exactly};
use super::timers;
use crate::accounts::store::clock;
use crate::accounts::watchers::Watchers;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::concierge::impossible;
use crate::concierge::rules::Rules;
use crate::database::{Database, is_unavailable, silence};
use crate::metrics::Metrics;

/// Minimum interval of batches after a turn without moves. It groups a steady stream of work into batches.
const MIN_BATCH_INTERVAL: Duration = Duration::from_millis(20);
/// Time limit of a step. After it, the connection counts as dead; the step is rolled back and runs again.
const LONGEST_STEP: Duration = Duration::from_secs(5);
/// Interval of polls of all accounts, for work left by other servers.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Least interval of polls, as a multiple of the last poll's duration. It matters with very many accounts.
const POLL_INTERVAL_FACTOR: u32 = 50;
/// Longest interval of polls.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(15);

/// Maximum number of steps in a row that locked rows may hold up in an account, about a second.
/// After that, later work of the account no longer waits for its earliest.
const MAX_HELD_UP: u32 = 40;
/// Maximum number of accounts in one step.
const ACCOUNTS: usize = 50;

/// The background task that runs due work.
#[derive(Debug)]
pub struct Lifecycle {
    pub database: Database,
    pub clock: Clock,
    pub rules: Rules,
    /// Due times of this task.
    pub alarm: Alarm,
    /// Alarm of the webhook dispatcher.
    pub deliveries: Alarm,
    pub watchers: Watchers,
    pub metrics: Metrics,
    /// Server time up to which all due work is done, once it was done.
    pub reached: watch::Sender<Option<OffsetDateTime>>,
}

/// Result of one turn of the loop.
#[derive(Debug, Default)]
struct PollResult {
    /// Rows moved or deferred, by account with due work.
    rows: HashMap<i64, usize>,
    /// Duration of the poll.
    polling: Duration,
}

impl Lifecycle {
    /// Runs due work until `stop` is true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut moves = self.clock.moves();
        // steps in a row without a move, by account with due work
        let mut held_up: HashMap<i64, u32> = HashMap::new();
        let (mut poll_all, mut polled, mut interval) = (true, tokio::time::Instant::now(), POLL_INTERVAL);
        loop {
            if let Some(moves) = &mut moves
                && moves.has_changed().unwrap_or_default()
            {
                moves.mark_unchanged();
                poll_all = true;
            }
            poll_all |= polled.elapsed() >= interval;
            let now = self.clock.now();
            let begun = tokio::time::Instant::now();
            let turn = self.turn(now, poll_all, &held_up).await;
            let pause = match &turn {
                Some(turn) => {
                    for (account_id, rows) in &turn.rows {
                        if *rows == 0 {
                            let times = held_up.entry(*account_id).or_default();
                            *times = times.saturating_add(1);
                        } else if held_up.get(account_id).is_none_or(|times| *times < MAX_HELD_UP) {
                            held_up.remove(account_id);
                        }
                    }
                    if poll_all {
                        polled = begun;
                        interval = (turn.polling * POLL_INTERVAL_FACTOR).clamp(POLL_INTERVAL, MAX_POLL_INTERVAL);
                        held_up.retain(|account_id, _| turn.rows.contains_key(account_id));
                    }
                    let has_moved = turn.rows.values().any(|rows| *rows > 0);
                    if turn.rows.is_empty() && poll_all {
                        self.reached.send_replace(Some(now));
                        poll_all = false;
                    }
                    // the alarm has the due times; a manual clock polls on until `reached` is set
                    poll_all = poll_all && self.clock.is_moved_by_hand();
                    if has_moved && !*stop.borrow() {
                        continue;
                    }
                    MIN_BATCH_INTERVAL
                }
                None => POLL_INTERVAL,
            };
            let woken = async {
                tokio::time::sleep_until(begun + pause).await;
                tokio::select! {
                    () = self.alarm.wait(&self.clock) => {}
                    () = Clock::moved(&mut moves) => poll_all = true,
                    () = tokio::time::sleep_until(polled + interval) => poll_all = true,
                }
            };
            tokio::select! {
                () = woken => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Polls due or all accounts, and runs a batch of due work. `None`: the database is unavailable.
    async fn turn(&self, now: OffsetDateTime, poll_all: bool, held_up: &HashMap<i64, u32>) -> Option<PollResult> {
        let accounts = if poll_all { None } else { Some(self.alarm.take_due(now, ACCOUNTS)) };
        if accounts.as_ref().is_some_and(Vec::is_empty) {
            return Some(PollResult::default());
        }
        let mut connection = self.database.connection().await.ok()?;
        let work = self.poll_and_step(&mut connection, accounts.as_deref(), now, held_up);
        let outcome = tokio::time::timeout(LONGEST_STEP, work).await;
        let outcome = connection.finish(outcome.unwrap_or_else(|_| Err(silence(LONGEST_STEP)))).ok();
        if outcome.is_none() {
            accounts.iter().flatten().for_each(|account_id| self.alarm.schedule(*account_id, now));
        }
        outcome
    }

    async fn poll_and_step(
        &self,
        connection: &mut PgConnection,
        accounts: Option<&[i64]>,
        now: OffsetDateTime,
        held_up: &HashMap<i64, u32>,
    ) -> Result<PollResult, sqlx::Error> {
        if accounts.is_none() {
            clock::end_expired(connection, now).await?;
            timers::start_late(connection, now, &self.rules.timing).await?;
        }
        let begun = tokio::time::Instant::now();
        let agendas = Agenda::read(connection, accounts, &self.rules.timing).await?;
        let mut turn = PollResult { polling: begun.elapsed(), ..PollResult::default() };
        let mut due: HashMap<i64, Agenda> = HashMap::new();
        for agenda in agendas {
            if let Some(delivery) = agenda.delivery.and_then(|delivery| agenda.time.arrival(delivery)) {
                self.deliveries.schedule(agenda.account_id, delivery);
            }
            if let Some(arrival) = agenda.earliest().and_then(|earliest| agenda.time.arrival(earliest)) {
                self.alarm.schedule(agenda.account_id, arrival);
                if arrival.is_due(now) {
                    due.insert(agenda.account_id, agenda);
                }
            }
        }
        // the accounts due longest; each then queues again behind all due accounts
        let taken = self.alarm.take_due(now, ACCOUNTS);
        let (taken, unknown): (Vec<i64>, Vec<i64>) = taken.into_iter().partition(|account| due.contains_key(account));
        for account_id in unknown {
            self.alarm.schedule(account_id, now);
        }
        let due: Vec<Agenda> = taken.iter().filter_map(|account| due.remove(account)).collect();
        for agenda in &due {
            self.alarm.schedule(agenda.account_id, now);
        }
        let is_exact = |agenda: &Agenda| agenda.time.advances_by_hand(&self.clock) || agenda.timing.is_manual;
        let (leaping, running): (Vec<_>, Vec<_>) = due.into_iter().partition(is_exact);
        for agenda in leaping {
            let until = agenda.time.at(now);
            let moved = step_exactly(connection, &agenda, until, &self.rules).await;
            self.note(
                &mut turn,
                agenda.account_id,
                moved.map(|moved| {
                    moved.and_then(|moved| moved.rows.get(&agenda.account_id).copied()).unwrap_or_default()
                }),
            )?;
        }
        if running.is_empty() {
            return Ok(turn);
        }
        let is_held_up = |account_id: i64| held_up.get(&account_id).is_some_and(|times| *times >= MAX_HELD_UP);
        match step_by_kind(connection, &running, now, &self.rules, is_held_up).await {
            Ok(rows) => {
                for agenda in &running {
                    let rows = rows.get(&agenda.account_id).copied().unwrap_or_default();
                    self.note(&mut turn, agenda.account_id, Ok(rows))?;
                }
            }
            Err(error) if is_unavailable(&error) => return Err(error),
            Err(error) if running.len() == 1 => self.note(&mut turn, running[0].account_id, Err(error))?,
            // an error of one account must not stop the rest
            Err(_) => {
                for agenda in &running {
                    let rows =
                        step_by_kind(connection, std::slice::from_ref(agenda), now, &self.rules, is_held_up).await;
                    let rows = rows.map(|rows| rows.get(&agenda.account_id).copied().unwrap_or_default());
                    self.note(&mut turn, agenda.account_id, rows)?;
                }
            }
        }
        Ok(turn)
    }

    /// Notes the rows moved in an account, and wakes the dispatcher and waiting clients.
    fn note(
        &self,
        turn: &mut PollResult,
        account_id: i64,
        rows: Result<usize, sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) if is_unavailable(&error) => return Err(error),
            Err(error) => {
                tracing::error!(account_id, %error, "the due work of an account failed");
                impossible::count(&error, &self.metrics);
                // tried again at the next poll of all accounts
                self.alarm.forget(account_id);
                turn.rows.insert(account_id, 0);
                return Ok(());
            }
        };
        if rows > 0 {
            self.deliveries.wake(account_id);
            self.watchers.notify(account_id);
        }
        turn.rows.insert(account_id, rows);
        Ok(())
    }
}

/// Runs all due work in an account with a frozen clock before it returns. Waits for locked rows.
///
/// # Errors
/// Database errors; the background task then does the rest.
pub async fn catch_up(
    connection: &mut PgConnection,
    account_id: i64,
    now: OffsetDateTime,
    rules: &Rules,
) -> Result<(), sqlx::Error> {
    loop {
        let agendas = Agenda::read(connection, Some(&[account_id]), &rules.timing).await?;
        let Some(agenda) = agendas.first() else { return Ok(()) };
        match step_exactly(connection, agenda, agenda.time.at(now), rules).await? {
            None => return Ok(()),
            Some(moved) if moved.rows.is_empty() => tokio::time::sleep(MIN_BATCH_INTERVAL).await,
            Some(_) => {}
        }
    }
}
