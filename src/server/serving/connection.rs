//! One connection: requests and answers, until either side ends it or a time limit does.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tower::ServiceExt;

use super::answer::AnswerBody;
use super::phase::{Phase, PhaseLimits, Pulse};
use super::refusal::{LARGEST_HEAD, late_head, render, unreadable};
use super::rules::{Rules, Service, Stage};
use super::stream::{ClientStream, Transport};
use super::unread::watched;
use crate::jsonapi::error::Errors;
use crate::web::breaker::Breaker;

/// Time for a client to read a last answer and end its side.
pub const PARTING: Duration = Duration::from_secs(1);
/// The same while the server stops.
const LAST_PARTING: Duration = Duration::from_millis(200);
/// Maximum number of bytes read of what a client still sends meanwhile.
const LARGEST_PARTING: usize = 4 << 20;

/// The end of a connection.
enum End {
    /// Either side ended it, or nothing more may be sent.
    Done,
    /// The HTTP layer could not read a request.
    Unreadable(hyper::Error),
    /// A phase between answers took too long.
    Late(Phase),
    /// The server stops.
    Stopped,
}

/// Serves a connection to its end.
pub async fn serve(transport: Transport, service: Service, rules: &Rules, mut stage: watch::Receiver<Stage>) {
    let (breaker, pulse) = (Breaker::default(), Pulse::new());
    let stream = ClientStream::new(transport, breaker.clone(), pulse.clone(), rules.write_timeout);
    let answering = service_fn(|request| Box::pin(answer(request, service.clone(), rules, &breaker, &pulse)));
    let mut connection = http1::Builder::new()
        // the phases have time limits of their own
        .header_read_timeout(None)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), answering);
    let end = drive(&mut connection, &pulse, rules.phases, &mut stage).await;
    let parts = connection.into_parts();
    let stream = parts.io.into_inner();
    let last = match &end {
        // nobody reads the answer to a request that was not begun
        End::Late(Phase::Head) if stream.has_read() => Some(late_head(rules.phases)),
        // the start of a head came together with the request before it
        End::Late(Phase::Idle) if !parts.read_buf.is_empty() => Some(late_head(rules.phases)),
        End::Unreadable(error) => unreadable_request(&stream, error),
        _ => None,
    };
    // between two requests there is no answer to wait for
    let is_over = last.is_none() && matches!(end, End::Stopped | End::Late(_));
    if stream.is_whole() && !is_over {
        pulse.enter(Phase::Parting);
        part_in_time(stream, last.map(|errors| render(&errors, &rules.clock)), &mut stage).await;
    }
}

/// Runs a connection until it ends, is too late, or the server stops.
async fn drive<C: Exchanges>(
    connection: &mut C,
    pulse: &Pulse,
    limits: PhaseLimits,
    stage: &mut watch::Receiver<Stage>,
) -> End {
    // looks at least as often as the shortest limit, so that a request costs no timer
    let shortest = limits.head.min(limits.idle);
    let look = sleep_until(Instant::now() + shortest);
    tokio::pin!(look);
    let mut stops = false;
    loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll(context)) => return ended.map_or_else(End::Unreadable, |()| End::Done),
            () = &mut look => {
                let deadline = pulse.deadline(limits);
                let now = Instant::now();
                if deadline.is_some_and(|deadline| deadline <= now) {
                    return End::Late(pulse.phase());
                }
                look.as_mut().reset(deadline.unwrap_or(now + shortest).min(now + shortest));
            }
            _ = stage.wait_for(|stage| *stage >= if stops { Stage::Cut } else { Stage::Stopping }) => {
                // a request at work is finished
                if stops || matches!(pulse.phase(), Phase::Idle | Phase::Head) {
                    return End::Stopped;
                }
                stops = true;
                connection.stop();
            }
        }
    }
}

/// Answers a request.
async fn answer(
    request: Request<Incoming>,
    service: Service,
    rules: &Rules,
    breaker: &Breaker,
    pulse: &Pulse,
) -> Result<Response<AnswerBody>, Infallible> {
    pulse.enter(Phase::Working);
    let begun = Instant::now();
    let (mut parts, incoming) = request.into_parts();
    let (body, rest) = watched(&parts.headers, incoming);
    parts.extensions.insert(ConnectInfo(breaker.clone()));
    let Ok(mut response) = service.oneshot(Request::from_parts(parts, body)).await;
    // the time of a body is that of its reader and of what is left together
    let time = rules.body_timeout.saturating_sub(begun.elapsed());
    rest.settle(&mut response, time, &rules.stopping).await;
    if rules.stopping.is_requested() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| AnswerBody::new(body, pulse.clone())))
}

/// Returns the answer to a request that the HTTP layer could not read, if it is one.
fn unreadable_request(stream: &ClientStream, error: &hyper::Error) -> Option<Errors> {
    match stream.held_back() {
        Some(status) => Some(unreadable(status)),
        // a request of another version of HTTP
        None if error.is_parse() && stream.has_read() => Some(unreadable(400)),
        None => None,
    }
}

/// Parts from a client, for as long as its time and the stage of the server allow.
async fn part_in_time(mut stream: ClientStream, last: Option<Vec<u8>>, stage: &mut watch::Receiver<Stage>) {
    let stopping = async {
        let stops = stage.wait_for(|stage| *stage >= Stage::Stopping).await.is_ok();
        if stops {
            drop(timeout(LAST_PARTING, stage.wait_for(|stage| *stage == Stage::Cut)).await);
        }
    };
    tokio::select! {
        _ = timeout(PARTING, part(&mut stream, last)) => {}
        () = stopping => {}
    }
}

/// Ends a connection, so that the client can read the last answer: closing with unread bytes would reset it.
///
/// # Errors
/// If the client has gone.
pub async fn part(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), last: Option<Vec<u8>>) -> io::Result<()> {
    if let Some(last) = last {
        stream.write_all(&last).await?;
    }
    stream.shutdown().await?;
    let mut unread = [0; 4096];
    let mut length = 0;
    while length < LARGEST_PARTING {
        match stream.read(&mut unread).await? {
            0 => break,
            more => length += more,
        }
    }
    Ok(())
}

/// A connection of the HTTP layer, whose type can't be named.
trait Exchanges {
    /// Runs the connection to its end, with everything sent. Its stream stays open.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>>;

    /// Ends the connection after the present request.
    fn stop(&mut self);
}

impl<S, F> Exchanges for http1::Connection<TokioIo<ClientStream>, S>
where
    S: HttpService<Incoming, ResBody = AnswerBody, Error = Infallible, Future = F> + Unpin,
    F: Future<Output = Result<Response<AnswerBody>, Infallible>> + Unpin,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        // without its shutdown, which the stream ignores, the HTTP layer may leave the end of an answer unsent
        Pin::new(self).poll(context)
    }

    fn stop(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}
