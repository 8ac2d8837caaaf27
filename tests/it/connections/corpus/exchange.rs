//! One connection of raw bytes: what was sent, and the answers to it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, within};

/// What a client does after its last byte.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// It closes its sending side.
    Half,
    /// It waits for the server to end the connection.
    Open,
}

/// The answers on one connection.
#[derive(Debug)]
pub struct Answers {
    /// The status of each, with the code of its error.
    pub list: Vec<String>,
    /// What came behind the last whole answer.
    pub rest: String,
}

impl Answers {
    /// Checks that the answers are whole, no failures, and at most one for each request of these bytes.
    pub fn assert_sound(&self, sent: &[u8]) {
        let Self { list, rest } = self;
        let text = || sent.escape_ascii();
        assert_eq!(rest, "", "half an answer to {}", text());
        assert!(list.iter().all(|answer| !answer.starts_with('5')), "{list:?} to {}", text());
        // every request names its version; what is none ends the connection
        let versions = memmem::find_iter(sent, b"HTTP/1.").count();
        let answers = list.iter().filter(|answer| *answer != "100").count();
        assert!(answers <= versions + 1, "{list:?} to {}", text());
    }
}

/// Sends these pieces, and reads to the end of the connection.
pub async fn exchange<'a>(address: &str, pieces: impl IntoIterator<Item = &'a [u8]>, ending: Ending) -> Answers {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sending = async {
        for piece in pieces {
            // the server may have refused the rest already
            if writer.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if matches!(ending, Ending::Half) {
            writer.shutdown().await.ok();
        }
    };
    let mut bytes = Vec::new();
    // a server that refused the rest may reset the connection later
    within(async { tokio::join!(sending, reader.read_to_end(&mut bytes)) }).await.1.ok();
    let (mut list, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((answer, behind)) = read_answer(rest) {
        list.push(answer);
        rest = behind;
    }
    Answers { list, rest: rest.escape_ascii().to_string() }
}

/// Reads the first answer, checks the invariants of every answer, and returns what is behind it.
fn read_answer(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = memmem::find(bytes, b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 4..]);
    let (start, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let status: u16 = start.strip_prefix("HTTP/1.1 ").or(start.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()?;
    if status == 100 {
        return Some(("100".into(), body));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in lines.split("\r\n").filter_map(|line| line.split_once(": ")) {
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    // the answer to a HEAD tells the length of a body that does not come
    let is_bare = body.is_empty() || body.starts_with(b"HTTP/1.");
    let length = if is_bare { 0 } else { headers.get("content-length")?.to_str().ok()?.parse().ok()? };
    let (text, behind) = body.split_at_checked(length)?;
    if is_bare {
        return Some((status.to_string(), behind));
    }
    let answer = Answer::read(status, headers, String::from_utf8(text.to_vec()).unwrap());
    let code = answer.body["errors"][0]["code"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
    Some((format!("{status}{code}"), behind))
}
