//! Raw requests, good and bad, with the answers that are right.

use crate::support::documented_output;

/// One write of a client.
pub struct Raw {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// Statuses of the answers in their order, each with the code of its error.
    pub answers: &'static str,
}

pub const GET: &str = "GET /_sandbox/health/live HTTP/1.1\r\nHost: x\r\n\r\n";

/// Returns a POST of an output with these headers and this body.
pub fn post(headers: &str, body: &str) -> String {
    let head = "POST /api/concierge_request_outputs HTTP/1.1\r\nHost: x\r\nAuthorization: your_api_key\r\n\
                Content-Type: application/json";
    format!("{head}\r\n{headers}\r\n\r\n{body}")
}

/// Returns a whole POST of an output.
pub fn whole() -> String {
    let document = documented_output().to_string();
    post(&format!("Content-Length: {}", document.len()), &document)
}

/// Returns a POST of the documented output under a `Content-Length` made of its length.
fn lengthy(headers: impl Fn(usize) -> String) -> String {
    let document = documented_output().to_string();
    post(&headers(document.len()), &document)
}

/// Returns a POST of the documented output in two chunks, with `after` behind the size of the first one.
fn chunked(after: &str, end: &str) -> String {
    let document = documented_output().to_string();
    let (first, rest) = document.split_at(26);
    post("Transfer-Encoding: chunked", &format!("1a{after}\r\n{first}\r\n{:X}\r\n{rest}\r\n{end}", rest.len()))
}

