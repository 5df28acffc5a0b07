//! What the coordinator says to collectors of metrics: agents, the run, meters, interlocks.
//!
//! An agent that falls silent stays with the instant at which it was heard last; what it said of
//! its node goes after some seconds, so that no old watt is taken for one of now.

use proto::metrics::{Family, Kind};
use proto::v1;

use crate::hall::{Agent, Hall, Inner};

/// A status is said every second; older ones are not what the node does now.
const FRESH_NS: i64 = 10_000_000_000;

/// Every family, as of now.
pub(crate) fn families(hall: &Hall) -> Vec<Family> {
    let mut families = vec![build()];
    families.extend(refused(hall));
    let status = hall.status("");
    let now_ns = hall.clock.now_ns();
    let inner = hall.lock();
    families.extend(agents(&inner, now_ns));
    families.extend(nodes(&inner, now_ns));
    families.extend(runs(&inner, status.as_ref()));
    families.extend(domains(status.as_ref()));
    families.extend(meters(&inner));
    families.push(interlocks(&inner));
    families
}

fn build() -> Family {
    let help = "Version of the coordinator.";
    let mut family = Family::new(Kind::Gauge, "loadbank_coordinator_info", help);
    family.add(&[("version", env!("CARGO_PKG_VERSION"))], Some(1.0));
    family
}

fn refused(hall: &Hall) -> [Family; 1] {
    let help = "Connections and messages that were refused, by reason.";
    let mut family = Family::new(Kind::Counter, "loadbank_refused_total", help);
    for (reason, count) in hall.refusals.counts() {
        family.add(&[("reason", &reason)], Some(count as f64));
    }
    [family]
}

fn agents(inner: &Inner, now_ns: i64) -> [Family; 3] {
    let gauge = |name, help| Family::new(Kind::Gauge, name, help);
    let mut connected = gauge("loadbank_agent_connected", "1 while the agent has a session.");
    let mut seen = gauge(
        "loadbank_agent_last_seen_timestamp_seconds",
        "When the agent was heard last, silent ones included.",
    );
    let mut clock =
        gauge("loadbank_agent_clock_error_seconds", "Bound of what is known of the agent's clock.");
    for (node, agent) in &inner.agents {
        let labels = [("node", node.as_str())];
        connected.add(&labels, Some(f64::from(u8::from(agent.outbox.is_some()))));
        seen.add(&labels, Some(agent.last_seen_ns as f64 / 1e9));
        clock.add(&labels, agent.clock.at(now_ns).map(|offset| offset.error_ns as f64 / 1e9));
    }
    [connected, seen, clock]
}

/// One figure of a node's status.
type Figure = (Kind, &'static str, &'static str, fn(&v1::Status) -> Option<f64>);

const FIGURES: [Figure; 8] = [
    (
        Kind::Gauge,
        "loadbank_node_power_watts",
        "Power of the node's devices by their own sensors.",
        |s| s.power_w,
    ),
    (
        Kind::Gauge,
        "loadbank_node_temperature_max_celsius",
        "The warmest of the node's devices.",
        |s| s.temp_c_max,
    ),
    (Kind::Gauge, "loadbank_node_level_ratio", "Level of load that is commanded, 0 to 1.", |s| {
        Some(s.level)
    }),
    (Kind::Gauge, "loadbank_node_heating_devices", "Devices that heat now.", |s| {
        Some(f64::from(s.devices_heating))
    }),
    (
        Kind::Gauge,
        "loadbank_node_fabric_bytes_per_second",
        "What the node moves over the fabric, by its own count.",
        |s| Some(s.gb_per_s * 1e9),
    ),
    (
        Kind::Gauge,
        "loadbank_node_unacknowledged_batches",
        "Batches of records that wait in the node's spool.",
        |s| Some(s.unacked_batches as f64),
    ),
    (Kind::Counter, "loadbank_node_lost_records_total", "Records that the node gave up.", |s| {
        Some(s.records_lost as f64)
    }),
    (
        Kind::Counter,
        "loadbank_node_work_errors_total",
        "Results of the load that were wrong, in this run.",
        |s| Some(s.errors as f64),
    ),
];

