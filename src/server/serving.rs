//! Serving: accepts connections, bounds their number, and ends them when the server stops.
//!
//! Left to others: one connection ([`connection`]), and what is answered (the router).

mod answer;
mod connection;
mod phase;
mod refusal;
mod rules;
mod stream;
mod tls;
mod unread;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use connection::{PARTING, part};
pub use phase::PhaseLimits;
pub use rules::Rules;
use rules::{Service, Stage};
use stream::Transport;
pub use tls::{Tls, TlsError, connect};

/// Time limit of requests at work during a shutdown. Docker kills after 10 s.
const GRACE: Duration = Duration::from_secs(8);
/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);
/// Time without a failed accept after which the trouble has passed.
const CALM: Duration = Duration::from_secs(1);
/// Maximum number of refusals at a time. Further connections are closed without an answer.
pub const REFUSALS: usize = 64;

/// Serves until the server stops. Then waits for the requests at work, for [`GRACE`] at most.
pub async fn serve(listener: TcpListener, service: Service, rules: Rules) {
    let rules = Arc::new(rules);
    let (stage, stages) = watch::channel(Stage::Running);
    // each connection has a sender; all have ended when the receiver does
    let (guard, mut ended) = mpsc::channel::<()>(1);
    tokio::select! {
        () = accept(&listener, &service, &rules, &stages, &guard) => {}
        () = rules.stopping.requested() => {}
    }
    drop((listener, guard));
    stage.send_replace(Stage::Stopping);
    if timeout(GRACE, ended.recv()).await.is_err() {
        tracing::warn!("requests at work did not finish within {} s", GRACE.as_secs());
        stage.send_replace(Stage::Cut);
        ended.recv().await;
    }
}

/// Accepts connections without end.
async fn accept(
    listener: &TcpListener,
    service: &Service,
    rules: &Arc<Rules>,
    stages: &watch::Receiver<Stage>,
    guard: &mpsc::Sender<()>,
) {
    let places = Arc::new(Semaphore::new(rules.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    // each kind of trouble is logged once, until it has passed
    let (mut is_full, mut failed_at) = (false, None::<Instant>);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // the client has gone already
            Err(error) if is_of_client(&error) => continue,
            Err(error) => {
                if failed_at.is_none() {
                    tracing::warn!(%error, "no connection can be accepted; trying again until one can");
                }
                failed_at = Some(Instant::now());
                sleep(PAUSE).await;
                continue;
            }
        };
        // each descriptor that becomes free lets one connection in, and the next one fails again
        if failed_at.is_some_and(|failed_at| failed_at.elapsed() >= CALM) {
            tracing::info!("connections are accepted again");
            failed_at = None;
        }
        // small answers are sent at once
        drop(stream.set_nodelay(true));
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            if !is_full {
                tracing::warn!(connections = rules.connections, "--max-connections is reached; further ones get 503");
            }
            is_full = true;
            if let Ok(turn) = Arc::clone(&refusals).try_acquire_owned() {
                let rules = Arc::clone(rules);
                tokio::spawn(async move {
                    refuse(stream, &rules).await;
                    drop(turn);
                });
            }
            continue;
        };
        // at the limit, places come and go: that is one trouble
        is_full &= places.available_permits() < rules.connections.div_ceil(10);
        let (service, rules) = (service.clone(), Arc::clone(rules));
        let (mut stages, guard) = (stages.clone(), guard.clone());
        tokio::spawn(async move {
            if let Some(transport) = transport(stream, &rules, &mut stages).await {
                connection::serve(transport, service, &rules, stages).await;
            }
            drop((place, guard));
        });
    }
}

/// Returns whether an accept failed because of its client.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Does the handshake of TLS, if the server speaks it. `None`: it failed, took too long, or the server stops.
async fn transport(stream: TcpStream, rules: &Rules, stages: &mut watch::Receiver<Stage>) -> Option<Transport> {
    let Some(tls) = &rules.tls else { return Some(Transport::Plain(stream)) };
    tokio::select! {
        shaken = timeout(rules.phases.head, tls.accept(stream)) => match shaken {
            Ok(Ok(stream)) => Some(Transport::Tls(Box::new(stream))),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake of TLS failed");
                None
            }
            Err(_) => None,
        },
        _ = stages.wait_for(|stage| *stage > Stage::Running) => None,
    }
}

/// Answers one connection too many, and closes it.
async fn refuse(mut stream: TcpStream, rules: &Rules) {
    if rules.tls.is_some() {
        return;
    }
    let answer = refusal::render(&refusal::too_many(rules.connections), &rules.clock);
    drop(timeout(PARTING, part(&mut stream, Some(answer))).await);
}
