//! permit.toml: what the building's owner allows to be heated.

use std::collections::BTreeSet;
use std::path::Path;

use model::permit::{
    Clause, DomainClause, DomainPick, Permit, RELEASE_STEPS, ReleaseClause, WAVEFORM_WORDS,
    WaveformClause, Window,
};
use model::site::{DomainKind, Family};

use crate::document::{Document, Table, text_of};
use crate::document_error::DocumentErrors;
use crate::instant;
use crate::nearest::nearest;

/// Largest kW that a permit may name: a campus of a gigawatt.
const KW_MAX: f64 = 1e6;
/// Highest frequency that workers can follow: two frames of 10 ms a period.
const HZ_MAX: f64 = 50.0;

const KEYS: [&str; 9] = [
    "schema",
    "issued_by",
    "site",
    "total_kw",
    "conditions",
    "window",
    "domain",
    "waveform",
    "release",
];

/// Reads a permit file: the permit and the text that it was read from.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn read(path: &Path) -> Result<(Permit, String), DocumentErrors> {
    let (file, text) = text_of(path)?;
    Ok((parse(&file, &text)?, text))
}

/// Reads a permit from its text; `file` is what messages and refusals call it.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn parse(file: &str, text: &str) -> Result<Permit, DocumentErrors> {
    let document = Document::new(file, text);
    let tree = document.tree()?;
    let root = Table::root(&document, &tree);
    let permit = permit(&root, file);
    document.finish(Some(permit))
}

fn permit(root: &Table<'_, '_>, file: &str) -> Permit {
    root.only(&KEYS);
    root.schema();
    root.need("issued_by", "issued_by = \"A. Meier, facility\"");
    root.need("site", "site = \"hall-b\", the name in the site file");
    root.need("total_kw", "total_kw = 250");
    let kw = root.number("total_kw", 0.0..=KW_MAX, "kW");
    let site = root.text_at("site");
    let conditions = root.texts("conditions").unwrap_or_default();
    let releases = tables(root, "release", "[[release]]").iter().filter_map(release).collect();
    check_releases(root, &releases);
    let waveforms = listed(root, "waveform", "[[waveform]] with kind = \"hold\"");
    let windows = listed(root, "window", "[[window]] with from and to");
    Permit {
        file: file.to_owned(),
        issued_by: root.text("issued_by").unwrap_or_default(),
        site: site.map(|at| Clause { value: at.value, line: root.line_of("site") }),
        windows: windows.iter().filter_map(window).collect(),
        conditions: conditions
            .into_iter()
            .map(|at| Clause { value: at.value, line: root.document.line_of(&at.span) })
            .collect(),
        total_kw: kw.map(|value| Clause { value, line: root.line_of("total_kw") }),
        domains: tables(root, "domain", "[[domain]]").iter().filter_map(domain).collect(),
        waveforms: Some(waveforms.iter().filter_map(waveform).collect()),
        releases,
    }
}

fn tables<'d, 't>(root: &Table<'d, 't>, key: &str, place: &str) -> Vec<Table<'d, 't>> {
    root.tables(key, place).unwrap_or_default()
}

/// Tables of which at least one must be there: a permit that names none allows nothing.
fn listed<'d, 't>(root: &Table<'d, 't>, key: &str, example: &str) -> Vec<Table<'d, 't>> {
    root.need(key, example);
    let found = tables(root, key, &format!("[[{key}]]"));
    if root.has(key) && found.is_empty() {
        root.wrong(key, format!("{key} is empty"), format!("add {example}"));
    }
    found
}

fn window(table: &Table<'_, '_>) -> Option<Window> {
    table.only(&["from", "to"]);
    table.need("from", "from = \"2026-01-31T20:00:00+01:00\"");
    table.need("to", "to = \"2026-02-01T06:00:00+01:00\"");
    let [(from, from_ns), (to, to_ns)] = [instant_at(table, "from")?, instant_at(table, "to")?];
    if from_ns >= to_ns {
        let what = format!("the window ends at {to}, before it begins");
        table.wrong("to", what, format!("use an instant after {from}"));
    }
    Some(Window { from_ns, to_ns, words: format!("{from} to {to}"), line: table.line_of("from") })
}

fn instant_at(table: &Table<'_, '_>, key: &str) -> Option<(String, i64)> {
    let at = table.text_at(key)?;
    match instant::parse(&at.value) {
        Ok(ns) => Some((at.value, ns)),
        Err(why) => {
            table.document.add(&at.span, why, "");
            None
        }
    }
}

