//! CDUs and plant over Modbus TCP: registers by a map, read and never written.

mod connection;
mod frame;
mod plan;

use std::time::Duration;

use formats::sources::{ModbusSource, Target};

use tokio::time::timeout;

use self::connection::{Connection, is_broken};
use self::frame::{Answer, exception_words};
use self::plan::Block;
use super::mapped::Gathering;
use super::port::{Meter, MeterError, Round};

/// A connection and its answers may take this share of the deadline each, so that silence is
/// named here before the round is given up.
const OF_DEADLINE: f64 = 0.45;

/// One device.
pub(crate) struct Modbus {
    address: String,
    domain: String,
    patience: Duration,
    blocks: Vec<Block>,
    connection: Option<Connection>,
}

impl Modbus {
    pub(crate) fn new(
        source: &ModbusSource,
        target: &Target,
        deadline: Duration,
    ) -> Result<Self, String> {
        Ok(Self {
            address: target.address.clone(),
            domain: target.domain.clone(),
            patience: deadline.mul_f64(OF_DEADLINE),
            blocks: plan::blocks(&source.map)?,
            connection: None,
        })
    }

    /// One round over a connection that is kept only when it went well.
    async fn over(&mut self, mut connection: Connection) -> Result<Round, MeterError> {
        let silent = |_| MeterError::Silent("it takes a connection and does not answer".to_owned());
        let patience = self.patience;
        let round = timeout(patience, self.round(&mut connection)).await.map_err(silent)??;
        self.connection = Some(connection);
        Ok(round)
    }

    async fn round(&mut self, connection: &mut Connection) -> Result<Round, MeterError> {
        let mut gathering = Gathering::of(&self.domain);
        let mut at = 0;
        while let Some(block) = self.blocks.get(at) {
            match connection.ask(&block.span).await? {
                // It may have forbidden registers in between: each point by itself then, from
                // now on.
                Answer::Exception(2 | 3) if block.entries.len() > 1 => {
                    let apart = block.apart();
                    self.blocks.splice(at..=at, apart);
                    continue;
                }
                Answer::Exception(code) => refused(block, code, &mut gathering),
                Answer::Registers(words) => {
                    for entry in &block.entries {
                        gathering.add(&entry.meaning, entry.value(&block.span, &words));
                    }
                }
            }
            at += 1;
        }
        Ok(gathering.finish())
    }
}

fn refused(block: &Block, code: u8, gathering: &mut Gathering<'_>) {
    for entry in &block.entries {
        gathering.add(&entry.meaning, None);
        let words = exception_words(code);
        let point = &entry.meaning.point;
        gathering.wrong(format!("{point} ({}): exception {code}, {words}", entry.name));
    }
}

impl Meter for Modbus {
    async fn read(&mut self) -> Result<Round, MeterError> {
        // Taken, so that a round that is given up or fails begins with a new connection.
        let old = match self.connection.take() {
            Some(connection) => Some(self.over(connection).await),
            None => None,
        };
        let round = match old {
            Some(Ok(round)) => round,
            Some(Err(error)) if !is_broken(&error) => return Err(error),
            // Servers close connections that were idle: no reason to call a device silent.
            _ => {
                let connection = Connection::open(&self.address, self.patience).await?;
                self.over(connection).await?
            }
        };
        if round.readings.is_empty() {
            let why = round.wrong.first().cloned();
            let why = why.unwrap_or_else(|| "every register says that it has none".to_owned());
            return Err(MeterError::Nonsense(format!("it has no reading: {why}")));
        }
        Ok(round)
    }
}

#[cfg(test)]
mod tests;
