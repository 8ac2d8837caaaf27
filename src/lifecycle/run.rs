//! The loop that does what is due, whichever account it is of.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::timers;
use super::{Agenda, step_by_kind, step_exactly};
use crate::accounts::store::walks;
use crate::accounts::watchers::Watchers;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::concierge::rules::Rules;
use crate::database::{Database, is_away};

/// Batches start at least this far apart unless something was moved, so that a steady stream is moved in batches too.
const BEAT: Duration = Duration::from_millis(20);
/// How long a step may take before the connection counts as dead; what it had begun is undone and done again.
const LONGEST_STEP: Duration = Duration::from_secs(5);
/// How often to look for what other servers left behind,
const PATROL: Duration = Duration::from_secs(1);
/// and how much longer at least than the last look took, where there are very many accounts.
const PATROL_SHARE: u32 = 50;
const LONGEST_PATROL: Duration = Duration::from_secs(15);

/// How many steps in a row may be held up, about a second's worth: beyond, an account doesn't wait any more for what it has
/// that comes first, because somebody has held that locked for long.
const LONG: u32 = 40;
/// The most accounts of one step.
const ACCOUNTS: usize = 50;

/// The background task that moves what is due.
#[derive(Debug)]
pub struct Lifecycle {
    pub database: Database,
    pub clock: Clock,
    pub rules: Rules,
    /// Says when something will be due.
    pub alarm: Alarm,
    /// Wakes whoever tells of what happened.
    pub deliveries: Alarm,
    pub watchers: Watchers,
    /// Up to when everything has happened, in the server's time.
    pub reached: watch::Sender<OffsetDateTime>,
}

/// What one turn of the loop came to.
#[derive(Debug, Default)]
struct Turn {
    /// How many rows were moved or deferred, in accounts in which something was due.
    rows: HashMap<i64, usize>,
    /// How long it took to look what is due.
    looking: Duration,
}

