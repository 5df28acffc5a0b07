//! HdrHistogram's interval log: round trips of each pair and phase, idle and loaded apart,
//! for the tools that read such logs.
//!
//! The evidence holds one histogram a pair and state over the whole run, so that each
//! interval is the whole run. Values are nanoseconds; the column of the longest is in
//! milliseconds, as the Java tools write it.

use std::time::{Duration, SystemTime};

use analysis::Evidence;
use analysis::digest::fabric::LatencyKey;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

/// Nanoseconds of a millisecond.
const NS_PER_MS: f64 = 1e6;

/// The log. Without round trips it has its head only, and says so.
///
/// # Errors
/// When a histogram can't be written, in words.
pub fn render(evidence: &Evidence) -> Result<String, String> {
    let facts = &evidence.facts;
    let since = |ns: i64| Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
    let start = since(facts.started_unix_ns);
    let length = facts.ended_unix_ns.map_or(Duration::ZERO, |end| since(end).saturating_sub(start));
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new();
    log.add_comment("[Histogram log format version 1.3]");
    log.add_comment(&format!("[Round trips of run {}, in nanoseconds]", one_word(&facts.run.0)));
    for (is, words) in [
        (facts.simulated, "[SIMULATED: accepts no hardware]"),
        (facts.injected, "[INJECTED faults: proves the checks, not the hardware]"),
        (evidence.seen.latencies.is_empty(), "[not measured: no round trip in the record]"),
    ] {
        if is {
            log.add_comment(words);
        }
    }
    let mut writer = log
        .with_start_time(SystemTime::UNIX_EPOCH + start)
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut bytes, &mut serializer)
        .map_err(|error| error.to_string())?;
    for (key, seen) in &evidence.seen.latencies {
        let name = tag(key);
        writer
            .write_histogram(seen.histogram.counts(), start, length, Tag::new(&name))
            .map_err(|error| format!("histogram of {name}: {error:?}"))?;
    }
    drop(writer);
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// `idle:pair:a>b`, `loaded:phase:soak`; what is outside of phases has no phase's name.
#[must_use]
pub fn tag(key: &LatencyKey) -> String {
    let state = |loaded: &bool| if *loaded { "loaded" } else { "idle" };
    let name = match key {
        LatencyKey::Pair { pair, loaded } => format!("{}:pair:{pair}", state(loaded)),
        LatencyKey::Phase { phase, loaded } => format!("{}:phase:{phase}", state(loaded)),
    };
    one_word(&name)
}

/// A log's lines end at line ends and its columns at commas: names keep neither.
fn one_word(name: &str) -> String {
    let kept = |c: char| if c.is_whitespace() || c.is_control() || c == ',' { '_' } else { c };
    name.chars().map(kept).collect()
}
