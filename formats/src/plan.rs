//! plan.toml: what to run, in which order, for how long.

mod experiment;
mod phase;
mod selector;
mod shape;

use std::collections::BTreeSet;
use std::path::Path;

use model::Requirement;
use model::experiment::Experiment;
use model::plan::{Limits, Phase, Plan};

use crate::document::{Document, Table, text_of};
use crate::document_error::DocumentErrors;
use crate::nearest::nearest;

pub use selector::parse as parse_selector;

/// Most phases of one plan: a square-wave sweep of a week has a few hundred.
const PHASES_MAX: usize = 1_000;
/// Longest name that fits every table of a report.
const NAME_LETTERS_MAX: usize = 128;
/// Silicon is destroyed above this, in degrees Celsius: a limit beyond guards nothing.
const DEVICE_TEMP_C_MAX: f64 = 125.0;

const KEYS: [&str; 8] = [
    "schema",
    "name",
    "requires",
    "seed",
    "limits",
    "least_seconds",
    "least_rating_percent",
    "phase",
];

/// Names of the plans that this crate brings along.
pub const BUILTIN: [&str; 2] = ["quick", "acceptance"];

/// The text of a plan that this crate brings along.
#[must_use]
pub fn builtin_text(name: &str) -> Option<&'static str> {
    match name {
        "quick" => Some(include_str!("builtin/quick.toml")),
        "acceptance" => Some(include_str!("builtin/acceptance.toml")),
        _ => None,
    }
}

/// A plan that this crate brings along.
#[must_use]
pub fn builtin(name: &str) -> Option<Plan> {
    builtin_text(name).and_then(|text| parse(&format!("{name}.toml"), text).ok())
}

/// Reads a plan file.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn read(path: &Path) -> Result<Plan, DocumentErrors> {
    let (file, text) = text_of(path)?;
    parse(&file, &text)
}

/// Reads a plan from its text; `file` is what messages call it.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn parse(file: &str, text: &str) -> Result<Plan, DocumentErrors> {
    let document = Document::new(file, text);
    let tree = document.tree()?;
    let root = Table::root(&document, &tree);
    document.finish(plan(&root))
}

fn plan(root: &Table<'_, '_>) -> Option<Plan> {
    root.only(&KEYS);
    root.schema();
    root.need("name", "name = \"acceptance\"");
    let name = root.text("name");
    if let Some(name) = &name {
        check_name(root, name);
    }
    let requires = requires(root);
    let (phases, experiments) = phases(root);
    // What experiments add is known with the site only; expanding looks again.
    let whole = phases.iter().all(Option::is_some) && experiments.is_empty();
    let plan = Plan {
        name: name.unwrap_or_default(),
        requires,
        // TOML's whole numbers are signed.
        seed: root.whole("seed", 0..=i64::MAX as u64).unwrap_or(1),
        limits: limits(root),
        least_seconds: root.number("least_seconds", 0.0..=1e9, "seconds").unwrap_or(0.0),
        least_rating_percent: root.number("least_rating_percent", 0.1..=100.0, "percent"),
        phases: phases.into_iter().flatten().collect(),
        experiments: experiments.into_iter().flatten().collect(),
    };
    if whole && !plan.phases.is_empty() && plan.least_seconds > plan.heating_seconds() {
        let what = format!(
            "least_seconds = {} can't be reached: the phases with load last {} seconds",
            plan.least_seconds,
            plan.heating_seconds()
        );
        root.wrong("least_seconds", what, "lower it or lengthen the phases");
    }
    Some(plan)
}

/// Every phase, and every experiment; `None` for one that has a problem in it.
fn phases(root: &Table<'_, '_>) -> (Vec<Option<Phase>>, Vec<Option<Experiment>>) {
    let tables = root.tables("phase", "[[phase]]");
    match tables.as_deref() {
        None if root.has("phase") => return (Vec::new(), Vec::new()),
        None | Some([]) => {
            root.wrong("phase", "the plan has no phases", "add at least one [[phase]]");
        }
        Some(tables) if tables.len() > PHASES_MAX => {
            let what = format!("{} phases", tables.len());
            root.wrong("phase", what, format!("use at most {PHASES_MAX}"));
        }
        Some(_) => {}
    }
    let tables = tables.unwrap_or_default();
    let mut experiments = Vec::new();
    let mut ordinary = 0;
    for table in &tables {
        match experiment::kind_of(table) {
            Some(kind) => experiments.push(experiment::experiment(table, kind, ordinary)),
            None => ordinary += 1,
        }
    }
    experiment::names_differ(&tables, &experiments);
    let ordinary = tables.into_iter().filter(|table| experiment::kind_of(table).is_none());
    (phase::all(&ordinary.collect::<Vec<_>>()), experiments)
}

fn check_name(table: &Table<'_, '_>, name: &str) {
    let letters = name.chars().count();
    if name.trim().is_empty() || letters > NAME_LETTERS_MAX || name.contains(char::is_control) {
        let what = format!("\"{}\" is no name", name.escape_debug().take(40).collect::<String>());
        let mend = format!("use 1 to {NAME_LETTERS_MAX} letters without line breaks");
        table.wrong("name", what, mend);
    }
}

fn requires(root: &Table<'_, '_>) -> BTreeSet<Requirement> {
    let words = Requirement::ALL.map(Requirement::word);
    if !root.need("requires", "requires = [\"compute\", \"data_plane\"]") {
        return BTreeSet::new();
    }
    let Some(texts) = root.texts("requires") else { return BTreeSet::new() };
    if texts.is_empty() {
        // READY for nothing would be READY without evidence.
        root.wrong("requires", "requires is empty", format!("use some of {}", words.join(", ")));
    }
    let mut required = BTreeSet::new();
    for text in texts {
        match Requirement::from_word(&text.value) {
            Some(requirement) => {
                required.insert(requirement);
            }
            None => {
                let what = format!("unknown requirement \"{}\"", text.value.escape_debug());
                root.document.add(&text.span, what, mend_word(&text.value, &words));
            }
        }
    }
    required
}

fn limits(root: &Table<'_, '_>) -> Limits {
    let Some(table) = root.table("limits", "limits") else { return Limits::default() };
    table.only(&["device_temp_c"]);
    let device_temp_c = table.number("device_temp_c", 1.0..=DEVICE_TEMP_C_MAX, "degrees Celsius");
    Limits { device_temp_c }
}

/// `did you mean "hold"?`, or the whole list.
fn mend_word(word: &str, words: &[&str]) -> String {
    match nearest(word, words) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("use one of {}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests;