fn nodes(inner: &Inner, now_ns: i64) -> Vec<Family> {
    let fresh = |agent: &Agent| now_ns - agent.status_ns < FRESH_NS;
    let figure = |(kind, name, help, value): Figure| {
        let mut family = Family::new(kind, name, help);
        for (node, agent) in inner.agents.iter().filter(|(_, agent)| fresh(agent)) {
            family.add(&[("node", node)], agent.status.as_ref().and_then(value));
        }
        family
    };
    FIGURES.into_iter().map(figure).collect()
}

fn runs(inner: &Inner, status: Option<&v1::RunStatus>) -> [Family; 3] {
    let gauge = |name, help| Family::new(Kind::Gauge, name, help);
    let mut active = gauge("loadbank_run_active", "1 while a run is active.");
    active.add(&[], Some(f64::from(u8::from(inner.active.is_some()))));
    let mut info = gauge("loadbank_run_info", "The active run, or else the last one.");
    if let Some(status) = status {
        let labels = [
            ("run", status.run_id.as_str()),
            ("plan", status.plan.as_str()),
            ("state", status.state.as_str()),
            ("phase", status.phase.as_str()),
        ];
        info.add(&labels, Some(1.0));
    }
    let mut verdicts = gauge("loadbank_runs", "Runs in the catalogue by verdict.");
    let mut counts = std::collections::BTreeMap::<&str, u32>::new();
    for row in inner.runs.values() {
        *counts.entry(if row.verdict.is_empty() { "none" } else { &row.verdict }).or_default() += 1;
    }
    for (verdict, count) in counts {
        verdicts.add(&[("verdict", verdict)], Some(f64::from(count)));
    }
    [active, info, verdicts]
}

fn domains(status: Option<&v1::RunStatus>) -> [Family; 2] {
    let gauge = |name, help| Family::new(Kind::Gauge, name, help);
    let mut power = gauge(
        "loadbank_domain_power_watts",
        "Power of a domain's nodes in the active run, by their devices' own sensors.",
    );
    let mut limit = gauge(
        "loadbank_domain_limit_watts",
        "What a domain may draw in the active run: budget, rating or permit, the least of them.",
    );
    for domain in status.iter().flat_map(|status| &status.domains) {
        let labels = [("kind", domain.kind.as_str()), ("domain", domain.id.as_str())];
        power.add(&labels, domain.kw.map(|kw| kw * 1e3));
        limit.add(&labels, domain.most_kw.map(|kw| kw * 1e3));
    }
    [power, limit]
}

fn meters(inner: &Inner) -> [Family; 3] {
    let mut lost =
        Family::new(Kind::Gauge, "loadbank_meter_lost", "1 while a meter does not answer.");
    let mut rows =
        Family::new(Kind::Counter, "loadbank_meter_readings_total", "Readings of a meter.");
    let help = "When a meter's last reading came.";
    let mut seen = Family::new(Kind::Gauge, "loadbank_meter_last_reading_timestamp_seconds", help);
    for (place, state) in &inner.meters {
        let labels = [
            ("source", place.source.as_str()),
            ("address", place.address.as_str()),
            ("domain", place.domain.as_str()),
        ];
        lost.add(&labels, Some(f64::from(u8::from(state.is_lost()))));
        rows.add(&labels, Some(state.rows as f64));
        seen.add(&labels, state.last_row_ns.map(|at_ns| at_ns as f64 / 1e9));
    }
    [lost, rows, seen]
}

fn interlocks(inner: &Inner) -> Family {
    let help = "Interlocks that tripped and that nobody resumed.";
    let mut family = Family::new(Kind::Gauge, "loadbank_interlock_tripped", help);
    for rule in inner.interlocks.tripped() {
        family.add(&[("rule", rule)], Some(1.0));
    }
    family
}