impl Lifecycle {
    /// Does what is due whenever something is, until told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut moves = self.clock.moves();
        // how many steps in a row found something due in an account, and could move nothing
        let mut held_up: HashMap<i64, u32> = HashMap::new();
        let (mut look, mut looked, mut patrol) = (true, tokio::time::Instant::now(), PATROL);
        loop {
            if let Some(moves) = &mut moves
                && moves.has_changed().unwrap_or_default()
            {
                moves.mark_unchanged();
                look = true;
            }
            look |= looked.elapsed() >= patrol;
            let now = self.clock.now();
            let begun = tokio::time::Instant::now();
            let turn = self.turn(now, look, &held_up).await;
            let pause = match &turn {
                Some(turn) => {
                    for (account_id, rows) in &turn.rows {
                        if *rows == 0 {
                            let times = held_up.entry(*account_id).or_default();
                            *times = times.saturating_add(1);
                        } else if held_up.get(account_id).is_none_or(|times| *times < LONG) {
                            held_up.remove(account_id);
                        }
                    }
                    if look {
                        (looked, patrol) = (begun, (turn.looking * PATROL_SHARE).clamp(PATROL, LONGEST_PATROL));
                        held_up.retain(|account_id, _| turn.rows.contains_key(account_id));
                    }
                    let has_moved = turn.rows.values().any(|rows| *rows > 0);
                    if turn.rows.is_empty() && look {
                        self.reached.send_replace(now);
                        look = false;
                    }
                    // the alarm knows what is due, unless somebody waits to hear that nothing is left
                    look = look && self.clock.is_moved_by_hand();
                    if has_moved && !*stop.borrow() {
                        continue;
                    }
                    BEAT
                }
                None => PATROL,
            };
            let woken = async {
                tokio::time::sleep_until(begun + pause).await;
                tokio::select! {
                    () = self.alarm.wait(&self.clock) => {}
                    () = Clock::moved(&mut moves) => look = true,
                    () = tokio::time::sleep_until(looked + patrol) => look = true,
                }
            };
            tokio::select! {
                () = woken => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Looks into accounts, or all of them, and does a batch of what is due. `None` where the database is away.
    async fn turn(&self, now: OffsetDateTime, look: bool, held_up: &HashMap<i64, u32>) -> Option<Turn> {
        let accounts = if look { None } else { Some(self.alarm.take(now, ACCOUNTS)) };
        if accounts.as_ref().is_some_and(Vec::is_empty) {
            return Some(Turn::default());
        }
        let connection = self.database.connection().await;
        let mut connection = connection
            .inspect_err(|error| tracing::warn!(%error, "the database is away; what is due waits for it"))
            .ok()?;
        let work = self.look_and_step(&mut connection, accounts.as_deref(), now, held_up);
        let outcome = match tokio::time::timeout(LONGEST_STEP, work).await {
            Ok(outcome) => connection.conclude(outcome).ok(),
            Err(_) => {
                tracing::warn!("the database fell silent in the middle of a step");
                self.database.cool();
                None
            }
        };
        if outcome.is_none() {
            accounts.iter().flatten().for_each(|account_id| self.alarm.set(*account_id, now));
        }
        outcome
    }

    async fn look_and_step(
        &self,
        connection: &mut PgConnection,
        accounts: Option<&[i64]>,
        now: OffsetDateTime,
        held_up: &HashMap<i64, u32>,
    ) -> Result<Turn, sqlx::Error> {
        if accounts.is_none() {
            walks::end_left(connection, now).await?;
            timers::start_late(connection, now, &self.rules.pace).await?;
        }
        let begun = tokio::time::Instant::now();
        let agendas = Agenda::read(connection, accounts, &self.rules.pace).await?;
        let mut turn = Turn { looking: begun.elapsed(), ..Turn::default() };
        let mut due: HashMap<i64, Agenda> = HashMap::new();
        for agenda in agendas {
            if let Some(delivery) = agenda.delivery.and_then(|delivery| agenda.time.comes(delivery)) {
                self.deliveries.set(agenda.account_id, delivery);
            }
            if let Some(comes) = agenda.earliest().and_then(|earliest| agenda.time.comes(earliest)) {
                self.alarm.set(agenda.account_id, comes);
                if comes <= now {
                    due.insert(agenda.account_id, agenda);
                }
            }
        }
        // of all that are due, those that have waited longest; each then waits behind the others again
        let taken = self.alarm.take(now, ACCOUNTS);
        let (taken, unknown): (Vec<i64>, Vec<i64>) = taken.into_iter().partition(|account| due.contains_key(account));
        for account_id in unknown {
            self.alarm.set(account_id, now);
        }
        let due: Vec<Agenda> = taken.iter().filter_map(|account| due.remove(account)).collect();
        for agenda in &due {
            self.alarm.set(agenda.account_id, now);
        }
        let is_exact = |agenda: &Agenda| agenda.time.leaps(&self.clock) || agenda.pace.is_manual;
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
        let is_held_up = |account_id: i64| held_up.get(&account_id).is_some_and(|times| *times >= LONG);
        match step_by_kind(connection, &running, now, &self.rules, is_held_up).await {
            Ok(rows) => {
                for agenda in &running {
                    let rows = rows.get(&agenda.account_id).copied().unwrap_or_default();
                    self.note(&mut turn, agenda.account_id, Ok(rows))?;
                }
            }
            Err(error) if is_away(&error) => return Err(error),
            Err(error) if running.len() == 1 => self.note(&mut turn, running[0].account_id, Err(error))?,
            // one account's fault doesn't hold up the others
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

    /// Notes how many rows of an account were moved, and has others told.
    fn note(&self, turn: &mut Turn, account_id: i64, rows: Result<usize, sqlx::Error>) -> Result<(), sqlx::Error> {
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) if is_away(&error) => return Err(error),
            Err(error) => {
                tracing::error!(account_id, %error, "what is due in an account can't be done");
                // looked at again with the next patrol
                self.alarm.forget(account_id);
                turn.rows.insert(account_id, 0);
                return Ok(());
            }
        };
        if rows > 0 {
            self.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
            self.watchers.notify(account_id);
        }
        turn.rows.insert(account_id, rows);
        Ok(())
    }
}

/// Does everything that is due in an account whose time stands still, before it returns. What somebody holds locked is
/// waited for.
///
/// # Errors
/// Those of the database; then what wasn't done is left to the background.
pub async fn catch_up(
    connection: &mut PgConnection,
    account_id: i64,
    now: OffsetDateTime,
    rules: &Rules,
) -> Result<(), sqlx::Error> {
    loop {
        let agendas = Agenda::read(connection, Some(&[account_id]), &rules.pace).await?;
        let Some(agenda) = agendas.first() else { return Ok(()) };
        match step_exactly(connection, agenda, agenda.time.at(now), rules).await? {
            None => return Ok(()),
            Some(moved) if moved.rows.is_empty() => tokio::time::sleep(BEAT).await,
            Some(_) => {}
        }
    }
}
