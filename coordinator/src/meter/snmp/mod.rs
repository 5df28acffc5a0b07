//! PDUs and UPSes over SNMP.
//!
//! At its first answer a device tells which of its table's rows it has; from then on each round
//! is one request for exactly the values that mean something. Nothing is ever set.

mod asked;
mod device;
mod number;
mod session;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use async_snmp::Oid;
use formats::sources::{Credentials, Device, SnmpSource, SnmpTarget};
use tokio::time::Instant;

use self::asked::Question;
use self::device::{Place, Table};
use self::session::Session;
use super::port::{Meter, MeterError, Round};

/// Rows are looked for anew so often: a PDU may be added to a chain.
const LEARN_EVERY: Duration = Duration::from_secs(600);

/// One device, or the part of it that a target names.
pub(crate) struct Snmp {
    address: String,
    domain: String,
    place: Place,
    credentials: Credentials,
    deadline: Duration,
    way: Way,
    open: Option<Open>,
}

/// How it is known what to ask.
enum Way {
    /// From the rows of a known table.
    Table(&'static Table),
    /// From a map, once and for all.
    Map(Question),
}

/// A conversation under way.
struct Open {
    session: Session,
    question: Question,
    oids: Vec<Oid>,
    learnt: Instant,
}

impl Snmp {
    pub(crate) fn new(
        source: &SnmpSource,
        target: &SnmpTarget,
        deadline: Duration,
    ) -> Result<Self, String> {
        let way = match &source.device {
            Device::Mapped(map) => Way::Map(Question::mapped(map)?),
            known => Way::Table(Table::of(known).ok_or("a device without a table")?),
        };
        Ok(Self {
            address: target.target.address.clone(),
            domain: target.target.domain.clone(),
            place: Place { unit: target.unit, inlet: target.inlet },
            credentials: source.credentials.clone(),
            deadline,
            way,
            open: None,
        })
    }

    async fn learn(&self) -> Result<Open, MeterError> {
        let session = Session::open(&self.address, &self.credentials, self.deadline).await?;
        let question = match &self.way {
            Way::Map(question) => question.clone(),
            Way::Table(table) => self.ask_for_rows(table, &session).await?,
        };
        let oids = question.oids();
        Ok(Open { session, question, oids, learnt: Instant::now() })
    }

    async fn ask_for_rows(&self, table: &Table, session: &Session) -> Result<Question, MeterError> {
        let mut rows = BTreeMap::new();
        for column in table.walked() {
            rows.extend(session.walk(column).await?);
        }
        let question = table.question(self.place, &rows);
        if question.asked.is_empty() {
            let Place { unit, inlet } = self.place;
            return Err(MeterError::Nonsense(if rows.is_empty() {
                "it has none of the table's values, or who asks may not see them".to_owned()
            } else {
                format!("its table has no unit {unit} with an inlet {inlet}")
            }));
        }
        Ok(question)
    }
}

impl Meter for Snmp {
    async fn read(&mut self) -> Result<Round, MeterError> {
        // Taken, so that a round that is given up or fails begins a new conversation.
        let open = self.open.take().filter(|open| open.learnt.elapsed() < LEARN_EVERY);
        let open = match open {
            Some(open) => open,
            None => self.learn().await?,
        };
        let answers = open.session.get(&open.oids).await?;
        let round = open.question.round(&self.domain, &answers);
        if round.readings.is_empty() {
            let why = round.wrong.first().cloned();
            let why = why.unwrap_or_else(|| "every value says that it is none".to_owned());
            return Err(MeterError::Nonsense(format!("it has no reading: {why}")));
        }
        let outgrown = matches!(self.way, Way::Table(_)) && open.question.is_outgrown(&answers);
        if !outgrown {
            self.open = Some(open);
        }
        Ok(round)
    }
}

#[cfg(test)]
mod tests;
