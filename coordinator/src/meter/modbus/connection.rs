//! One device's connection over TCP: a question, its answer, and nothing that writes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::port::MeterError;
use super::frame::{self, Answer, HEAD_BYTES, Span};

/// Late answers to earlier questions that are passed over before a connection is given up.
const LATE_MAX: usize = 4;

/// A connection. One that failed in the middle of an answer is of no further use.
pub(super) struct Connection {
    stream: TcpStream,
    transaction: u16,
}

impl Connection {
    pub(super) async fn open(address: &str, patience: Duration) -> Result<Self, MeterError> {
        let connected = timeout(patience, TcpStream::connect(address)).await;
        let stream = connected
            .map_err(|_| MeterError::Silent("it takes no connection".to_owned()))?
            .map_err(|error| MeterError::Silent(format!("no connection: {error}")))?;
        // A request is one small packet that waits for nothing.
        stream.set_nodelay(true).map_err(|error| lost(&error))?;
        Ok(Self { stream, transaction: 0 })
    }

    pub(super) async fn ask(&mut self, span: &Span) -> Result<Answer, MeterError> {
        self.transaction = self.transaction.wrapping_add(1);
        let request = frame::request(self.transaction, span);
        self.stream.write_all(&request).await.map_err(|error| lost(&error))?;
        for _ in 0..=LATE_MAX {
            let mut head = [0; HEAD_BYTES];
            self.stream.read_exact(&mut head).await.map_err(|error| lost(&error))?;
            let head = frame::head(head).ok_or_else(no_modbus)?;
            let mut body = vec![0; head.body_bytes];
            self.stream.read_exact(&mut body).await.map_err(|error| lost(&error))?;
            if head.transaction == self.transaction {
                let mine = Some(&body).filter(|_| head.unit_id == span.unit_id);
                let answer = mine.and_then(|body| frame::answer(body, span));
                return answer.ok_or_else(no_modbus);
            }
        }
        Err(MeterError::Nonsense("it answers other questions than ours".to_owned()))
    }
}

const BROKEN: &str = "the connection broke";

/// Whether the other side ended a connection.
pub(super) fn is_broken(error: &MeterError) -> bool {
    matches!(error, MeterError::Silent(why) if why.starts_with(BROKEN))
}

fn lost(error: &std::io::Error) -> MeterError {
    MeterError::Silent(format!("{BROKEN}: {error}"))
}

fn no_modbus() -> MeterError {
    MeterError::Nonsense("what it answers is no Modbus".to_owned())
}
