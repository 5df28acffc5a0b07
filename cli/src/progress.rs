//! Progress of a run: a bar on a terminal, plain lines in a log. Always on standard error.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::v1;

/// Shows statuses as they come.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    /// A bar when standard error is a terminal, lines when it is not.
    #[must_use]
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, last: String::new() }
    }

    /// Lines, whatever standard error is.
    #[must_use]
    pub fn lines() -> Self {
        Self { bar: None, last: String::new() }
    }

    /// Shows one status.
    pub fn show(&mut self, status: &v1::RunStatus) {
        match &self.bar {
            Some(bar) => {
                bar.set_length((status.plan_seconds * 10.0) as u64);
                bar.set_position((status.elapsed_s * 10.0) as u64);
                bar.set_message(line(status));
            }
            None => self.log(status),
        }
    }

    /// Says one line above the bar, or in the log.
    pub fn say(&self, words: &str) {
        match &self.bar {
            Some(bar) => bar.println(words),
            None => eprintln!("{words}"),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A log gets a line when something changed, not twice a second.
    fn log(&mut self, status: &v1::RunStatus) {
        let key = format!("{} {} {}", status.state, status.phase, status.message);
        if key != self.last {
            self.last = key;
            eprintln!("{}", line(status));
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// Phase, elapsed and total, what the hall draws and does now, its worst device, losses.
#[must_use]
pub fn line(status: &v1::RunStatus) -> String {
    let mut parts = Vec::new();
    if status.phase.is_empty() {
        parts.push(status.state.clone());
    } else {
        parts.push(format!(
            "{} {}/{} {} {:.0}/{:.0} s",
            status.state,
            status.phase_index + 1,
            status.phase_count,
            status.phase,
            status.phase_elapsed_s,
            status.phase_seconds
        ));
        parts.push(format!("run {:.0}/{:.0} s", status.elapsed_s, status.plan_seconds));
    }
    let active = status.nodes.iter().filter(|node| node.state == "active").count();
    if !status.nodes.is_empty() {
        parts.push(format!("{active}/{} nodes", status.nodes.len()));
    }
    parts.extend(now(status));
    if !status.message.is_empty() {
        parts.push(status.message.clone());
    }
    parts.join(" | ")
}

fn now(status: &v1::RunStatus) -> Vec<String> {
    let sum = |of: fn(&v1::NodeStatus) -> f64| status.nodes.iter().map(of).sum::<f64>();
    let mut parts = Vec::new();
    let (gflops, gb_per_s) = (sum(|n| n.gflops), sum(|n| n.gb_per_s));
    if gflops > 0.0 {
        parts.push(format!("{gflops:.0} GFLOP/s"));
    }
    if gb_per_s > 0.0 {
        parts.push(format!("{gb_per_s:.1} GB/s"));
    }
    let watts: Option<f64> = status.nodes.iter().map(|node| node.power_w).sum();
    match watts {
        Some(watts) if !status.nodes.is_empty() => parts.push(format!("{:.2} kW", watts / 1e3)),
        _ => {}
    }
    let hottest = status.nodes.iter().filter_map(|n| n.temp_c_max.map(|t| (t, &n.node)));
    if let Some((temp_c, node)) = hottest.max_by(|a, b| a.0.total_cmp(&b.0)) {
        parts.push(format!("hottest {node} {temp_c:.0} C"));
    }
    let errors: u64 = status.nodes.iter().map(|node| node.errors).sum();
    if errors > 0 {
        parts.push(format!("{errors} wrong blocks"));
    }
    let lost: u64 = status.nodes.iter().map(|node| node.records_lost).sum();
    if lost > 0 {
        parts.push(format!("{lost} records lost"));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_phase_time_and_nodes() {
        let node = v1::NodeStatus { state: "active".into(), gflops: 100.0, ..Default::default() };
        let status = v1::RunStatus {
            state: "running".into(),
            phase: "soak".into(),
            phase_count: 3,
            phase_seconds: 10.0,
            phase_elapsed_s: 2.0,
            elapsed_s: 2.0,
            plan_seconds: 30.0,
            nodes: vec![node],
            ..Default::default()
        };
        assert_eq!(line(&status), "running 1/3 soak 2/10 s | run 2/30 s | 1/1 nodes | 100 GFLOP/s");
    }
}
