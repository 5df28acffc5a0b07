//! What a Prometheus answers: pure.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Labels of a series by name.
pub(super) type Labels = BTreeMap<String, String>;

/// One series of an answer: its samples, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Samples {
    pub(super) labels: Labels,
    /// By the server's clock, nanoseconds since the Unix epoch, and the value.
    pub(super) samples: Vec<(i64, f64)>,
}

#[derive(Deserialize)]
struct Whole {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<One>),
    Matrix(Vec<Many>),
    Scalar(Pair),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct One {
    metric: Labels,
    /// Absent for a native histogram.
    value: Option<Pair>,
}

#[derive(Deserialize)]
struct Many {
    metric: Labels,
    #[serde(default)]
    values: Vec<Pair>,
}

/// Seconds, and a number as text, since JSON has no NaN.
#[derive(Deserialize)]
struct Pair(f64, String);

/// Reads an answer of `query` or `query_range`.
///
/// # Errors
/// When it is none, or says that the question was wrong.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Samples>, String> {
    let whole: Whole = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let data = match whole.data {
        Some(data) if whole.status == "success" => data,
        _ => return Err(format!("{}: {}", whole.status, whole.error)),
    };
    let series = match data {
        Data::Vector(vector) => {
            let one = |one: One| of(one.metric, one.value.into_iter().collect());
            vector.into_iter().map(one).collect::<Result<Vec<_>, String>>()?
        }
        Data::Matrix(matrix) => {
            let many = |many: Many| of(many.metric, many.values);
            matrix.into_iter().map(many).collect::<Result<Vec<_>, String>>()?
        }
        Data::Scalar(pair) => vec![of(Labels::new(), vec![pair])?],
        Data::String(_) => return Err("it answered a text, no number".to_owned()),
    };
    Ok(series)
}

fn of(labels: Labels, pairs: Vec<Pair>) -> Result<Samples, String> {
    let sample = |Pair(seconds, text): Pair| {
        let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
        Ok((stamp_ns(seconds), value))
    };
    let mut samples = pairs.into_iter().map(sample).collect::<Result<Vec<_>, String>>()?;
    samples.sort_by_key(|(stamp, _)| *stamp);
    Ok(Samples { labels, samples })
}

/// Prometheus keeps milliseconds: what a float of seconds has beyond them is rounding. Stamps
/// beyond the years of `i64` end at its ends.
fn stamp_ns(seconds: f64) -> i64 {
    ((seconds * 1e3).round() as i64).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_vector_and_a_matrix_are_series_with_stamps() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"pdu":"a1"},"value":[1435781451.781,"12.5"]}]}}"#;
        let read = parse(body).unwrap();
        assert_eq!(read[0].labels["pdu"], "a1");
        assert_eq!(read[0].samples, [(1_435_781_451_781_000_000, 12.5)]);
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[2,"NaN"],[1.5,"+Inf"]]}]}}"#;
        let read = parse(body).unwrap();
        assert_eq!(read[0].samples[0], (1_500_000_000, f64::INFINITY));
        assert!(read[0].samples[1].1.is_nan());
    }

    #[test]
    fn a_wrong_question_is_told_in_the_servers_words() {
        let body = br#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#;
        assert_eq!(parse(body).unwrap_err(), "error: parse error at char 3");
    }

    #[test]
    fn what_breaks_off_is_no_answer() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        for end in 0..body.len() {
            assert!(parse(&body[..end]).is_err());
        }
    }

    proptest! {
        #[test]
        fn bytes_of_anybody_do_not_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&body));
        }

        #[test]
        fn numbers_of_anybody_do_not_panic(seconds in any::<f64>(), text in "[-+0-9eNaIinf.]{0,8}") {
            let body = format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[{seconds:?},"{text}"]}}}}"#);
            drop(parse(body.as_bytes()));
        }
    }
}
