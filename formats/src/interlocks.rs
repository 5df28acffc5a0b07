//! interlocks.toml: which readings end heat, and how.

use std::collections::BTreeSet;
use std::path::Path;

use model::interlock::{
    Action, DeviceReading, Interlocks, Limit, REASON_BITS, Rule, Scope, Watches,
};
use model::plan::Selector;
use model::site::DomainKind;

use crate::document::{Document, Table, text_of};
use crate::document_error::DocumentErrors;
use crate::nearest::nearest;
use crate::plan::parse_selector;

/// Longest time that a rule may wait, be silent or count losses: an hour.
const SECONDS_MAX: f64 = 3_600.0;
/// Most rules of one document.
const RULES_MAX: usize = 1_000;
/// Meters of buildings are polled every second to every ten.
const SILENT_METER_S: f64 = 15.0;
/// Agents say their readings once a second.
const SILENT_DEVICE_S: f64 = 5.0;
/// Losses count as one event within this, unless the rule says otherwise.
const WITHIN_S: f64 = 10.0;
/// No reading is as large.
const VALUE_MAX: f64 = 1e9;
const NAME_CHARS_MAX: usize = 64;

const SOURCES: [&str; 4] = ["device", "meter", "heartbeat", "agents"];
const ALL_SOURCES: [&str; 3] = ["name", "source", "action"];
const OF_LIMITS: [&str; 4] = ["above", "below", "clear", "for_seconds"];
const OF_SILENCE: [&str; 2] = ["silent_seconds", "unread"];

/// Reads a file of interlocks.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn read(path: &Path) -> Result<Interlocks, DocumentErrors> {
    let (file, text) = text_of(path)?;
    parse(&file, &text)
}

/// Reads interlocks from their text; `file` is what messages call it.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn parse(file: &str, text: &str) -> Result<Interlocks, DocumentErrors> {
    let document = Document::new(file, text);
    let tree = document.tree()?;
    let root = Table::root(&document, &tree);
    root.only(&["schema", "rule"]);
    root.schema();
    root.need("rule", "[[rule]] with name, source and action");
    let tables = root.tables("rule", "[[rule]]").unwrap_or_default();
    if root.has("rule") && tables.is_empty() {
        root.wrong("rule", "rule is empty", "add [[rule]] with name, source and action");
    }
    if tables.len() > RULES_MAX {
        root.wrong("rule", format!("{} rules", tables.len()), format!("use at most {RULES_MAX}"));
    }
    let rules: Vec<Rule> = tables.iter().filter_map(rule).collect();
    check_names(&tables);
    document.finish(Some(Interlocks { file: file.to_owned(), rules }))
}

fn check_names(tables: &[Table<'_, '_>]) {
    let mut seen = BTreeSet::new();
    for table in tables {
        let Some(name) = table.text("name") else { continue };
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let usual = !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(fits);
        if !usual {
            let what = format!("\"{}\" is no name", name.escape_debug());
            table.wrong("name", what, "use letters, digits, _, - and .");
        }
        if !seen.insert(name.clone()) {
            let what = format!("a second rule \"{}\"", name.escape_debug());
            table.wrong("name", what, "give every rule a name of its own");
        }
    }
}

fn rule(table: &Table<'_, '_>) -> Option<Rule> {
    table.need("name", "name = \"supply_temp\"");
    table.need("source", "source = \"meter\"");
    table.need("action", "action = \"stop_ramp\"");
    let action = word(table, "action", &Action::WORDS.map(|(word, _)| word));
    let source = word(table, "source", &SOURCES)?;
    let action = action.as_deref().and_then(Action::from_word);
    let (watches, silent_s) = match source.as_str() {
        "device" => (device(table, action), SILENT_DEVICE_S),
        "meter" => (meter(table, action), SILENT_METER_S),
        "heartbeat" => (heartbeat(table, action), SILENT_METER_S),
        _ => (agents(table, action), SILENT_METER_S),
    };
    let watches = watches?;
    let limit = limit(table, &watches);
    let seconds = |key: &str, least: f64| table.number(key, least..=SECONDS_MAX, "seconds");
    Some(Rule {
        name: table.text("name")?,
        line: table.line_of("name"),
        limit,
        for_ns: ns(seconds("for_seconds", 0.0).unwrap_or(0.0)),
        silent_ns: ns(seconds("silent_seconds", 1.0).unwrap_or(silent_s)),
        allow_unread: word(table, "unread", &["refuse", "allow"]).as_deref() == Some("allow"),
        action: action?,
        watches,
    })
}

