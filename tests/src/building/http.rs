//! A device of the building that answers over HTTP/1.1: from a tree of texts that a test can
//! change while it runs, and as badly as a test asks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// No client of ours asks with a longer head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How questions are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// From the tree; 404 for what is not in it.
    Plain,
    /// Not at all.
    Hang,
    /// With this status and an empty object.
    Status(u16),
    /// With half of what it promised.
    Truncate,
    /// With something that is no HTTP.
    Garbage,
    /// With a place elsewhere.
    Redirect(String),
    /// With a body of so many bytes.
    Flood(usize),
}

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
}

#[derive(Debug)]
struct Inside {
    tree: BTreeMap<String, String>,
    manner: Manner,
    /// Without it a question is answered 401.
    authorization: Option<String>,
    /// Whether a connection ends after each answer without saying so.
    closes: bool,
    asked: Vec<Asked>,
    connections: usize,
}

/// The device; it ends when this is dropped.
pub struct HttpDouble {
    /// Where it listens.
    pub address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    task: JoinHandle<()>,
}

impl HttpDouble {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let inside = Arc::new(Mutex::new(Inside {
            tree: BTreeMap::new(),
            manner: Manner::Plain,
            authorization: None,
            closes: false,
            asked: Vec::new(),
            connections: 0,
        }));
        let task = tokio::spawn(accept(listener, tls, inside.clone()));
        Self { address, inside, task }
    }

    /// Puts a text where a path is asked for, or takes it away.
    pub fn set(&self, path: &str, text: Option<&str>) {
        let mut inside = lock(&self.inside);
        match text {
            Some(text) => inside.tree.insert(path.to_owned(), text.to_owned()),
            None => inside.tree.remove(path),
        };
    }

    /// Puts every value of a JSON object under its key.
    pub fn set_all(&self, tree: &serde_json::Value) {
        for (path, resource) in tree.as_object().into_iter().flatten() {
            self.set(path, Some(&resource.to_string()));
        }
    }

    /// Answers a PromQL query, as it is asked.
    pub fn set_query(&self, query: &str, answer: &str) {
        self.set(&format!("query:{query}"), Some(answer));
    }

    pub fn manner(&self, manner: Manner) {
        lock(&self.inside).manner = manner;
    }

    /// Asks for this header from now on.
    pub fn authorize(&self, header: Option<&str>) {
        lock(&self.inside).authorization = header.map(str::to_owned);
    }

    /// Ends connections after each answer, or no longer.
    pub fn close_after_answers(&self, closes: bool) {
        lock(&self.inside).closes = closes;
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.inside).asked.clone()
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.inside).connections
    }
}

impl Drop for HttpDouble {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, inside: Arc<Mutex<Inside>>) {
    let mut open = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        lock(&inside).connections += 1;
        let (tls, inside) = (tls.clone(), inside.clone());
        // What a client does wrong is for the client's own test to see.
        open.spawn(async move {
            match tls {
                None => drop(converse(socket, &inside).await),
                Some(tls) => {
                    if let Ok(stream) = tls.accept(socket).await {
                        drop(converse(stream, &inside).await);
                    }
                }
            }
        });
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    inside: &Mutex<Inside>,
) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(head) = head(&mut stream, &mut read).await? else { return Ok(()) };
        let asked = asked(&head);
        let (answer, ends) = {
            let mut inside = lock(inside);
            inside.asked.push(asked.clone());
            (answer(&inside, &asked), inside.closes || inside.manner == Manner::Truncate)
        };
        match answer {
            Some(answer) => stream.write_all(&answer).await?,
            None => std::future::pending().await,
        }
        stream.flush().await?;
        if ends {
            return stream.shutdown().await;
        }
    }
}

/// Reads up to the empty line; clients of ours send no body.
async fn head(
    stream: &mut (impl AsyncRead + Unpin),
    read: &mut Vec<u8>,
) -> std::io::Result<Option<String>> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            read.drain(..end + 4);
            return Ok(Some(head));
        }
        // Somebody who speaks TLS to a plain port.
        if read.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            return Ok(Some("? ?".to_owned()));
        }
        let mut more = [0; 4096];
        let count = stream.read(&mut more).await?;
        if count == 0 || read.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
        read.extend_from_slice(&more[..count]);
    }
}

fn asked(head: &str) -> Asked {
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let [method, path] = [(); 2].map(|()| first.next().unwrap_or_default().to_owned());
    let authorization = lines.find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    Asked { method, path, authorization }
}

/// The bytes of an answer; `None` for none ever.
fn answer(inside: &Inside, asked: &Asked) -> Option<Vec<u8>> {
    if asked.method == "?" {
        return Some(response(400, "", ""));
    }
    if inside.authorization.is_some() && inside.authorization != asked.authorization {
        return Some(response(401, "", "{}"));
    }
    let found = || match inside.tree.get(&key(&asked.path)) {
        Some(text) => response(200, "", text),
        None => response(404, "", "{}"),
    };
    Some(match &inside.manner {
        Manner::Hang => return None,
        Manner::Plain => found(),
        Manner::Status(status) => response(*status, "", "{}"),
        Manner::Truncate => {
            let whole = found();
            whole[..whole.len() - 1].to_vec()
        }
        Manner::Garbage => b"\x16\x03\x01 this is no HTTP\r\n\r\n".to_vec(),
        Manner::Redirect(to) => response(302, &format!("Location: {to}\r\n"), ""),
        Manner::Flood(bytes) => response(200, "", &" ".repeat(*bytes)),
    })
}

fn response(status: u16, headers: &str, body: &str) -> Vec<u8> {
    // Newer servers of Prometheus want to know what their exporters speak.
    let kind = if body.starts_with(['{', '[']) { "application/json" } else { "text/plain" };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Double\r\n{headers}Content-Type: {kind}; charset=utf-8\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Where in the tree a path is: a PromQL query by itself, anything else without its query.
fn key(path: &str) -> String {
    let Some((bare, query)) = path.split_once('?') else { return path.to_owned() };
    let promql = query.split('&').find_map(|pair| pair.strip_prefix("query="));
    match promql {
        Some(promql) => format!("query:{}", decoded(promql)),
        None => bare.to_owned(),
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits: String = rest.by_ref().take(2).map(char::from).collect();
        bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
