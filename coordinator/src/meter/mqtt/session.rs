//! One connection to a broker.

use std::time::Duration;

use bytes::BytesMut;
use formats::sources::{Login, MqttSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use super::wire::{self, Message, Packet, WireError};
use crate::meter::dial::{Dialer, Io};
use crate::meter::port::MeterError;

/// Messages that are heard before the broker consents: what one that never does may fill.
const EARLY_MAX: usize = 100_000;
/// A broker ends a connection that said nothing for one and a half times this.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A broker that listens to us, and speaks.
pub(super) struct Session {
    io: Box<dyn Io>,
    read: BytesMut,
    /// When we have to say something, so that it believes us alive.
    ping: Instant,
    subscriptions: u16,
}

impl Session {
    /// Comes in with a fresh session, which has heard nothing yet.
    pub(super) async fn open(source: &MqttSource, dialer: &Dialer) -> Result<Self, MeterError> {
        let login = match &source.login {
            Login::Password { user, password } => {
                Some((user.as_str(), password.get().map_err(MeterError::Refused)?))
            }
            Login::Nobody | Login::Token(_) => None,
        };
        let io = dialer.dial().await?;
        let mut session = Self {
            io,
            read: BytesMut::new(),
            ping: Instant::now() + KEEP_ALIVE / 2,
            subscriptions: 0,
        };
        let name = match &source.client_id {
            Some(name) => name.clone(),
            None => format!("loadbank-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]),
        };
        let login = login.as_ref().map(|(user, password)| (*user, password.as_str()));
        session.write(&wire::connect(&name, login, KEEP_ALIVE.as_secs() as u16)).await?;
        match session.packet().await? {
            Packet::ConnAck { code: 0 } => Ok(session),
            Packet::ConnAck { code } => Err(refusal(code)),
            _ => Err(MeterError::Nonsense("it speaks before it lets us in".to_owned())),
        }
    }

    /// Asks for a filter's messages. What comes before the broker's consent is returned.
    pub(super) async fn subscribe(&mut self, filter: &str) -> Result<Vec<Message>, MeterError> {
        self.subscriptions += 1;
        self.write(&wire::subscribe(self.subscriptions, filter)).await?;
        let mut early = Vec::new();
        loop {
            match self.packet().await? {
                Packet::SubAck { codes } if codes.first().is_some_and(|code| *code < 0x80) => {
                    return Ok(early);
                }
                Packet::SubAck { .. } => {
                    return Err(MeterError::Refused(format!("we may not hear {filter}")));
                }
                Packet::Publish(_) if early.len() >= EARLY_MAX => {
                    let what = format!("{EARLY_MAX} messages and no consent to hear {filter}");
                    return Err(MeterError::Nonsense(what));
                }
                Packet::Publish(message) => early.push(self.acknowledged(message).await?),
                Packet::ConnAck { .. } | Packet::PingResp => {}
            }
        }
    }

    /// The next message; `None` when none has come until then.
    pub(super) async fn message(&mut self, until: Instant) -> Result<Option<Message>, MeterError> {
        loop {
            if let Some(packet) = self.waiting()? {
                if let Packet::Publish(message) = packet {
                    return Ok(Some(self.acknowledged(message).await?));
                }
                continue;
            }
            tokio::select! {
                more = self.io.read_buf(&mut self.read) => came(more)?,
                () = sleep_until(self.ping.min(until)) => {
                    if Instant::now() >= until {
                        return Ok(None);
                    }
                    self.write(&wire::ping()).await?;
                }
            }
        }
    }

    async fn acknowledged(&mut self, message: Message) -> Result<Message, MeterError> {
        if let Some(id) = message.id {
            self.write(&wire::puback(id)).await?;
        }
        Ok(message)
    }

    async fn packet(&mut self) -> Result<Packet, MeterError> {
        loop {
            if let Some(packet) = self.waiting()? {
                return Ok(packet);
            }
            came(self.io.read_buf(&mut self.read).await)?;
        }
    }

    /// A packet that is there as a whole.
    fn waiting(&mut self) -> Result<Option<Packet>, MeterError> {
        let decoded = wire::decode(&self.read);
        let decoded =
            decoded.map_err(|error: WireError| MeterError::Nonsense(error.to_string()))?;
        Ok(decoded.map(|(packet, taken)| {
            drop(self.read.split_to(taken));
            packet
        }))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), MeterError> {
        let gone = |error: std::io::Error| MeterError::Silent(format!("the broker left: {error}"));
        self.io.write_all(bytes).await.map_err(gone)?;
        self.io.flush().await.map_err(gone)?;
        self.ping = Instant::now() + KEEP_ALIVE / 2;
        Ok(())
    }
}

fn came(count: std::io::Result<usize>) -> Result<(), MeterError> {
    match count {
        Ok(0) => Err(MeterError::Silent("the broker ended the connection".to_owned())),
        Ok(_) => Ok(()),
        Err(error) => Err(MeterError::Silent(format!("the broker left: {error}"))),
    }
}

/// Return codes of MQTT 3.1.1, 3.2.2.3.
fn refusal(code: u8) -> MeterError {
    match code {
        1 => MeterError::Nonsense("it does not speak MQTT 3.1.1".to_owned()),
        2 => MeterError::Refused("it does not take our client_id".to_owned()),
        3 => MeterError::Silent("it says that it is not there".to_owned()),
        4 => MeterError::Refused("user or password is wrong".to_owned()),
        5 => MeterError::Refused("it does not let us in".to_owned()),
        _ => MeterError::Nonsense(format!("it refuses with code {code}")),
    }
}
