//! What a simulated building's meters show over time, to be played.

use std::collections::BTreeMap;

use model::table::MeterRow;

/// Values of every point by their instants.
#[derive(Debug, Clone, Default)]
pub struct Course(BTreeMap<(String, String), Vec<(i64, f64)>>);

impl Course {
    /// The course of a simulated hall's meters.
    #[must_use]
    pub fn of(rows: &[MeterRow]) -> Self {
        let mut points: BTreeMap<(String, String), Vec<(i64, f64)>> = BTreeMap::new();
        for row in rows {
            if let Some(value) = row.value {
                let point = (row.domain.clone(), row.point.clone());
                points.entry(point).or_default().push((row.time_ns, value));
            }
        }
        for values in points.values_mut() {
            values.sort_by_key(|(time_ns, _)| *time_ns);
        }
        Self(points)
    }

    /// What a point shows at an instant: its last reading until then, or its first.
    #[must_use]
    pub fn at(&self, domain: &str, point: &str, time_ns: i64) -> Option<f64> {
        let values = self.0.get(&(domain.to_owned(), point.to_owned()))?;
        let next = values.partition_point(|(at, _)| *at <= time_ns);
        values.get(next.saturating_sub(1)).map(|(_, value)| *value)
    }

    /// Least and most that a point shows between two instants.
    #[must_use]
    pub fn between(&self, domain: &str, point: &str, from_ns: i64, to_ns: i64) -> Option<[f64; 2]> {
        let values = self.0.get(&(domain.to_owned(), point.to_owned()))?;
        let inside = values.iter().filter(|(at, _)| (from_ns..=to_ns).contains(at));
        let inside = inside.map(|(_, value)| *value);
        let shown = inside.chain(self.at(domain, point, from_ns));
        Some(
            shown.fold([f64::MAX, f64::MIN], |[least, most], value| {
                [least.min(value), most.max(value)]
            }),
        )
    }

    /// Changes every value of a point by those of another at the same instants.
    ///
    /// # Panics
    /// When one of them is not there.
    pub fn change(
        &mut self,
        (domain, point): (&str, &str),
        by: &str,
        change: impl Fn(f64, f64) -> f64,
    ) {
        let other = self.clone();
        let values = self.0.get_mut(&(domain.to_owned(), point.to_owned())).expect("a point");
        for (time_ns, value) in values {
            *value = change(*value, other.at(domain, by, *time_ns).expect("another point"));
        }
    }
}
