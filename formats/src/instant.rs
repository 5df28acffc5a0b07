//! Instants in tables: RFC 3339 or unix seconds, as nanoseconds since the Unix epoch.

use jiff::Timestamp;

const NS_PER_S: i128 = 1_000_000_000;
/// The year 2262: the last second that 64 bits of nanoseconds hold. A number beyond it
/// is in milliseconds or finer.
const UNIX_SECONDS_MAX: f64 = 9_223_372_036.0;

/// Nanoseconds since the Unix epoch, from `2026-01-31T12:00:00.5+01:00` or `1769857200.5`.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let text = text.trim();
    if let Some(ns) = decimal_ns(text) {
        return Ok(ns);
    }
    match text.parse::<f64>() {
        Ok(seconds) => from_seconds(seconds),
        Err(_) => {
            let instant: Timestamp = text.parse().map_err(|_| no_time(text))?;
            i64::try_from(instant.as_nanosecond()).map_err(|_| no_time(text))
        }
    }
}

/// Nanoseconds from unix seconds in floating point, exact to about a quarter microsecond.
pub(crate) fn from_seconds(seconds: f64) -> Result<i64, String> {
    if seconds.abs() > UNIX_SECONDS_MAX {
        return Err(format!(
            "{seconds} is too large for unix seconds: divide milliseconds by 1000"
        ));
    }
    if !seconds.is_finite() {
        return Err(format!("{seconds} is no time"));
    }
    Ok((seconds * 1e9).round() as i64)
}

/// RFC 3339 in UTC with as many decimals as it needs.
pub(crate) fn rfc3339(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| ns.to_string(), |instant| instant.to_string())
}

/// Plain decimal seconds to the nanosecond, without the rounding of floating point.
fn decimal_ns(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || !plain(whole) || !plain(part) {
        return None;
    }
    let seconds: i128 = whole.parse().ok()?;
    let nine: String = part.chars().chain("000000000".chars()).take(9).collect();
    let ns: i128 = nine.parse().ok()?;
    i64::try_from(sign * (seconds * NS_PER_S + ns)).ok()
}

fn no_time(text: &str) -> String {
    let text: String = text.escape_debug().take(40).collect();
    format!("\"{text}\" is no time with a zone: write 2026-01-31T12:00:00Z or unix seconds")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_spellings_read() {
        assert_eq!(parse("1970-01-01T00:00:01Z"), Ok(1_000_000_000));
        assert_eq!(parse("1970-01-01T01:00:01.5+01:00"), Ok(1_500_000_000));
        assert_eq!(parse("1732283538.123456789"), Ok(1_732_283_538_123_456_789));
        assert_eq!(parse("-0.5"), Ok(-500_000_000));
        assert_eq!(parse(" 1.5e9 "), Ok(1_500_000_000_000_000_000));
    }

    #[test]
    fn nonsense_is_refused_with_a_mend() {
        for text in ["", "yesterday", "2026-01-31T12:00:00", "nan", "inf", "1e300"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("1732283538123").unwrap_err().contains("divide milliseconds"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ns: i64) {
            prop_assert_eq!(parse(&rfc3339(ns)), Ok(ns));
        }
    }
}