/// Returns a POST whose chunked body is this text.
fn in_chunks(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

/// Returns a request with this first line and these lines behind it.
fn get(start: &str, headers: &str) -> String {
    format!("{start}\r\n{headers}\r\n")
}

/// Lists all of them.
pub fn requests() -> Vec<Raw> {
    let mut all = Table(Vec::new());
    let parts = [lengths, chunks, codings, lines, versions, targets, sizes, pipelines, expectations, bytes];
    for part in parts {
        part(&mut all);
    }
    all.0
}

struct Table(Vec<Raw>);

impl Table {
    fn text(&mut self, name: &'static str, request: &str, answers: &'static str) {
        self.bytes(name, &[request.as_bytes()], answers);
    }

    fn bytes(&mut self, name: &'static str, parts: &[&[u8]], answers: &'static str) {
        self.0.push(Raw { name, bytes: parts.concat(), answers });
    }
}

/// Returns the lines of a request for the version and these headers.
fn live(version: &str, headers: &str) -> String {
    get(&format!("GET /_sandbox/health/live {version}"), headers)
}

/// Returns a whole POST of an output in one chunk, under this transfer coding.
fn coded(coding: &str) -> String {
    let document = documented_output().to_string();
    post(&format!("Transfer-Encoding: {coding}"), &format!("{:x}\r\n{document}\r\n0\r\n\r\n", document.len()))
}

/// Lists requests with right and wrong lengths.
fn lengths(all: &mut Table) {
    let inner = whole();
    let document = documented_output().to_string();
    let length = document.len();
    all.text("length", &inner, "201");
    all.text("length with blanks", &lengthy(|length| format!("Content-Length:  \t{length} ")), "201");
    all.text("length of zero", &post("Content-Length: 0", ""), "400 json_invalid");
    all.text("no length", &post("X-A: b", ""), "400 json_invalid");
    all.text("no length and a body", &post("X-A: b", &document), "400 json_invalid, 400 http_invalid");
    all.text("no length and a request", &post("X-A: b", GET), "400 json_invalid, 200");
    all.text(
        "length too small",
        &lengthy(|length| format!("Content-Length: {}", length - 5)),
        "400 json_invalid, 400 http_invalid",
    );
    all.text("length too large", &lengthy(|length| format!("Content-Length: {}", length + 5)), "400 document_invalid");
    all.text(
        "length over the next request",
        &(post(&format!("Content-Length: {}", length + inner.len()), &document) + &inner),
        "400 json_invalid",
    );
    for (name, value) in [
        ("length negative", "-1"),
        ("length with a plus", "+1"),
        ("length in hex", "0x1F"),
        ("length with a blank", "1 1"),
        ("length with a fraction", "1.0"),
        ("length empty", ""),
        ("length in words", "many"),
        ("length beyond 64 bits", "18446744073709551616"),
        ("length in quotes", "\"5\""),
        ("lengths in a list, different", "5, 6"),
        ("lengths in a list, one missing", "5,"),
        ("lengths on two lines, different", "5\r\nContent-Length: 6"),
        ("lengths on two lines, one empty", "5\r\nContent-Length:"),
    ] {
        all.text(name, &post(&format!("Content-Length: {value}"), &inner), "400 http_invalid");
    }
    // the HTTP layer has no other word for it
    all.text("length of all 64 bits", &post("Content-Length: 18446744073709551615", &inner), "431 headers_too_large");
    all.text("length of 63 bits", &post("Content-Length: 9223372036854775807", &inner), "400 document_invalid");
    all.text(
        "lengths on two lines, equal",
        &lengthy(|length| format!("Content-Length: {length}\r\nContent-Length: {length}")),
        "201",
    );
    all.text(
        "lengths in a list, equal",
        &lengthy(|length| format!("Content-Length: {length}, {length}")),
        "400 http_invalid",
    );
    all.text(
        "length of a GET",
        &(get("GET /_sandbox/health/live HTTP/1.1", &format!("Host: x\r\nContent-Length: {}\r\n", inner.len()))
            + &inner
            + GET),
        "200, 200",
    );
}

/// Lists requests in chunks, with and without trailers.
fn chunks(all: &mut Table) {
    let document = documented_output().to_string();
    let length = document.len();
    all.text("chunks", &(chunked("", "0\r\n\r\n") + GET), "201, 200");
    all.text(
        "chunks of a GET",
        &(get("GET /_sandbox/health/live HTTP/1.1", "Host: x\r\nTransfer-Encoding: chunked\r\n")
            + "5\r\nGET /\r\n0\r\n\r\n"
            + GET),
        "200, 200",
    );
    all.text("chunk with an extension", &(chunked(";a=b", "0;c\r\n\r\n") + GET), "201, 200");
    all.text("chunk with a quoted extension", &(chunked(";a=\"b;c\"", "0\r\n\r\n") + GET), "201, 200");
    all.text("chunk with a blank behind its size", &(chunked(" ", "0\r\n\r\n") + GET), "201, 200");
    all.text("chunk with a line feed in its extension", &(chunked(";a\nb", "0\r\n\r\n") + GET), "400 document_invalid");
    all.text(
        "chunk with a long extension",
        &(chunked(&format!(";a={}", "b".repeat(20_000)), "0\r\n\r\n") + GET),
        "400 document_invalid",
    );
    all.text(
        "chunk with zeros before its size",
        &(in_chunks(&format!("{length:016x}\r\n{document}\r\n000\r\n\r\n")) + GET),
        "201, 200",
    );
    all.text(
        "chunk with a size in capitals",
        &(in_chunks(&format!("{length:X}\r\n{document}\r\n0\r\n\r\n")) + GET),
        "201, 200",
    );
    for (name, body) in [
        ("chunk with a size that is not hex", "g\r\n{}\r\n0\r\n\r\n"),
        ("chunk with a prefix", "0x2\r\n{}\r\n0\r\n\r\n"),
        ("chunk with a sign", "+2\r\n{}\r\n0\r\n\r\n"),
        ("chunk with a negative size", "-2\r\n{}\r\n0\r\n\r\n"),
        ("chunk without a size", "\r\n{}\r\n0\r\n\r\n"),
        ("chunk beyond 64 bits", "10000000000000002\r\n{}\r\n0\r\n\r\n"),
        ("chunk of all 64 bits", "FFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n"),
        ("chunk too small", "1\r\n{}\r\n0\r\n\r\n"),
        ("chunk too large", "9\r\n{}\r\n0\r\n\r\n"),
        ("chunk without its line end", "2\r\n{}0\r\n\r\n"),
        ("chunk with bare line feeds", "2\n{}\n0\n\n"),
        ("chunks without the last one", "2\r\n{}\r\n"),
        ("chunks without the last line", "2\r\n{}\r\n0\r\n"),
        ("trailer that is no header", "2\r\n{}\r\n0\r\nno colon\r\n\r\n"),
    ] {
        all.text(name, &(in_chunks(body) + GET), "400 document_invalid");
    }
    all.text("trailer", &(chunked("", "0\r\nX-A: b\r\n\r\n") + GET), "201, 200");
    all.text(
        "trailer with a length",
        &(chunked("", "0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n") + GET),
        "201, 200",
    );
    all.text(
        "trailer with a key",
        &(chunked("", "0\r\nAuthorization: nobody\r\nHost: evil.example.com\r\n\r\n") + GET),
        "201, 200",
    );
    all.text(
        "trailers too many",
        &(chunked("", &format!("0\r\n{}\r\n", "X-A: b\r\n".repeat(200))) + GET),
        "400 document_invalid",
    );
    all.text(
        "trailers too large",
        &(chunked("", &format!("0\r\nX-A: {}\r\n\r\n", "b".repeat(200_000))) + GET),
        "400 document_invalid",
    );
}

/// Lists requests in other transfer codings than chunks.
fn codings(all: &mut Table) {
    let inner = whole();
    for (name, coding) in [
        ("coding of its own", "x"),
        ("coding by gzip", "gzip"),
        ("coding identity", "identity"),
        ("coding identity behind chunks", "chunked, identity"),
        ("coding identity on a line behind", "chunked\r\nTransfer-Encoding: identity"),
        ("coding empty", ""),
        ("coding xchunked", "xchunked"),
        ("coding with a vertical tab", "\u{b}chunked"),
        ("coding in quotes", "\"chunked\""),
        ("coding with a parameter", "chunked;q=1"),
        ("coding on a folded line", "\r\n chunked"),
        ("coding folded behind", "chunked\r\n , identity"),
    ] {
        all.text(name, &(coded(coding) + GET), "400 http_invalid");
    }
    for (name, coding) in [
        ("coding by gzip in chunks", "gzip, chunked"),
        ("coding in chunks twice", "chunked, chunked"),
        ("coding in chunks on two lines", "chunked\r\nTransfer-Encoding: chunked"),
        ("coding identity before chunks", "identity, chunked"),
        ("coding identity on a line before", "identity\r\nTransfer-Encoding: chunked"),
        ("coding empty before chunks", ", chunked"),
    ] {
        all.text(name, &(coded(coding) + GET), "400 header_invalid");
    }
    all.text("coding in capitals", &(coded("CHUNKED") + GET), "201, 200");
    // the coding is believed, and the connection ends: what another reader takes for the body is never carried out
    for (name, headers) in [
        ("length before a coding", format!("Content-Length: {}\r\nTransfer-Encoding: chunked", 5 + inner.len())),
        ("length behind a coding", format!("Transfer-Encoding: chunked\r\nContent-Length: {}", 5 + inner.len())),
        ("length short before a coding", "Content-Length: 5\r\nTransfer-Encoding: chunked".to_owned()),
        ("length of zero before a coding", "Content-Length: 0\r\nTransfer-Encoding: chunked".to_owned()),
    ] {
        all.text(name, &post(&headers, &format!("0\r\n\r\n{inner}")), "400 json_invalid");
    }
}

/// Lists requests with damaged lines.
fn lines(all: &mut Table) {
    let inner = whole();
    all.text("header with a blank before its colon", &get("GET / HTTP/1.1", "Host : x\r\n"), "400 http_invalid");
    all.text(
        "coding with a blank before its colon",
        &post("Transfer-Encoding : chunked", &format!("0\r\n\r\n{inner}")),
        "400 http_invalid",
    );
    all.text("length with a blank before its colon", &post("Content-Length : 0", &inner), "400 http_invalid");
    all.text("header on a folded line", &get("GET / HTTP/1.1", "Host: x\r\nX-A: b\r\n c\r\n"), "400 http_invalid");
    all.text("first header folded", &get("GET / HTTP/1.1", " Host: x\r\n"), "400 http_invalid");
    all.text("header without a colon", &get("GET / HTTP/1.1", "Host: x\r\nX-A\r\n"), "400 http_invalid");
    all.text("header without a name", &get("GET / HTTP/1.1", "Host: x\r\n: b\r\n"), "400 http_invalid");
    all.text("bare line feeds", &GET.replace("\r\n", "\n"), "200");
    all.text("bare carriage return", &get("GET / HTTP/1.1", "Host: x\r\nX-A: b\rX-C: d\r\n"), "400 http_invalid");
    all.text("empty lines before", &format!("\r\n\r\n{GET}\r\n{GET}"), "200, 200");
    all.text("empty lines only", "\r\n\r\n\r\n", "");
    all.text("blank before", &format!(" {GET}"), "400 http_invalid");
    all.text("two blanks in the first line", &get("GET  / HTTP/1.1", "Host: x\r\n"), "400 http_invalid");
    all.text("tab in the first line", &get("GET\t/\tHTTP/1.1", "Host: x\r\n"), "400 http_invalid");
    all.text("blank in the target", &get("GET /a b HTTP/1.1", "Host: x\r\n"), "400 http_invalid");
}

/// Lists requests of other versions.
fn versions(all: &mut Table) {
    let inner = whole();
    all.text("HTTP/1.0", &(live("HTTP/1.0", "Host: x\r\n") + &inner), "200");
    all.text("HTTP/1.0 without a host", &live("HTTP/1.0", ""), "200");
    all.text(
        "HTTP/1.0 kept alive",
        &(live("HTTP/1.0", "Connection: keep-alive\r\n").repeat(2) + &inner),
        "200, 200, 201",
    );
    all.text("HTTP/1.0 with a length", &(inner.replace("HTTP/1.1", "HTTP/1.0") + &inner), "201");
    all.text("HTTP/1.0 in chunks", &(coded("chunked").replace("HTTP/1.1", "HTTP/1.0") + GET), "400 http_invalid");
    all.text("HTTP/0.9", "GET /_sandbox/health/live\r\n\r\n", "400 http_invalid");
    all.text("HTTP/0.9 in a word", &live("HTTP/0.9", "Host: x\r\n"), "400 http_invalid");
    all.text("HTTP/1.2", &live("HTTP/1.2", "Host: x\r\n"), "400 http_invalid");
    all.text("HTTP/1.10", &live("HTTP/1.10", "Host: x\r\n"), "400 http_invalid");
    all.text("HTTP/2", &live("HTTP/2.0", "Host: x\r\n"), "400 http_invalid");
    all.text("version in small letters", &live("http/1.1", "Host: x\r\n"), "400 http_invalid");
    all.text("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0", "400 http_invalid");
}

/// Lists requests with unusual targets, methods and hosts.
fn targets(all: &mut Table) {
    all.text("target with its origin", &get("GET http://x/_sandbox/health/live HTTP/1.1", "Host: x\r\n"), "200");
    all.text(
        "target with a stranger's origin",
        &get("GET http://evil.example.com/_sandbox/health/live HTTP/1.1", "Host: x\r\n"),
        "421 host_not_allowed",
    );
    all.text(
        "target with an origin, host of a stranger",
        &get("GET http://x/_sandbox/health/live HTTP/1.1", "Host: evil.example.com\r\n"),
        "200",
    );
    all.text(
        "target with a user",
        &get("GET http://a:b@x/_sandbox/health/live HTTP/1.1", "Host: x\r\n"),
        "400 header_invalid",
    );
    all.text("target of another scheme", &get("GET ftp://x/_sandbox/health/live HTTP/1.1", "Host: x\r\n"), "200");
    all.text("target of all", &get("OPTIONS * HTTP/1.1", "Host: x\r\n"), "404 route_unknown");
    all.text("target of all of a GET", &get("GET * HTTP/1.1", "Host: x\r\n"), "404 route_unknown");
    all.text("tunnel", &(get("CONNECT x:443 HTTP/1.1", "Host: x:443\r\n") + GET), "404 route_unknown, 200");
    all.text("target with a fragment", &get("GET /_sandbox/health/live#a HTTP/1.1", "Host: x\r\n"), "200");
    all.text("target without a slash", &get("GET a HTTP/1.1", "Host: x\r\n"), "404 route_unknown");
    all.text("no target", &get("GET HTTP/1.1", "Host: x\r\n"), "400 http_invalid");
    all.text(
        "target too long",
        &get(&format!("GET /{} HTTP/1.1", "a".repeat(65_534)), "Host: x\r\n"),
        "414 url_too_long",
    );
    all.text(
        "target just not too long",
        &get(&format!("GET /{} HTTP/1.1", "a".repeat(65_533)), "Host: x\r\n"),
        "404 route_unknown",
    );
    all.text("target with dots", &get("GET /api/../_sandbox/health/live HTTP/1.1", "Host: x\r\n"), "404 route_unknown");
    all.text(
        "target with an encoded NUL",
        &get("GET /api/users/%00 HTTP/1.1", "Host: x\r\nAuthorization: your_api_key\r\n"),
        "404 resource_not_found",
    );
    all.text("method of its own", &get("BREW /_sandbox/health/live HTTP/1.1", "Host: x\r\n"), "405 method_not_allowed");
    all.text(
        "method in small letters",
        &get("get /_sandbox/health/live HTTP/1.1", "Host: x\r\n"),
        "405 method_not_allowed",
    );
    all.text(
        "method too long",
        &get(&format!("{} / HTTP/1.1", "A".repeat(10_000)), "Host: x\r\n"),
        "404 route_unknown",
    );
    all.text("HEAD", &(get("HEAD /_sandbox/health/live HTTP/1.1", "Host: x\r\n") + GET), "200, 200");
    all.text("no host", &get("GET /_sandbox/health/live HTTP/1.1", ""), "200");
    all.text("two hosts", &get("GET /_sandbox/health/live HTTP/1.1", "Host: x\r\nHost: y\r\n"), "400 header_invalid");
    all.text(
        "two hosts, equal",
        &get("GET /_sandbox/health/live HTTP/1.1", "Host: x\r\nHost: x\r\n"),
        "400 header_invalid",
    );
    all.text("host empty", &get("GET /_sandbox/health/live HTTP/1.1", "Host:\r\n"), "400 header_invalid");
    all.text("host with a path", &get("GET /_sandbox/health/live HTTP/1.1", "Host: x/y\r\n"), "400 header_invalid");
    all.text(
        "host of a stranger",
        &get("GET /_sandbox/health/live HTTP/1.1", "Host: evil.example.com\r\n"),
        "421 host_not_allowed",
    );
}

/// Lists requests with many or large headers.
fn sizes(all: &mut Table) {
    let fill = |headers: usize| {
        get("GET /_sandbox/health/live HTTP/1.1", &("Host: x\r\n".to_owned() + &"X-A: b\r\n".repeat(headers - 1)))
    };
    all.text("headers, a hundred", &fill(100), "200");
    all.text("headers too many", &(fill(101) + GET), "431 headers_too_large");
    all.text(
        "header too large",
        &get("GET / HTTP/1.1", &format!("Host: x\r\nX-A: {}\r\n", "b".repeat(200_000))),
        "431 headers_too_large",
    );
    all.text(
        "header large",
        &get("GET /_sandbox/health/live HTTP/1.1", &format!("Host: x\r\nX-A: {}\r\n", "b".repeat(100_000))),
        "200",
    );
    all.text(
        "header with a long name",
        &get("GET / HTTP/1.1", &format!("Host: x\r\n{}: b\r\n", "a".repeat(70_000))),
        "431 headers_too_large",
    );
}

/// Lists several requests in one write.
fn pipelines(all: &mut Table) {
    let inner = whole();
    all.text("pipeline", &format!("{GET}{inner}{GET}{inner}{GET}"), "200, 201, 200, 201, 200");
    let nowhere = get("GET /nowhere HTTP/1.1", "Host: x\r\n");
    let broken = post("Content-Length: 1", "{");
    all.text(
        "pipeline with refusals",
        &format!("{inner}{nowhere}{broken}{inner}"),
        "201, 404 route_unknown, 400 json_invalid, 201",
    );
    all.text(
        "pipeline with an unreadable one",
        &format!("{GET}{inner}no request\r\n\r\n{inner}"),
        "200, 201, 400 http_invalid",
    );
    all.text(
        "pipeline with an end",
        &format!("{GET}{}{inner}", live("HTTP/1.1", "Host: x\r\nConnection: close\r\n")),
        "200, 200",
    );
    all.text(
        "pipeline of many",
        &GET.repeat(20),
        "200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200",
    );
    all.text("pipeline cut in a head", &format!("{inner}GET / HT"), "201");
}

/// Lists requests with expectations and upgrades.
fn expectations(all: &mut Table) {
    let expecting = |what: &str| lengthy(|length| format!("Content-Length: {length}\r\nExpect: {what}"));
    all.text("expectation of a sign", &(expecting("100-continue") + GET), "100, 201, 200");
    all.text("expectation unknown", &(expecting("more") + GET), "201, 200");
    all.text(
        "expectation without a body",
        &(get("GET /_sandbox/health/live HTTP/1.1", "Host: x\r\nExpect: 100-continue\r\n") + GET),
        "200, 200",
    );
    all.text(
        "upgrade to HTTP/2",
        &(live(
            "HTTP/1.1",
            "Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        ) + GET),
        "200, 200",
    );
    all.text(
        "upgrade to a web socket",
        &(live(
            "HTTP/1.1",
            "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
        ) + GET),
        "200, 200",
    );
}

/// Lists requests with bytes that are no text, and no requests at all.
fn bytes(all: &mut Table) {
    let host = b" HTTP/1.1\r\nHost: x\r\n".as_slice();
    let path = b"GET /_sandbox/health/live".as_slice();
    all.bytes("NUL in the target", &[b"GET /\0", host, b"\r\n"], "400 http_invalid");
    all.bytes("NUL in a name", &[path, host, b"X-\0A: b\r\n\r\n"], "400 http_invalid");
    all.bytes("NUL in a value", &[path, host, b"X-A: b\0c\r\n\r\n"], "400 http_invalid");
    all.bytes("UTF-8 in the target", &["GET /caf\u{e9}".as_bytes(), host, b"\r\n"], "404 route_unknown");
    all.bytes("high bytes in the target", &[b"GET /\xff\xfe", host, b"\r\n"], "400 http_invalid");
    all.bytes("high bytes in a name", &[path, host, b"X-\xff: b\r\n\r\n"], "400 http_invalid");
    all.bytes("high bytes in a value", &[path, host, b"X-A: \xff\r\n\r\n"], "200");
    all.bytes("high bytes in the method", &[b"G\xffT /", host, b"\r\n"], "400 http_invalid");
    all.bytes("control bytes in a value", &[path, host, b"X-A: \x01\x7f\r\n\r\n"], "400 http_invalid");
    all.bytes("hello of TLS", &[b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", &[0x5a; 160]], "400 http_invalid");
    all.bytes("banner of SSH", &[b"SSH-2.0-OpenSSH_9.6\r\n\r\n"], "400 http_invalid");
    all.bytes("zeros", &[&[0; 300]], "400 http_invalid");
    all.bytes("high bytes", &[&[0xff; 300]], "400 http_invalid");
    all.bytes("nothing", &[], "");
    all.bytes("start of a method", &[b"GE"], "");
    all.bytes("start of a head", &[path, host], "");
}
