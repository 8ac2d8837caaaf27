//! HTTP byte by byte, for requests that no client library would send.

use std::io::ErrorKind;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, ToSocketAddrs};

use super::{Answer, within};

/// A connection to a server.
pub struct Wire(BufStream<TcpStream>);

impl Wire {
    pub async fn open(address: impl ToSocketAddrs) -> Self {
        Self(BufStream::new(TcpStream::connect(address).await.unwrap()))
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.0.write_all(bytes.as_ref())).await.unwrap();
        within(self.0.flush()).await.unwrap();
    }

    /// Sends the head of a POST with the write key, and these headers.
    pub async fn post(&mut self, path: &str, headers: &str) {
        let head = "Host: sandbox\r\nAuthorization: your_api_key\r\nContent-Type: application/json";
        self.send(format!("POST {path} HTTP/1.1\r\n{head}\r\n{headers}\r\n\r\n")).await;
    }

    /// Sends one chunk of a body; an empty chunk ends it.
    pub async fn chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let size = format!("{:x}\r\n", bytes.len());
        self.send([size.as_bytes(), bytes, b"\r\n"].concat()).await;
    }

    /// Closes the sending side.
    pub async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Waits for the first byte of an answer, and leaves the rest unread.
    pub async fn wait_for_start(&mut self) {
        assert!(!within(self.0.fill_buf()).await.unwrap().is_empty(), "the connection ended");
    }

    /// Reads the next answer.
    pub async fn answer(&mut self) -> Answer {
        let start = self.line().await;
        let status = start.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer: {start:?}"));
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        }
        let length = headers.get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        within(self.0.read_exact(&mut body)).await.unwrap();
        Answer::read(status, headers, String::from_utf8(body).unwrap())
    }

    /// Reads everything until the connection ends, cleanly or not.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        within(self.0.read_to_end(&mut rest)).await.ok();
        String::from_utf8(rest).unwrap()
    }

    /// Reads everything until the connection ends, and returns the error of an unclean end.
    pub async fn end(&mut self) -> (String, Option<ErrorKind>) {
        let mut rest = Vec::new();
        let ended = within(self.0.read_to_end(&mut rest)).await;
        (String::from_utf8(rest).unwrap(), ended.err().map(|error| error.kind()))
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        within(self.0.read_line(&mut line)).await.unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }
}
