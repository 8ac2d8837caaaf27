//! Client connections, and the handle for a request to break its own, as some faults demand.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The connection continues.
const WHOLE: u8 = 0;
/// The connection closes once everything written so far is sent.
const ENDING: u8 = 1;
/// Nothing more is sent, and the connection is closed.
const CLOSED: u8 = 2;
/// Nothing more is sent, and the connection is reset.
const RESET: u8 = 3;

/// A listener for breakable connections.
#[derive(Debug)]
pub struct Connections(pub TcpListener);

/// A client's connection. The HTTP server treats a failed write like a client that hung up.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    breaker: Breaker,
}

/// A handle to break a connection. Clones break the same one.
#[derive(Debug, Clone)]
pub struct Breaker(Arc<AtomicU8>);

impl Default for Breaker {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(WHOLE)))
    }
}

impl Breaker {
    /// Closes the connection; anything not written yet is dropped.
    pub fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// Resets the connection, so that the client's system reports a reset instead of an end.
    pub fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// Closes the connection once everything written is sent.
    pub fn end(&self) {
        self.0.store(ENDING, Ordering::Release);
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }

    /// Fails if nothing more may be sent.
    fn check(&self) -> io::Result<()> {
        if self.state() >= CLOSED { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // small answers are sent at once
        drop(stream.set_nodelay(true));
        (Connection { stream, breaker: Breaker::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Connections>> for Breaker {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().breaker.clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.breaker.state() == RESET {
            // if the system can't reset, the client sees an end
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.breaker.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.breaker.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called only after everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.breaker.check()?;
        let flushed = Pin::new(&mut self.stream).poll_flush(context)?;
        if flushed.is_ready() && self.breaker.state() == ENDING {
            self.breaker.close();
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        flushed.map(Ok)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.breaker.state() == RESET {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
