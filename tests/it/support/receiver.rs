//! A receiver of events, scripted by a test.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::{contract, within};

/// A received call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `POST /path?query HTTP/1.1`
    pub line: String,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Call {
    /// Reads the next call of a connection.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Self {
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            within(stream.read_line(&mut line)).await.unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let line = lines.remove(0);
        let split = |line: String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers = lines.into_iter().map(|line| split(line).unwrap()).collect();
        let mut call = Self { line, headers, body: Vec::new() };
        call.body.resize(call.header("content-length").map_or(0, |length| length.parse().unwrap()), 0);
        within(stream.read_exact(&mut call.body)).await.unwrap();
        call
    }

    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A receiver on loopback, gone when it is dropped.
pub struct Receiver {
    pub port: u16,
    calls: UnboundedReceiver<Call>,
    accepting: JoinHandle<()>,
}

impl Receiver {
    /// Answers every call with these bytes and ends the connection.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::scripted(move |mut stream| {
            let answer = answer.clone();
            async move {
                stream.write_all(&answer).await.ok();
                stream.shutdown().await.ok();
            }
        })
        .await
    }

    /// Answers one call for each notification.
    pub async fn gated() -> (Self, Arc<Notify>) {
        let go = Arc::new(Notify::new());
        let let_go = Arc::clone(&go);
        let receiver = Self::scripted(move |mut stream| {
            let go = Arc::clone(&let_go);
            async move {
                go.notified().await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok();
            }
        })
        .await;
        (receiver, go)
    }

    /// Takes every call and never answers.
    pub async fn hanging() -> Self {
        Self::scripted(|stream| async move {
            let _held = stream;
            std::future::pending::<()>().await;
        })
        .await
    }

    /// Answers each call with the decided text, and ends the connection.
    pub async fn deciding(decide: impl Fn(&Call) -> String + Send + Sync + 'static) -> Self {
        let decide = Arc::new(decide);
        Self::handling(move |mut stream, call| {
            let decide = Arc::clone(&decide);
            async move {
                let answer = decide(&call);
                stream.write_all(answer.as_bytes()).await.ok();
                stream.shutdown().await.ok();
            }
        })
        .await
    }

    /// Reads a call on every connection and leaves the rest to a script.
    pub async fn scripted<F>(script: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::handling(move |stream, _| script(stream)).await
    }

    /// Reads a call on every connection, and passes both to a script.
    pub async fn handling<F>(handle: impl Fn(TcpStream, Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (received, calls) = unbounded_channel();
        let handle = Arc::new(handle);
        let accepting = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (received, handle) = (received.clone(), Arc::clone(&handle));
                tokio::spawn(async move {
                    // a connection closed without a byte is no call
                    if stream.peek(&mut [0]).await.unwrap_or_default() == 0 {
                        return;
                    }
                    let call = Call::read(&mut stream).await;
                    received.send(call.clone()).ok();
                    handle(stream, call).await;
                });
            }
        });
        Self { port, calls, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Waits for the next call, and holds it against the API document.
    pub async fn call(&mut self) -> Call {
        let call = within(self.calls.recv()).await.unwrap();
        contract::check_event(&call);
        call
    }

    /// Returns the calls received since the last time, and holds them against the API document.
    pub fn calls(&mut self) -> Vec<Call> {
        let calls: Vec<Call> = std::iter::from_fn(|| self.calls.try_recv().ok()).collect();
        calls.iter().for_each(contract::check_event);
        calls
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
