//! An MQTT 3.1.1 broker, as much of one as a listener needs: it lets in, keeps what is to be
//! kept, and hands on what a test publishes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

#[derive(Debug, Default)]
struct Inside {
    /// What new listeners hear first, by topic.
    kept: BTreeMap<String, String>,
    /// Listeners that are there: their filters, and the way to them.
    listeners: Vec<Listener>,
    user: Option<(String, String)>,
    /// First bytes of the packets that came.
    packets: Vec<u8>,
    connections: usize,
}

#[derive(Debug)]
struct Listener {
    filters: Vec<String>,
    out: mpsc::UnboundedSender<Vec<u8>>,
}

/// The broker; it ends when this is dropped.
pub struct Broker {
    /// Where it listens.
    pub address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    task: JoinHandle<()>,
}

impl Broker {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let inside = Arc::new(Mutex::new(Inside::default()));
        let task = tokio::spawn(accept(listener, inside.clone()));
        Self { address, inside, task }
    }

    /// Lets in nobody but this user, from now on.
    pub fn ask_for(&self, user: &str, password: &str) {
        lock(&self.inside).user = Some((user.to_owned(), password.to_owned()));
    }

    /// Keeps a text for those who come later, and hands it to those who are there.
    pub fn keep(&self, topic: &str, text: &str) {
        lock(&self.inside).kept.insert(topic.to_owned(), text.to_owned());
        self.publish(topic, text);
    }

    /// Hands a text to those who are there.
    pub fn publish(&self, topic: &str, text: &str) {
        let inside = lock(&self.inside);
        for listener in &inside.listeners {
            if listener.filters.iter().any(|filter| fits(filter, topic)) {
                // Whoever left hears nothing.
                let _ = listener.out.send(publish(topic, text, false));
            }
        }
    }

    /// Sends bytes as they are to everybody.
    pub fn say(&self, bytes: &[u8]) {
        for listener in &lock(&self.inside).listeners {
            let _ = listener.out.send(bytes.to_vec());
        }
    }

    /// Ends every connection.
    pub fn hang_up(&self) {
        for listener in &lock(&self.inside).listeners {
            // Nothing to say is the end.
            let _ = listener.out.send(Vec::new());
        }
    }

    /// How many listeners hear this topic now.
    #[must_use]
    pub fn hearing(&self, topic: &str) -> usize {
        let inside = lock(&self.inside);
        let hears = |of: &&Listener| of.filters.iter().any(|filter| fits(filter, topic));
        inside.listeners.iter().filter(hears).count()
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.inside).connections
    }

    /// Kinds of the packets that came: 1 asks to come in, 3 publishes, 8 asks to listen.
    #[must_use]
    pub fn packets(&self) -> Vec<u8> {
        lock(&self.inside).packets.iter().map(|first| first >> 4).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, inside: Arc<Mutex<Inside>>) {
    let mut open = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let inside = inside.clone();
        open.spawn(async move { drop(converse(socket, &inside).await) });
    }
}

async fn converse(socket: TcpStream, inside: &Mutex<Inside>) -> std::io::Result<()> {
    let (read, mut write) = socket.into_split();
    let (out, mut outgoing) = mpsc::unbounded_channel::<Vec<u8>>();
    {
        let mut inside = lock(inside);
        inside.connections += 1;
        inside.listeners.push(Listener { filters: Vec::new(), out: out.clone() });
    }
    // A task of its own reads, so that no packet is lost half-way.
    let (heard, mut incoming) = mpsc::unbounded_channel();
    let reading = tokio::spawn(listen(read, heard));
    loop {
        tokio::select! {
            packet = incoming.recv() => {
                let Some((first, body)) = packet else { break };
                for bytes in reply(first, &body, inside, &out) {
                    write.write_all(&bytes).await?;
                }
            }
            Some(bytes) = outgoing.recv() => match bytes.is_empty() {
                true => break,
                false => write.write_all(&bytes).await?,
            },
        }
    }
    reading.abort();
    lock(inside).listeners.retain(|of| !of.out.same_channel(&out));
    write.shutdown().await
}

async fn listen(mut read: OwnedReadHalf, heard: mpsc::UnboundedSender<(u8, Vec<u8>)>) {
    while let Ok(packet) = packet(&mut read).await {
        if heard.send(packet).is_err() {
            return;
        }
    }
}

/// One packet of a client.
async fn packet(read: &mut OwnedReadHalf) -> std::io::Result<(u8, Vec<u8>)> {
    let first = read.read_u8().await?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let digit = usize::from(read.read_u8().await?);
        length |= (digit & 0x7F) << shift;
        shift += 7;
        if digit & 0x80 == 0 || shift > 21 {
            break;
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    Ok((first, body))
}

fn reply(
    first: u8,
    body: &[u8],
    inside: &Mutex<Inside>,
    me: &mpsc::UnboundedSender<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let mut inside = lock(inside);
    inside.packets.push(first);
    match first >> 4 {
        1 => {
            let texts = texts(&body[10..]);
            let said = texts.get(1).cloned().zip(texts.get(2).cloned());
            let code = if inside.user.is_none() || said == inside.user { 0 } else { 4 };
            vec![vec![0x20, 2, 0, code]]
        }
        8 => {
            let filter = texts(&body[2..body.len() - 1]).remove(0);
            let kept = inside.kept.iter().filter(|(topic, _)| fits(&filter, topic));
            let mut replies = vec![vec![0x90, 3, body[0], body[1], 1]];
            replies.extend(kept.map(|(topic, text)| publish(topic, text, true)));
            for listener in inside.listeners.iter_mut().filter(|of| of.out.same_channel(me)) {
                listener.filters.push(filter.clone());
            }
            replies
        }
        12 => vec![vec![0xD0, 0]],
        _ => Vec::new(),
    }
}

/// A message of service level 1, so that the client has to acknowledge it.
fn publish(topic: &str, text: &str, kept: bool) -> Vec<u8> {
    let size = u16::try_from(topic.len()).unwrap_or(u16::MAX);
    let mut body = [&size.to_be_bytes()[..], topic.as_bytes(), &[0, 1], text.as_bytes()].concat();
    let mut bytes = vec![0x32 | u8::from(kept)];
    let mut left = body.len();
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        bytes.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    bytes.append(&mut body);
    bytes
}

/// Texts with their lengths, one after the other.
fn texts(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((size, rest)) = bytes.split_first_chunk::<2>() {
        let size = usize::from(u16::from_be_bytes(*size)).min(rest.len());
        texts.push(String::from_utf8_lossy(&rest[..size]).into_owned());
        bytes = &rest[size..];
    }
    texts
}

fn fits(filter: &str, topic: &str) -> bool {
    filter.strip_suffix('#').map_or(filter == topic, |start| topic.starts_with(start))
}
