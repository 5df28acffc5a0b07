//! A row: one measurement, or why there is none; and the table of all.

use serde_json::{Map, Value, json};

/// One line of the results.
pub(crate) struct Row {
    pub(crate) what: String,
    /// Figures by name; empty where nothing was measured.
    values: Map<String, Value>,
    why_not: Option<String>,
    /// What was hoped for, and whether it came.
    aim: Option<(String, bool)>,
}

impl Row {
    /// A measurement; `values` is an object.
    pub(crate) fn measured(what: impl Into<String>, values: Value) -> Self {
        let values = match values {
            Value::Object(values) => values,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Self { what: what.into(), values, why_not: None, aim: None }
    }

    pub(crate) fn not_measured(what: impl Into<String>, why: impl Into<String>) -> Self {
        let (what, why_not) = (what.into(), Some(why.into()));
        Self { what, values: Map::new(), why_not, aim: None }
    }

    /// What came out, or the error as the reason.
    pub(crate) fn of(what: &str, result: anyhow::Result<Value>) -> Self {
        match result {
            Ok(values) => Self::measured(what, values),
            Err(error) => Self::not_measured(what, format!("{error:#}")),
        }
    }

    /// With what was hoped for, where it was measured.
    pub(crate) fn aim(
        mut self,
        words: &str,
        met: impl FnOnce(&Map<String, Value>) -> bool,
    ) -> Self {
        if self.why_not.is_none() {
            let met = met(&self.values);
            self.aim = Some((words.to_owned(), met));
        }
        self
    }

    pub(crate) fn is_measured(&self) -> bool {
        self.why_not.is_none()
    }

    pub(crate) fn json(&self) -> Value {
        let mut row = self.values.clone();
        row.insert("what".to_owned(), json!(self.what));
        row.insert("measured".to_owned(), json!(self.why_not.is_none()));
        if let Some(why) = &self.why_not {
            row.insert("why".to_owned(), json!(why));
        }
        if let Some((words, met)) = &self.aim {
            row.insert("aim".to_owned(), json!(words));
            row.insert("met".to_owned(), json!(met));
        }
        Value::Object(row)
    }
}

/// A figure of a row; NaN where it is none, which meets no aim.
pub(crate) fn figure(values: &Map<String, Value>, name: &str) -> f64 {
    values.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// One line of the table.
pub(crate) fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    if row["measured"] != true {
        return format!("{:<28} not measured: {}", text("what"), text("why"));
    }
    let own = ["what", "measured", "aim", "met", "notes"];
    let figures = row.as_object().into_iter().flatten();
    let figures: Vec<String> = figures
        .filter(|(name, value)| !own.contains(&name.as_str()) && !value.is_object())
        .map(|(name, value)| match value.as_f64().filter(|_| value.is_f64()) {
            Some(number) => format!("{name} {number:.3}"),
            None => format!("{name} {value}"),
        })
        .collect();
    let aim = match row["met"].as_bool() {
        Some(true) => format!("   [aim {}: met]", text("aim")),
        Some(false) => format!("   [aim {}: MISSED]", text("aim")),
        None => String::new(),
    };
    format!("{:<28} {}{aim}", text("what"), figures.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_meets_no_aim_and_says_why() {
        let row = Row::not_measured("watts", "no NVML").aim("0.97", |_| true).json();
        assert_eq!((&row["measured"], &row["met"]), (&json!(false), &Value::Null));
        assert_eq!(line(&row), format!("{:<28} not measured: no NVML", "watts"));
        let row = Row::measured("watts", json!({"ratio": 0.5}));
        let row = row.aim("at least 0.97", |values| figure(values, "ratio") >= 0.97).json();
        assert!(
            line(&row).ends_with("ratio 0.500   [aim at least 0.97: MISSED]"),
            "{}",
            line(&row)
        );
        let row = Row::measured("x", json!({})).aim("more", |values| figure(values, "y") >= 0.0);
        assert_eq!(row.json()["met"], false);
    }
}
