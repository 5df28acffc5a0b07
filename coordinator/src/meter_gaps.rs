//! What meters did not say during a run, from its journal.

use std::collections::BTreeMap;

use model::facts::{MeterGap, RunFacts};

use crate::store::{JournalEntry, MeterEvent};

/// A device in a condition, since when.
type Open<'a> = BTreeMap<(&'a str, &'a str, &'a str, MeterEvent), (i64, &'a str)>;

/// Adds to the facts which devices of the building were silent or not to be believed.
pub(crate) fn add(facts: &mut RunFacts, journal: &[(i64, JournalEntry)]) {
    let mut open: Open<'_> = BTreeMap::new();
    let mut gaps = Vec::new();
    for (at_ns, entry) in journal {
        if matches!(entry, JournalEntry::Resumed { .. }) {
            // Another process asks now, and tells anew who is silent.
            let ended = std::mem::take(&mut open).into_iter();
            gaps.extend(ended.map(|(key, (since_ns, why))| gap(key, why, Some(at_ns - since_ns))));
        }
        let JournalEntry::Meter { source, address, domain, event, why } = entry else { continue };
        let mut close = |kind: MeterEvent| {
            let key = (source.as_str(), address.as_str(), domain.as_str(), kind);
            if let Some((since_ns, why)) = open.remove(&key) {
                gaps.push(gap(key, why, Some(at_ns - since_ns)));
            }
        };
        match event {
            MeterEvent::Back => close(MeterEvent::Lost),
            MeterEvent::ClockRight => close(MeterEvent::ClockOff),
            MeterEvent::Lost | MeterEvent::ClockOff => {
                open.entry((source, address, domain, *event)).or_insert((*at_ns, why));
            }
            MeterEvent::Wrong => gaps.push(gap((source, address, domain, *event), why, None)),
        }
    }
    let end_ns = facts.ended_unix_ns.or(journal.last().map(|(at_ns, _)| *at_ns)).unwrap_or(0);
    gaps.extend(
        open.into_iter()
            .map(|(key, (since_ns, why))| gap(key, why, Some((end_ns - since_ns).max(0)))),
    );
    gaps.sort();
    facts.meter_gaps = gaps;
}

fn gap(
    (source, address, domain, event): (&str, &str, &str, MeterEvent),
    why: &str,
    for_ns: Option<i64>,
) -> MeterGap {
    MeterGap {
        source: source.to_owned(),
        address: address.to_owned(),
        domain: domain.to_owned(),
        silent: event == MeterEvent::Lost,
        why: why.to_owned(),
        for_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: MeterEvent, why: &str) -> JournalEntry {
        JournalEntry::Meter {
            source: "pdus".to_owned(),
            address: "a:161".to_owned(),
            domain: "pdu-a".to_owned(),
            event,
            why: why.to_owned(),
        }
    }

    #[test]
    fn silence_lasts_until_its_end_or_that_of_the_run() {
        let journal = [
            (10, entry(MeterEvent::Lost, "silent: x")),
            (15, entry(MeterEvent::Lost, "silent: x")),
            (40, entry(MeterEvent::Back, "")),
            (90, entry(MeterEvent::Lost, "silent: y")),
            (95, entry(MeterEvent::Wrong, "point 4 is no number")),
        ];
        let mut facts = RunFacts { ended_unix_ns: Some(100), ..RunFacts::default() };
        add(&mut facts, &journal);
        let told: Vec<_> =
            facts.meter_gaps.iter().map(|gap| (gap.silent, gap.why.as_str(), gap.for_ns)).collect();
        let wrong = (false, "point 4 is no number", None);
        assert_eq!(told, [wrong, (true, "silent: x", Some(30)), (true, "silent: y", Some(10))]);
    }

    #[test]
    fn a_coordinator_that_comes_again_asks_anew() {
        let journal = [
            (10, entry(MeterEvent::Lost, "silent: x")),
            (30, JournalEntry::Resumed { who: "jd".to_owned(), phase: 0 }),
        ];
        let mut facts = RunFacts { ended_unix_ns: Some(100), ..RunFacts::default() };
        add(&mut facts, &journal);
        assert_eq!((facts.meter_gaps.len(), facts.meter_gaps[0].for_ns), (1, Some(20)));
    }
}
