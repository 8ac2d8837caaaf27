//! Delivery of queued events: each at least once, and the events of one resource in order.
//!
//! [`run`] is the loop. A delivery goes through three places, each with a file of its own:
//!
//! 1. A poll (`poll`) claims due deliveries, under leases that other servers respect.
//! 2. The queue (`queue`) holds each delivery until its receiver has a free slot ([`concurrency`]).
//!    So a slow receiver delays only its own events.
//! 3. The attempt is in flight (`in_flight`, `send`, [`client`]). The next poll saves its result.
//!
//! `dispatcher` moves deliveries between them. `waiters` answers the callers of [`DispatcherHandle`].
//! This room records no events and decides on no faults: see [`events`](crate::events) and [`faults`](crate::faults).

pub mod client;
mod commands;
pub mod concurrency;
mod delivery;
mod dispatcher;
pub mod envelope;
mod failure;
mod in_flight;
mod poll;
mod queue;
mod resolve;
pub mod retries;
mod send;
pub mod store;
pub mod trust;
mod waiters;

use tokio::sync::watch;

use crate::alarm::Alarm;
use crate::clock::Clock;
pub use commands::{Commands, DispatcherHandle};
pub use dispatcher::{DeliveryRules, Dispatcher};
pub use poll::ResultObservers;

/// Sends due deliveries until `stop` is true.
pub async fn run(mut dispatcher: Dispatcher, alarm: Alarm, mut commands: Commands, mut stop: watch::Receiver<bool>) {
    let clock = dispatcher.clock().clone();
    let mut moves = clock.moves();
    loop {
        dispatcher.report_due(alarm.take_due(clock.now(), usize::MAX));
        dispatcher.start_attempts().await;
        if dispatcher.should_poll() {
            if let Some(moves) = &mut moves {
                moves.mark_unchanged();
            }
            dispatcher.start_poll(clock.now());
        }
        let (is_polling, next_poll) = (dispatcher.is_polling(), dispatcher.next_full_poll());
        tokio::select! {
            finished = dispatcher.next() => if let Some(poll) = finished {
                dispatcher.apply_due_times(&poll, &alarm);
            },
            () = alarm.wait(&clock) => {}
            () = Clock::moved(&mut moves) => dispatcher.schedule_full_poll(),
            Some(command) = commands.next() => dispatcher.run_command(command),
            () = tokio::time::sleep_until(next_poll), if !is_polling => dispatcher.schedule_full_poll(),
            _ = stop.wait_for(|stop| *stop) => break,
        }
        dispatcher.answer_forgets();
    }
    drop(commands);
    dispatcher.close().await;
}
