//! Metrics for whoever watches: families of samples, and the two texts that Prometheus reads.
//!
//! Names follow Prometheus' rules: base units as suffix, `_total` on counters. Two forms, because the
//! older one is what its own checker and older collectors read: the text format 0.0.4, and
//! OpenMetrics 1.0 where it is asked for.

mod serve;

use std::fmt::Write;
use std::net::SocketAddr;

pub use serve::serve;

/// Whether metrics may be served there: in plain text on loopback, elsewhere only if somebody said so.
///
/// # Errors
/// Why not, with the mend.
pub fn check_address(address: SocketAddr, open: bool) -> Result<(), String> {
    if address.ip().is_loopback() || open {
        return Ok(());
    }
    Err(format!(
        "--metrics {address} is not a loopback address, and metrics are plain text: let a collector \
         on this machine read them, or add --metrics-open: whoever reaches the address reads names, \
         power and temperatures then"
    ))
}

/// What a family's values do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
}

/// Samples of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// Labels by name, and the value.
    pub samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Family {
    /// A family without samples.
    #[must_use]
    pub fn new(kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// Adds a sample; what is not measured, or no number, has none.
    pub fn add(&mut self, labels: &[(&'static str, &str)], value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        let labels = labels.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        self.samples.push((labels, value));
    }
}

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Prometheus,
    OpenMetrics,
}

impl Form {
    /// The newer one where a request's `Accept` names it.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All families as text; a family without samples is left out.
#[must_use]
pub fn render(families: &[Family], form: Form) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let (name, kind) = match (family.kind, form) {
            (Kind::Gauge, _) => (family.name, "gauge"),
            (Kind::Counter, Form::Prometheus) => (family.name, "counter"),
            // There the family is named without the suffix of its samples.
            (Kind::Counter, Form::OpenMetrics) => {
                (family.name.strip_suffix("_total").unwrap_or(family.name), "counter")
            }
        };
        // Writing to a text never fails.
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", escaped(family.help));
        for (labels, value) in &family.samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
            let braces = match labels.as_slice() {
                [] => String::new(),
                labels => format!("{{{}}}", labels.join(",")),
            };
            let _ = writeln!(text, "{}{braces} {value}", family.name);
        }
    }
    if form == Form::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let mut power =
            Family::new(Kind::Gauge, "loadbank_node_power_watts", "Power of a node's devices.");
        power.add(&[("node", "n1")], Some(612.5));
        power.add(&[("node", "n2")], None);
        power.add(&[("node", "a \"b\\\n")], Some(f64::NAN));
        power.add(&[("node", "a \"b\\\n")], Some(1.0));
        let mut lost = Family::new(Kind::Counter, "loadbank_lost_records_total", "Given up.");
        lost.add(&[], Some(3.0));
        let silent = Family::new(Kind::Gauge, "loadbank_nothing", "Nobody says it.");
        vec![power, lost, silent]
    }

    #[test]
    fn what_is_not_measured_has_no_sample_and_names_are_escaped() {
        let text = render(&families(), Form::Prometheus);
        assert_eq!(
            text,
            "# HELP loadbank_node_power_watts Power of a node's devices.\n\
             # TYPE loadbank_node_power_watts gauge\n\
             loadbank_node_power_watts{node=\"n1\"} 612.5\n\
             loadbank_node_power_watts{node=\"a \\\"b\\\\\\n\"} 1\n\
             # HELP loadbank_lost_records_total Given up.\n\
             # TYPE loadbank_lost_records_total counter\n\
             loadbank_lost_records_total 3\n"
        );
    }

    #[test]
    fn plain_text_leaves_the_machine_only_if_somebody_said_so() {
        let there = |address: &str, open| check_address(address.parse().unwrap(), open).is_ok();
        assert!(there("127.0.0.1:9", false) && there("[::1]:9", false));
        assert!(!there("0.0.0.0:9", false) && there("0.0.0.0:9", true));
    }

    #[test]
    fn the_newer_form_names_counters_without_their_suffix_and_ends() {
        let text = render(&families(), Form::OpenMetrics);
        assert!(
            text.contains("# TYPE loadbank_lost_records counter\nloadbank_lost_records_total 3\n")
        );
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(Form::accepted("application/openmetrics-text;version=1.0.0"), Form::OpenMetrics);
        assert_eq!(Form::accepted("*/*"), Form::Prometheus);
    }
}
