//! A `[[phase]]` that is an experiment: its groups, its steps, the cooling between them.

use std::collections::BTreeSet;

use model::experiment::{Experiment, ExperimentKind, REST_SECONDS_MOST};
use model::plan::{By, Selector};
use model::site::{DomainKind, Family};

use super::phase::{self, SECONDS_MAX};
use super::{check_name, mend_word, selector};
use crate::document::{At, Table};

const KEYS: [&str; 8] = ["name", "kind", "by", "over", "seconds", "rest_seconds", "on", "load"];
/// Most kinds of domains of one experiment of halves: with three, too few nodes would share
/// the same three to say anything of them.
const OVER_MOST: usize = 2;

/// The experiment that a phase's table is, if its kind is one.
pub(super) fn kind_of(table: &Table<'_, '_>) -> Option<ExperimentKind> {
    ExperimentKind::from_word(&table.text("kind")?)
}

/// Reads an experiment; `None` when there is a problem in it.
pub(super) fn experiment(
    table: &Table<'_, '_>,
    kind: ExperimentKind,
    after_phases: usize,
) -> Option<Experiment> {
    let fits: Vec<&str> = KEYS.into_iter().filter(|key| fits(kind, key)).collect();
    table.only(&KEYS);
    for key in KEYS.into_iter().filter(|key| table.has(key) && !fits.contains(key)) {
        let what =
            format!("key \"{key}\" does not belong to an experiment of kind \"{}\"", kind.word());
        table.wrong(key, what, format!("remove it; it takes {}", fits.join(", ")));
    }
    let name = table.text("name");
    if let Some(name) = &name {
        check_name(table, name);
    }
    table.need("seconds", "seconds = 180");
    let step_seconds = table.number("seconds", 0.001..=SECONDS_MAX, "seconds");
    let rest_seconds = table.number("rest_seconds", 0.0..=SECONDS_MAX, "seconds");
    let on = match table.text_at("on") {
        Some(at) => selector::selector(table, &at),
        None => Some(Selector::All),
    };
    let by = if kind == ExperimentKind::Halves { over(table) } else { by(table, kind) };
    let load = phase::whole_load(table);
    let step_seconds = step_seconds?;
    // Codes of wiring follow each other without a pause: it is the changes that count.
    let usual = match kind {
        ExperimentKind::Wiring => 0.0,
        _ => step_seconds.min(REST_SECONDS_MOST),
    };
    Some(Experiment {
        name: name.unwrap_or_else(|| kind.word().to_owned()),
        kind,
        by: by?,
        step_seconds,
        rest_seconds: rest_seconds.unwrap_or(usual),
        on: on?,
        load,
        after_phases,
        groups: Vec::new(),
        steps: Vec::new(),
    })
}

fn fits(kind: ExperimentKind, key: &str) -> bool {
    match key {
        "by" => kind != ExperimentKind::Halves,
        "over" => kind == ExperimentKind::Halves,
        "rest_seconds" => kind != ExperimentKind::Wiring,
        _ => true,
    }
}

/// Reports names that two phases have, of whatever kind.
pub(super) fn names_differ(tables: &[Table<'_, '_>], experiments: &[Option<Experiment>]) {
    let mut taken = BTreeSet::new();
    let mut of_experiments = experiments.iter().flatten().map(|experiment| &experiment.name);
    let twice = of_experiments.find(|name| !taken.insert((*name).clone())).cloned();
    let typed = tables.iter().filter(|table| kind_of(table).is_none());
    let mut typed = typed.filter_map(|table| Some((table, table.text("name")?)));
    let clash = typed.find(|(_, name)| taken.contains(name));
    if let Some((table, name)) = clash {
        let what = format!("a second phase named \"{}\"", name.escape_debug());
        table.wrong("name", what, "an experiment has that name already");
    }
    let unnamed = |table: &&Table<'_, '_>| kind_of(table).is_some();
    if let (Some(name), Some(table)) = (twice, tables.iter().rfind(unnamed)) {
        let what = format!("two experiments are named \"{}\"", name.escape_debug());
        table.wrong("kind", what, "give each a name of its own: name = \"isolated-racks\"");
    }
}

fn by(table: &Table<'_, '_>, kind: ExperimentKind) -> Option<Vec<By>> {
    let example = match kind {
        ExperimentKind::Wiring => "by = \"pdu\"",
        ExperimentKind::FeedCheck => "by = \"feed\"",
        _ => "by = \"rack\"",
    };
    if !table.need("by", example) {
        return None;
    }
    let at = table.text_at("by")?;
    Some(vec![group_kind(table, &at, kind)?])
}

fn over(table: &Table<'_, '_>) -> Option<Vec<By>> {
    if !table.need("over", "over = [\"pdu\", \"loop\"]") {
        return None;
    }
    let texts = table.texts("over")?;
    let kinds: Option<Vec<By>> =
        texts.iter().map(|at| group_kind(table, at, ExperimentKind::Halves)).collect();
    let kinds = kinds?;
    let twice = kinds.len() == OVER_MOST && kinds[0] == kinds[1];
    if kinds.is_empty() || kinds.len() > OVER_MOST || twice {
        let what = format!("over names {} kinds of domains", kinds.len());
        table.wrong("over", what, "name one kind, or two that differ");
        return None;
    }
    Some(kinds)
}

/// Nodes, or domains that carry load: current, coolant, or a place in the hall.
fn group_kind(table: &Table<'_, '_>, at: &At<String>, kind: ExperimentKind) -> Option<By> {
    let node_fits = !matches!(kind, ExperimentKind::Wiring | ExperimentKind::FeedCheck);
    if at.value == By::Node.word() && node_fits {
        return Some(By::Node);
    }
    let fits = |domain: &DomainKind| match kind {
        ExperimentKind::FeedCheck => *domain == DomainKind::Feed,
        _ => domain.family() != Family::Network,
    };
    let known = DomainKind::from_word(&at.value).filter(&fits);
    if known.is_none() {
        let mut words: Vec<&str> = if node_fits { vec![By::Node.word()] } else { Vec::new() };
        words.extend(DomainKind::ALL.into_iter().filter(&fits).map(DomainKind::word));
        let what = format!("{} can't be by \"{}\"", kind.word(), at.value.escape_debug());
        table.document.add(&at.span, what, mend_word(&at.value, &words));
    }
    known.map(By::Domain)
}
