//! PromQL as it is asked: pure.

use std::fmt::Write;
use std::time::Duration;

/// What is asked, and what the stamps of its answer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Path and query of the request, without the server's own prefix.
    pub(super) path: String,
    /// Stamps are those of the samples. Of an expression they are the instant at which it was
    /// worked out, however old what went into it is.
    pub(super) is_raw: bool,
}

impl Question {
    /// The live question for a query: the samples themselves where it only selects series.
    pub(super) fn live(query: &str, stale: Duration) -> Self {
        let window_ms = stale.as_millis();
        let is_raw = is_selector(query);
        let asked = if is_raw { format!("{query}[{window_ms}ms]") } else { query.to_owned() };
        // Servers that don't know lookback_delta yet ignore it.
        let path = format!("/api/v1/query?query={}&lookback_delta={window_ms}ms", encoded(&asked));
        Self { path, is_raw }
    }
}

/// Whether a query is a metric's name, matchers in braces, or both, and nothing else.
fn is_selector(query: &str) -> bool {
    let query = query.trim();
    let name_end = query.find(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    let (name, rest) = query.split_at(name_end.unwrap_or(query.len()));
    if name.starts_with(|c: char| c.is_ascii_digit()) || is_number(name) {
        return false;
    }
    let rest = rest.trim_start();
    match rest.strip_prefix('{') {
        None => rest.is_empty() && !name.is_empty(),
        Some(inside) => closes_at_end(inside),
    }
}

fn is_number(name: &str) -> bool {
    ["nan", "inf"].contains(&name.to_ascii_lowercase().as_str())
}

/// Whether the first brace outside of texts ends what follows the opening one.
fn closes_at_end(inside: &str) -> bool {
    let mut quote = None;
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('"' | '\''), '\\') => drop(chars.next()),
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '}') => return at + 1 == inside.len(),
            _ => {}
        }
    }
    false
}

/// A text as it stands in a query string.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_plain_choice_of_series_is_asked_for_its_samples() {
        for yes in [
            "up",
            " pdu:power_watts ",
            "pdu_power_watts{pdu=~\"a.*\"}",
            "{__name__=\"x}y\",z='\\'}'}",
            "x{a=`}`}",
            "x{}",
        ] {
            assert!(is_selector(yes), "{yes}");
        }
        for no in [
            "sum(up)",
            "up + up",
            "up[5m]",
            "up offset 1m",
            "1",
            "NaN",
            "",
            "up{a=\"b\"} * 2",
            "up{a=\"b\"",
            "{a=\"b\"}[1m]",
        ] {
            assert!(!is_selector(no), "{no}");
        }
    }

    #[test]
    fn a_question_is_a_path() {
        let stale = Duration::from_secs(30);
        let raw = Question::live("up{a=\"ü\"}", stale);
        let path =
            "/api/v1/query?query=up%7Ba%3D%22%C3%BC%22%7D%5B30000ms%5D&lookback_delta=30000ms";
        assert_eq!((raw.path.as_str(), raw.is_raw), (path, true));
        assert!(!Question::live("sum(up)", stale).is_raw);
    }

    proptest! {
        #[test]
        fn every_text_becomes_a_path(text in ".{0,60}") {
            let path = Question::live(&text, Duration::from_secs(1)).path;
            prop_assert!(path.parse::<http::Uri>().is_ok(), "{}", path);
        }
    }
}
