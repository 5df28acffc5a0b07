//! A caller that speaks just enough HTTP/1.1 for the tests: what it sends is what the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends a request with these lines of head after `Host`, and reads the answer to its end.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn ask(address: &str, method: &str, path: &str, lines: &[&str]) -> Answer {
    ask_as(address, address, method, path, lines)
}

/// As [`ask`], under another host name.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn ask_as(address: &str, host: &str, method: &str, path: &str, lines: &[&str]) -> Answer {
    let mut reader = open(address, host, method, path, lines, "Connection: close\r\n");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn open(
    address: &str,
    host: &str,
    method: &str,
    path: &str,
    lines: &[&str],
    end: &str,
) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}{end}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    BufReader::new(stream)
}

/// Server-sent events of a page, as they come.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// Opens them.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn open(address: &str, path: &str) -> Self {
        Self(open(address, address, "GET", path, &["Accept: text/event-stream"], ""))
    }

    /// The next event's document; nothing once they are over.
    ///
    /// # Panics
    /// When none comes in time, or it is no JSON.
    pub fn event(&mut self) -> Option<serde_json::Value> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("an event in time") == 0 {
                return None;
            }
            if let Some(document) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(document).expect("an event is JSON"));
            }
        }
    }
}
