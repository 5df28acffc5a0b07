//! What an agent says to collectors of metrics: its last status, on a thread of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use proto::metrics::{Family, Kind};
use proto::v1;

/// The last status and when it was made, Unix nanoseconds; the supervisor leaves it here.
pub(crate) type Board = Arc<Mutex<Option<(i64, v1::Status)>>>;

/// Answers `GET /metrics` on `address` from what is on the board.
///
/// # Errors
/// When the address can't be had, or the thread can't be made.
pub(crate) fn serve(address: SocketAddr, node: &str, board: Board) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("--metrics {address}"))?;
    listener.set_nonblocking(true).context("a socket that does not block")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("a runtime for metrics")?;
    tracing::info!(address = %listener.local_addr()?, "metrics are served");
    let node = node.to_owned();
    let answer = move || {
        runtime.block_on(async {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let told = move || {
                let last = board.lock().unwrap_or_else(PoisonError::into_inner).clone();
                families(&node, last.as_ref())
            };
            proto::metrics::serve(listener, told).await;
        });
    };
    std::thread::Builder::new().name("metrics".into()).spawn(answer).context("a thread")?;
    Ok(())
}

fn families(node: &str, last: Option<&(i64, v1::Status)>) -> Vec<Family> {
    let help = "Version of the agent.";
    let mut info = Family::new(Kind::Gauge, "loadbank_agent_info", help);
    info.add(&[("node", node), ("version", env!("CARGO_PKG_VERSION"))], Some(1.0));
    let mut families = vec![info];
    let Some((at_ns, status)) = last else { return families };
    let mut say = |kind, name, help, value: Option<f64>| {
        let mut family = Family::new(kind, name, help);
        family.add(&[("node", node)], value);
        families.push(family);
    };
    let gauge = Kind::Gauge;
    let seconds = *at_ns as f64 / 1e9;
    say(gauge, "loadbank_agent_status_timestamp_seconds", "When this was so.", Some(seconds));
    let help = "Power of the devices by their own sensors.";
    say(gauge, "loadbank_agent_power_watts", help, status.power_w);
    let help = "The warmest of the devices.";
    say(gauge, "loadbank_agent_temperature_max_celsius", help, status.temp_c_max);
    let help = "Level of load that is commanded, 0 to 1.";
    say(gauge, "loadbank_agent_level_ratio", help, Some(status.level));
    let help = "Devices that heat now.";
    let heating = f64::from(status.devices_heating);
    say(gauge, "loadbank_agent_heating_devices", help, Some(heating));
    let help = "Batches of records that wait in the spool.";
    let waiting = status.unacked_batches as f64;
    say(gauge, "loadbank_agent_unacknowledged_batches", help, Some(waiting));
    let help = "Records that were given up.";
    let lost = status.records_lost as f64;
    say(Kind::Counter, "loadbank_agent_lost_records_total", help, Some(lost));
    families
}

#[cfg(test)]
mod tests {
    use proto::metrics::{Form, render};

    use super::*;

    #[test]
    fn before_the_first_status_nothing_is_said_of_the_node() {
        let text = render(&families("n1", None), Form::Prometheus);
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn a_sensor_that_is_not_there_has_no_sample() {
        let status = v1::Status { level: 0.5, power_w: None, ..v1::Status::default() };
        let text = render(&families("n1", Some(&(2_500_000_000, status))), Form::Prometheus);
        assert!(text.contains("loadbank_agent_level_ratio{node=\"n1\"} 0.5\n"), "{text}");
        assert!(text.contains("status_timestamp_seconds{node=\"n1\"} 2.5\n"), "{text}");
        assert!(!text.contains("watts"), "{text}");
    }
}