fn ns(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

/// A word out of a list.
fn word(table: &Table<'_, '_>, key: &str, known: &[&str]) -> Option<String> {
    let at = table.text_at(key)?;
    if known.contains(&at.value.as_str()) {
        return Some(at.value);
    }
    let mend = match nearest(&at.value, known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("use one of {}", known.join(", ")),
    };
    let what = format!("unknown {key} \"{}\"", at.value.escape_debug());
    table.document.add(&at.span, what, mend);
    None
}

/// The keys of a source; everything else is unknown.
fn only(table: &Table<'_, '_>, own: &[&[&str]]) {
    let known: Vec<&str> =
        ALL_SOURCES.iter().chain(own.iter().copied().flatten()).copied().collect();
    table.only(&known);
}

fn device(table: &Table<'_, '_>, action: Option<Action>) -> Option<Watches> {
    only(table, &[&["reading", "on", "reasons", "shed_by"], &OF_LIMITS, &OF_SILENCE]);
    table.need("reading", "reading = \"temp_c\"");
    let shed_by = domain_kind(table, "shed_by");
    if table.has("shed_by") && action.is_some_and(|action| action != Action::Shed) {
        table.wrong("shed_by", "key \"shed_by\" belongs to action = \"shed\"", "remove it");
    }
    let on = match table.text_at("on") {
        None => Selector::All,
        Some(at) => match parse_selector(&at.value) {
            Ok(selector) => selector,
            Err((what, mend)) => {
                table.document.add(&at.span, what, mend);
                return None;
            }
        },
    };
    let reading =
        match word(table, "reading", &["temp_c", "mem_temp_c", "power_w", "throttle"])?.as_str() {
            "temp_c" => DeviceReading::TempC,
            "mem_temp_c" => DeviceReading::MemTempC,
            "power_w" => DeviceReading::PowerW,
            _ => DeviceReading::Throttle(reasons(table)),
        };
    if table.has("reasons") && !matches!(reading, DeviceReading::Throttle(_)) {
        table.wrong("reasons", "key \"reasons\" belongs to reading = \"throttle\"", "remove it");
    }
    Some(Watches::Device { reading, on, shed_by })
}

/// Bits of the reasons that a rule names; without any, all but the power cap, which is the
/// normal state of a burn.
fn reasons(table: &Table<'_, '_>) -> u64 {
    let Some(named) = table.texts("reasons") else {
        return REASON_BITS
            .iter()
            .filter(|(word, _)| *word != "sw_power_cap")
            .map(|(_, b)| b)
            .sum();
    };
    let mut bits = 0;
    for at in &named {
        match REASON_BITS.iter().find(|(word, _)| *word == at.value) {
            Some((_, bit)) => bits |= bit,
            None => {
                let what = format!("unknown reason \"{}\"", at.value.escape_debug());
                let words: Vec<&str> = REASON_BITS.iter().map(|(word, _)| *word).collect();
                table.document.add(&at.span, what, format!("use some of {}", words.join(", ")));
            }
        }
    }
    if named.is_empty() {
        table.wrong("reasons", "no reason is named", "write reasons = [\"hw_thermal\"]");
    }
    bits
}

fn meter(table: &Table<'_, '_>, action: Option<Action>) -> Option<Watches> {
    only(table, &[&["point", "of"], &OF_LIMITS, &OF_SILENCE]);
    table.need("point", "point = \"supply_c\"");
    let of = scope(table, action);
    let point = table.text("point")?;
    if of == Some(Scope::All) {
        table.wrong("of", "a meter belongs to a domain", "write of = \"loop\" or \"loop=loop-1\"");
    }
    Some(Watches::Meter { point, of: of? })
}

fn heartbeat(table: &Table<'_, '_>, action: Option<Action>) -> Option<Watches> {
    only(table, &[&["from", "of"], &OF_SILENCE]);
    let of = match (action, table.has("of")) {
        // Who is shed when it falls silent: the domains that it vouches for.
        (Some(Action::Shed), _) => Some(scope(table, action)?),
        (_, true) => {
            let what = "key \"of\" belongs to action = \"shed\"";
            table.wrong("of", what, "remove it");
            None
        }
        (_, false) => None,
    };
    Some(Watches::Heartbeat { from: table.text("from"), of })
}

fn agents(table: &Table<'_, '_>, action: Option<Action>) -> Option<Watches> {
    only(table, &[&["lost", "within_seconds", "of"]]);
    table.need("lost", "lost = 3");
    let of = scope(table, action);
    let within = table.number("within_seconds", 0.1..=SECONDS_MAX, "seconds").unwrap_or(WITHIN_S);
    let lost = table.whole("lost", 1..=model::site::NODES_MAX as u64)?;
    Some(Watches::Agents { lost: lost as usize, within_ns: ns(within), of: of? })
}

/// `all`, `pdu` for each, or `pdu=pdu-a1`.
fn scope(table: &Table<'_, '_>, action: Option<Action>) -> Option<Scope> {
    table.need("of", "of = \"pdu\" for each of them, of = \"pdu=pdu-a1\" or of = \"all\"");
    let at = table.text_at("of")?;
    if at.value == "all" {
        if action == Some(Action::Shed) {
            let mend = "name a domain, or use stop_ramp";
            table.wrong("of", "all nodes can't be shed from themselves", mend);
        }
        return Some(Scope::All);
    }
    let (kind, id) = match at.value.split_once('=') {
        Some((kind, id)) => (kind.trim(), Some(id.trim())),
        None => (at.value.trim(), None),
    };
    let Some(known) = DomainKind::from_word(kind) else {
        table.document.add(&at.span, unknown_kind(kind), kind_mend(kind));
        return None;
    };
    match id {
        None => Some(Scope::Kind(known)),
        Some("") => {
            let mend = format!("write {kind}=ID, or {kind} for each");
            table.document.add(&at.span, format!("\"{kind}=\" names no domain"), mend);
            None
        }
        Some(id) => Some(Scope::One(known, id.to_owned())),
    }
}

fn domain_kind(table: &Table<'_, '_>, key: &str) -> Option<DomainKind> {
    let at = table.text_at(key)?;
    let kind = DomainKind::from_word(&at.value);
    if kind.is_none() {
        table.document.add(&at.span, unknown_kind(&at.value), kind_mend(&at.value));
    }
    kind
}

fn unknown_kind(kind: &str) -> String {
    format!("unknown domain kind \"{}\"", kind.escape_debug())
}

fn kind_mend(kind: &str) -> String {
    let words = DomainKind::ALL.map(DomainKind::word);
    match nearest(kind, &words) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("use one of {}", words.join(", ")),
    }
}

