//! An HTTP client with exact counts: one connection, one request at a time, every answer read completely.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::request::{BODY, KEY, PATH};
use crate::world::Outcome;

/// Timeout of a read.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the server.
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    /// The id at the end of `Location`, if there is one.
    pub id: Option<i64>,
    pub took: Duration,
}

impl Client {
    pub fn connect(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_owned() })
    }

    /// Creates an output. Returns its id and the time taken.
    ///
    /// # Errors
    /// Any answer without 201 and an id; I/O errors.
    pub fn post(&mut self) -> Outcome<(i64, Duration)> {
        let answer = self.send("POST", PATH, KEY, BODY)?;
        match answer {
            Answer { status: 201, id: Some(id), took } => Ok((id, took)),
            Answer { status, .. } => Err(format!("a new output was answered with {status}").into()),
        }
    }

    /// Gets a path below the outputs, such as `/ID` or a query. Returns the time taken.
    ///
    /// # Errors
    /// Any status but 200; I/O errors.
    pub fn get(&mut self, rest: &str) -> Outcome<Duration> {
        let answer = self.send("GET", &format!("{PATH}{rest}"), KEY, "")?;
        match answer.status {
            200 => Ok(answer.took),
            status => Err(format!("GET {PATH}{rest} was answered with {status}").into()),
        }
    }

    /// Calls an action of a request.
    ///
    /// # Errors
    /// Any status but 200; I/O errors.
    pub fn act(&mut self, request: i64, action: &str) -> Outcome<()> {
        match self.send("POST", &format!("/api/concierge_requests/{request}/{action}"), KEY, "")?.status {
            200 => Ok(()),
            status => Err(format!("{action} of request {request} was answered with {status}").into()),
        }
    }

    /// Sends a request with a key, and a body if it isn't empty.
    ///
    /// # Errors
    /// I/O errors, an answer without a length.
    pub fn send(&mut self, method: &str, path: &str, key: &str, body: &str) -> Outcome<Answer> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: {key}\r\naccept: application/vnd.api+json\r\n",
            self.host
        );
        if matches!(method, "POST" | "PATCH") {
            let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
            request.push_str(&headers);
        }
        request.push_str("\r\n");
        request.push_str(body);
        let start = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut answer = Answer { status: 0, id: None, took: Duration::ZERO };
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the server closed the connection".into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                None => answer.status = line.split(' ').nth(1).unwrap_or_default().parse()?,
                Some(("content-length", value)) => length = value.parse()?,
                Some(("location", value)) => answer.id = value.rsplit('/').next().and_then(|id| id.parse().ok()),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        answer.took = start.elapsed();
        Ok(answer)
    }
}
