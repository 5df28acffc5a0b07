//! The building's own meters: a task for each device, whatever its protocol.
//!
//! Every source is optional and every absence is said: what a device did not answer becomes a
//! gap of the run, and silence is what interlocks trip on.

mod alarm;
mod check;
mod clock;
mod dial;
#[cfg(test)]
mod doubles;
mod drive;
mod http;
mod mapped;
mod modbus;
mod mqtt;
mod named_point;
mod pace;
mod port;
mod prometheus;
#[cfg(test)]
mod real_tests;
mod record;
mod redfish;
mod row;
mod snmp;
mod state;

use std::sync::Arc;

use formats::sources::{Source, SourceKind, Sources, Target};
use tokio::task::JoinSet;

pub use check::{Checked, check};
pub(crate) use drive::{Ear, Place};
use drive::{Rhythm, drive};
pub(crate) use port::Meter;
pub use record::{Recorded, record};
pub(crate) use state::{Change, State, off_words};

/// Starts a task for every device of a document. They end when the set is dropped.
///
/// # Errors
/// What of the document can't be used here, in words: a file that it names, for example.
pub(crate) fn start(sources: &Sources, ear: &Arc<dyn Ear>) -> Result<JoinSet<()>, String> {
    let mut tasks = JoinSet::new();
    for source in &sources.sources {
        begin(source, ear, &mut tasks).map_err(|why| {
            format!("{}:{}: source {}: {why}", sources.file, source.line, source.name)
        })?;
    }
    Ok(tasks)
}

fn begin(source: &Source, ear: &Arc<dyn Ear>, tasks: &mut JoinSet<()>) -> Result<(), String> {
    match &source.kind {
        // Followed on a thread of its own: `interlock::follow`.
        SourceKind::Table(_) => {}
        SourceKind::Snmp(snmp) => {
            each(source, &snmp.targets, ear, tasks, |at| {
                snmp::Snmp::new(snmp, at, source.deadline)
            })?;
        }
        SourceKind::Redfish(redfish) => {
            each(source, &redfish.targets, ear, tasks, |at| redfish::Redfish::new(redfish, at))?;
        }
        SourceKind::Prometheus(prometheus) => {
            each(source, &prometheus.targets, ear, tasks, |at| {
                prometheus::Prometheus::new(prometheus, at)
            })?;
        }
        SourceKind::Mqtt(mqtt) => {
            each(source, &mqtt.targets, ear, tasks, |at| mqtt::Mqtt::new(mqtt, at))?;
        }
        SourceKind::Modbus(modbus) => {
            each(source, &modbus.targets, ear, tasks, |at| {
                modbus::Modbus::new(modbus, at, source.deadline)
            })?;
        }
    }
    Ok(())
}

/// A task for each target, spread over the source's distance of questions.
fn each<T: AsRef<Target>, M: Meter>(
    source: &Source,
    targets: &[T],
    ear: &Arc<dyn Ear>,
    tasks: &mut JoinSet<()>,
    make: impl Fn(&T) -> Result<M, String>,
) -> Result<(), String> {
    for (index, target) in targets.iter().enumerate() {
        let place = Place {
            source: source.name.clone(),
            address: target.as_ref().address.clone(),
            domain: target.as_ref().domain.clone(),
        };
        let offset = pace::offset(index, targets.len(), source.every);
        let rhythm = Rhythm { every: source.every, deadline: source.deadline, offset };
        tasks.spawn(drive(make(target)?, place, rhythm, ear.clone()));
    }
    Ok(())
}