fn limit(table: &Table<'_, '_>, watches: &Watches) -> Option<Limit> {
    if matches!(watches, Watches::Heartbeat { .. } | Watches::Agents { .. }) {
        return None;
    }
    let value = |key: &str| table.number(key, -VALUE_MAX..=VALUE_MAX, "");
    let [above, below, clear] = ["above", "below", "clear"].map(value);
    if let Watches::Device { reading: DeviceReading::Throttle(_), .. } = watches {
        for key in ["above", "below", "clear"].into_iter().filter(|key| table.has(key)) {
            let what = format!("key \"{key}\" does not belong to a throttle reading");
            table.wrong(key, what, "remove it: any of its reasons trips the rule");
        }
        return Some(Limit { above: Some(0.0), ..Limit::default() });
    }
    if table.has("clear") && (table.has("above") == table.has("below")) {
        table.wrong("clear", "clear belongs to one limit", "keep one of above and below beside it");
    }
    let wrong_side = match (above, below, clear) {
        (Some(above), None, Some(clear)) => clear > above,
        (None, Some(below), Some(clear)) => clear < below,
        (Some(above), Some(below), _) if above <= below => {
            table.wrong(
                "below",
                format!("nothing lies between {below} and {above}"),
                "swap the two",
            );
            false
        }
        _ => false,
    };
    if wrong_side {
        table.wrong("clear", "clear lies beyond the limit", "use a value on its safe side");
    }
    if above.is_none() && below.is_none() {
        if table.has("for_seconds") && !table.has("above") && !table.has("below") {
            table.wrong("for_seconds", "for_seconds without a limit", "add above or below");
        }
        return None;
    }
    Some(Limit { above, below, clear })
}

#[cfg(test)]
mod tests;
