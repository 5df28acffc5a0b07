//! Plans for tests: the shortest that still measure.

/// Every kind of measurement once, in a quarter of a minute.
pub const SHORT: &str = r#"schema = 1
name = "short"
requires = ["compute", "data_plane"]

[[phase]]
name = "baseline"
kind = "rtt"
seconds = 2

[[phase]]
name = "fp64"
kind = "hold"
seconds = 4
load = { kernel = "fp64" }

[[phase]]
name = "all-reduce"
kind = "collective"
seconds = 3
collective = { op = "all_reduce", bytes = 1048576 }

[[phase]]
name = "pairs"
kind = "pairs"
seconds = 3
pairs = { bytes = 4194304, streams = 1 }

[[phase]]
name = "loaded"
kind = "hold"
seconds = 4
load = { kernel = "mix" }
collective = { op = "all_reduce", bytes = 1048576 }
"#;

/// Heat only: one phase `hold`.
#[must_use]
pub fn hold(seconds: u32) -> String {
    format!(
        r#"schema = 1
name = "hold"
requires = ["compute"]

[[phase]]
name = "hold"
kind = "hold"
seconds = {seconds}
load = {{ kernel = "fp64" }}
"#
    )
}

/// Heat with traffic beside it, then heat alone: a ring that loses a member, and what comes
/// after it.
#[must_use]
pub fn loaded_then_hold(loaded_s: u32, hold_s: u32) -> String {
    format!(
        r#"schema = 1
name = "two-holds"
requires = ["compute"]

[[phase]]
name = "loaded"
kind = "hold"
seconds = {loaded_s}
load = {{ kernel = "mix" }}
collective = {{ op = "all_reduce", bytes = 1048576 }}

[[phase]]
name = "after"
kind = "hold"
seconds = {hold_s}
load = {{ kernel = "fp64" }}
"#
    )
}