fn domain(table: &Table<'_, '_>) -> Option<DomainClause> {
    table.only(&["on", "kw", "kw_per_s_up", "kw_per_s_down"]);
    table.need("on", "on = \"pdu=pdu-a1\", on = \"pdu\" or on = \"all\"");
    let limits = ["kw", "kw_per_s_up", "kw_per_s_down"];
    if !limits.iter().any(|key| table.has(key)) {
        table.wrong("on", "this [[domain]] limits nothing", "add kw = 27, or a kW/s");
    }
    let [most_kw, kw_per_s_up, kw_per_s_down] =
        limits.map(|key| table.number(key, 0.0..=KW_MAX, "kW"));
    let pick = pick(table)?;
    Some(DomainClause { pick, most_kw, kw_per_s_up, kw_per_s_down, line: table.line_of("on") })
}

fn pick(table: &Table<'_, '_>) -> Option<DomainPick> {
    let at = table.text_at("on")?;
    if at.value == "all" {
        return Some(DomainPick::Every);
    }
    let (word, id) = match at.value.split_once('=') {
        Some((word, id)) => (word.trim(), Some(id.trim())),
        None => (at.value.trim(), None),
    };
    let carries = |kind: &DomainKind| matches!(kind.family(), Family::Power | Family::Cooling);
    let Some(kind) = DomainKind::from_word(word).filter(carries) else {
        let words: Vec<&str> =
            DomainKind::ALL.into_iter().filter(carries).map(DomainKind::word).collect();
        let mend = match nearest(word, &words) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("use all, or one of {}", words.join(", ")),
        };
        let what = format!("\"{}\" is no kind of power or cooling", word.escape_debug());
        table.document.add(&at.span, what, mend);
        return None;
    };
    match id {
        None => Some(DomainPick::Kind(kind)),
        Some("") => {
            let what = format!("\"{word}=\" names no domain");
            table.document.add(&at.span, what, format!("write {word}=ID, or {word} for each"));
            None
        }
        Some(id) => Some(DomainPick::One(kind, id.to_owned())),
    }
}

fn waveform(table: &Table<'_, '_>) -> Option<WaveformClause> {
    let own = ["hz_least", "hz_most", "amplitude_percent_most", "amplitude_kw_most"];
    table.only(&["kind", own[0], own[1], own[2], own[3]]);
    table.need("kind", "kind = \"hold\"");
    let [hz_least, hz_most] = [own[0], own[1]].map(|key| table.number(key, 0.0..=HZ_MAX, "Hz"));
    if let (Some(least), Some(most)) = (hz_least, hz_most)
        && least > most
    {
        table.wrong("hz_least", format!("hz_least = {least} is above {most}"), "swap the two");
    }
    let at = table.text_at("kind")?;
    let Some(kind) = WAVEFORM_WORDS.into_iter().find(|word| *word == at.value) else {
        let mend = match nearest(&at.value, &WAVEFORM_WORDS) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("use one of {}", WAVEFORM_WORDS.join(", ")),
        };
        let what = format!("unknown waveform \"{}\"", at.value.escape_debug());
        table.document.add(&at.span, what, mend);
        return None;
    };
    for key in own.into_iter().filter(|key| !repeats(kind) && table.has(key)) {
        let what = format!("key \"{key}\" does not belong to a {kind}");
        table.wrong(key, what, "remove it: kW and kW/s stand in [[domain]]");
    }
    Some(WaveformClause {
        kind: kind.to_owned(),
        hz_least,
        hz_most,
        amplitude_percent_most: table.number(own[2], 0.0..=100.0, "percent"),
        amplitude_kw_most: table.number(own[3], 0.0..=KW_MAX, "kW"),
        line: table.line_of("kind"),
    })
}

/// Whether a shape goes up and down by itself.
fn repeats(kind: &str) -> bool {
    matches!(kind, "square" | "sine" | "training")
}

fn release(table: &Table<'_, '_>) -> Option<ReleaseClause> {
    table.only(&["step", "who"]);
    table.need("step", "step = 25");
    table.need("who", "who = [\"B. Schmidt\"]");
    let who: Vec<String> =
        table.texts("who").unwrap_or_default().into_iter().map(|at| at.value).collect();
    if table.has("who") && (who.is_empty() || who.iter().any(|name| name.trim().is_empty())) {
        table.wrong("who", "nobody is named", "write who = [\"B. Schmidt\"]");
    }
    let step = table.whole("step", 0..=100)?;
    let known = RELEASE_STEPS.into_iter().find(|known| u64::from(*known) == step);
    if known.is_none() {
        table.wrong("step", format!("step {step} is none"), "use 25, 50, 75 or 100");
    }
    Some(ReleaseClause { step: known?, who, line: table.line_of("step") })
}

fn check_releases(root: &Table<'_, '_>, releases: &Vec<ReleaseClause>) {
    let mut seen = BTreeSet::new();
    for release in releases {
        if !seen.insert(release.step) {
            let what = format!("step {} is released twice", release.step);
            root.wrong("release", what, "name everybody in one [[release]]");
        }
    }
}

#[cfg(test)]
mod tests;
