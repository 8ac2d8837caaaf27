//! The stream of a client: bytes in and out, with its phase, a limit for writing, and the breaker of its requests.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::phase::{Phase, Pulse};
use crate::web::breaker::Breaker;

/// End of the head of a message.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// Time for the answer to a client that closed its sending side: it may still read, or may have gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// Greatest length of an answer of the HTTP layer's own.
const LONGEST_BARE: usize = 256;

/// A connection with or without TLS.
#[derive(Debug)]
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A client's stream. The HTTP server treats a failed write like a client that hung up.
#[derive(Debug)]
pub struct ClientStream {
    transport: Transport,
    breaker: Breaker,
    pulse: Pulse,
    /// Time for a write to make progress.
    write_timeout: Duration,
    /// The end of that time while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The end of [`PATIENCE`] after the client closed its sending side.
    parting: Option<Pin<Box<Sleep>>>,
    /// The reader that waits although the client closed its sending side.
    reader: Option<Waker>,
    /// True if the HTTP layer was told of the end a round later, since the last answer.
    has_delayed_end: bool,
    /// True if anything was read.
    has_read: bool,
    /// Status of the HTTP layer's own answer. It has no body, so it is held back.
    held_back: Option<u16>,
}

impl ClientStream {
    /// Wraps the stream of a new connection.
    pub fn new(transport: Transport, breaker: Breaker, pulse: Pulse, write_timeout: Duration) -> Self {
        Self {
            transport,
            breaker,
            pulse,
            write_timeout,
            stalled: None,
            parting: None,
            reader: None,
            has_delayed_end: false,
            has_read: false,
            held_back: None,
        }
    }

    /// Returns whether anything was read.
    pub fn has_read(&self) -> bool {
        self.has_read
    }

    /// Returns the status of an answer of the HTTP layer's own, which was held back.
    pub fn held_back(&self) -> Option<u16> {
        self.held_back
    }

    /// Returns whether the connection may still send.
    pub fn is_whole(&self) -> bool {
        self.breaker.check().is_ok()
    }

    fn transport(&mut self) -> Pin<&mut (dyn Duplex + 'static)> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream),
            Transport::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }

    /// Returns how many of these bytes belong to answers of the service. The others are the HTTP layer's own answer to
    /// a request that it can't read: it comes between answers, or behind the last one.
    fn of_service(&self, bytes: &[u8]) -> usize {
        match self.pulse.phase() {
            Phase::Working | Phase::Parting => bytes.len(),
            Phase::Idle | Phase::Head => 0,
            Phase::Sending => bare_answer(bytes).unwrap_or(bytes.len()),
        }
    }

    /// Ends the wait of a write that has waited too long without progress.
    fn limit<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let time = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(time)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// Returns the start of a bare answer at the end of these bytes. The service's answers have more headers, and JSON and
/// HTML end otherwise.
fn bare_answer(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(HEAD_END) {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST_BARE);
    let start = from + memchr::memmem::rfind(bytes.get(from..)?, b"HTTP/1.")?;
    let head = bytes.get(start..bytes.len() - HEAD_END.len())?;
    let is_whole = memchr::memmem::find(head, HEAD_END).is_none();
    let is_bare = memchr::memmem::find(head, b"x-request-id").is_none();
    (is_whole && is_bare && status(head).is_some_and(|status| (400..500).contains(&status))).then_some(start)
}

/// Reads the status of an answer.
fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.breaker.is_reset() {
            let stream = match &self.transport {
                Transport::Plain(stream) => stream,
                Transport::Tls(stream) => stream.get_ref().0,
            };
            // if the system can't reset, the client sees an end
            drop(stream.set_zero_linger());
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.transport().poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.has_read = true;
            self.pulse.pass(Phase::Idle, Phase::Head);
            return read;
        }
        // the HTTP layer takes an end for a client that has gone, and drops its request or the rest of its answer
        match self.pulse.phase() {
            Phase::Working if matches!(read, Poll::Ready(Ok(()))) => {
                self.reader = Some(context.waker().clone());
                let parting = self.parting.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
                ready!(parting.as_mut().poll(context));
            }
            Phase::Sending if matches!(read, Poll::Ready(Ok(()))) => {
                // writing has its own limit
                self.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            // the HTTP layer looks for the end as soon as it has read a head: let the service begin first
            Phase::Idle | Phase::Head if matches!(read, Poll::Ready(Ok(()))) && !self.has_delayed_end => {
                self.has_delayed_end = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ => {}
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.breaker.check()?;
        self.has_delayed_end = false;
        let ours = self.of_service(bytes);
        if ours == 0 && !bytes.is_empty() {
            self.held_back = self.held_back.or_else(|| status(bytes));
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = self.transport().poll_write(context, bytes.get(..ours).unwrap_or(bytes));
        self.limit(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.breaker.check()?;
        self.has_delayed_end = false;
        let last = slices.iter().rev().find(|slice| !slice.is_empty());
        if last.is_some_and(|last| self.of_service(last) < last.len()) {
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            return self.poll_write(context, first);
        }
        let written = self.transport().poll_write_vectored(context, slices);
        self.limit(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    /// Called only after everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.breaker.check()?;
        let flushed = self.transport().poll_flush(context);
        let flushed = self.limit(context, flushed)?;
        if flushed.is_ready() {
            if self.breaker.is_ending() {
                self.breaker.close();
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            self.pulse.pass(Phase::Sending, Phase::Idle);
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
        flushed.map(Ok)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // the end is another one's decision
        if self.breaker.is_reset() || self.pulse.phase() != Phase::Parting {
            return Poll::Ready(Ok(()));
        }
        let closed = self.transport().poll_shutdown(context);
        self.limit(context, closed)
    }
}
