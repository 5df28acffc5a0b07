//! One `[[phase]]` of a plan.

use std::collections::BTreeMap;

use model::Kernel;
use model::collective::{CollectiveOp, Transport};
use model::experiment::ExperimentKind;
use model::plan::{Phase, PhaseKind, PhaseLoad, Selector, Traffic};
use model::target::PowerTarget;

use super::{check_name, mend_word, selector, shape};
use crate::document::Table;

/// Longest phase: a month. Above the strictest acceptance soak (168 h).
pub(super) const SECONDS_MAX: f64 = 31.0 * 86_400.0;
/// Largest collective: nccl-tests' largest usual size, 16 GiB.
const COLLECTIVE_BYTES_MAX: u64 = 16 << 30;
const COLLECTIVE_BYTES: u64 = 64 << 20;
/// Largest single transfer between a pair: 1 TiB, hours on the slowest link.
const PAIR_BYTES_MAX: u64 = 1 << 40;
const PAIR_BYTES: u64 = 32 << 20;
/// Most parallel connections of one transfer: more only measures the scheduler.
const STREAMS_MAX: u64 = 64;

/// Power of one device: from less than any idles at to far above any on sale (1.4 kW).
const WATTS_LEAST: f64 = 1.0;
const WATTS_MAX: f64 = 10_000.0;
/// Power of a phase: up to a gigawatt.
const KW_LEAST: f64 = 0.001;
const KW_MAX: f64 = 1e6;

const KEYS: [&str; 8] = ["name", "kind", "seconds", "on", "load", "collective", "pairs", "act"];
/// An act is told on a line of a terminal.
const ACT_CHARS_MAX: usize = 200;

/// Reads every phase; `None` for one that has a problem in it.
pub(super) fn all(tables: &[Table<'_, '_>]) -> Vec<Option<Phase>> {
    let mut phases: Vec<_> = tables.iter().map(phase).collect();
    name_all(tables, &mut phases);
    phases
}

/// Names phases without a name after their kind, and reports names given twice.
fn name_all(tables: &[Table<'_, '_>], phases: &mut [Option<Phase>]) {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for (position, table) in tables.iter().enumerate() {
        let Some(name) = table.text("name") else { continue };
        if let Some(first) = taken.insert(name.clone(), position) {
            let what = format!("a second phase named \"{}\"", name.escape_debug());
            table.wrong("name", what, format!("phase {} has that name already", first + 1));
        }
    }
    for phase in phases.iter_mut().flatten().filter(|phase| phase.name.is_empty()) {
        let word = phase.kind.word();
        let numbered = (2..).map(|number| format!("{word}-{number}"));
        let mut names = std::iter::once(word.to_owned()).chain(numbered);
        if let Some(name) = names.find(|name| !taken.contains_key(name)) {
            taken.insert(name.clone(), 0);
            phase.name = name;
        }
    }
}

fn phase(table: &Table<'_, '_>) -> Option<Phase> {
    table.only(&[&KEYS[..], &shape::KEYS].concat());
    let name = table.text("name");
    if let Some(name) = &name {
        check_name(table, name);
    }
    table.need("seconds", "seconds = 60");
    let seconds = table.number("seconds", 0.001..=SECONDS_MAX, "seconds");
    let on = match table.text_at("on") {
        Some(at) => selector::selector(table, &at),
        None => Some(Selector::All),
    };
    table.need("kind", "kind = \"hold\"");
    let word = kind_word(table)?;
    only_keys_of(table, word);
    let without = ["idle", "rtt", "collective", "pairs"];
    let load = (!without.contains(&word)).then(|| load(table));
    let percent = load.and_then(|load| load.percent);
    let target = load.and_then(|load| load.target);
    if target.is_some() {
        no_top_beside_power(table);
    }
    let (kind, percent) = shape::kind(table, word, percent, seconds)?;
    let load = load.map(|load| PhaseLoad { kernel: load.kernel, percent, target });
    let traffic = traffic(table, word);
    let act = act(table);
    let name = name.unwrap_or_default();
    Some(Phase { name, kind, seconds: seconds?, on: on?, load, traffic, act })
}

fn act(table: &Table<'_, '_>) -> Option<String> {
    let act = table.text("act")?;
    let told = !act.trim().is_empty() && !act.chars().any(char::is_control);
    if !told || act.chars().count() > ACT_CHARS_MAX {
        let what = format!("an act is a line of up to {ACT_CHARS_MAX} characters");
        table.wrong("act", what, "say what a person does: act = \"open breaker Q3 of feed A\"");
    }
    Some(act)
}

fn kind_word(table: &Table<'_, '_>) -> Option<&'static str> {
    let at = table.text_at("kind")?;
    let known = PhaseKind::WORDS.into_iter().find(|word| *word == at.value);
    if known.is_none() {
        let what = format!("unknown phase kind \"{}\"", at.value.escape_debug());
        let mut words = PhaseKind::WORDS.to_vec();
        words.extend(ExperimentKind::ALL.map(ExperimentKind::word));
        let mend = mend_word(&at.value, &words);
        table.document.add(&at.span, what, mend);
    }
    known
}

/// Keys that a phase of this kind may not carry, each with its own mend.
fn only_keys_of(table: &Table<'_, '_>, word: &str) {
    let traffic_alone = ["idle", "rtt", "collective", "pairs"];
    let fits = |key: &str, kind: &str| match key {
        "load" => !traffic_alone.contains(&kind),
        "collective" => kind == "collective" || !traffic_alone.contains(&kind),
        "pairs" => kind == "pairs" || !traffic_alone.contains(&kind),
        key => shape::keys_of(kind).contains(&key),
    };
    let of_kinds = ["load", "collective", "pairs"].into_iter().chain(shape::KEYS);
    for key in of_kinds.filter(|key| table.has(key) && !fits(key, word)) {
        let fitting: Vec<_> = PhaseKind::WORDS.into_iter().filter(|kind| fits(key, kind)).collect();
        let what = format!("key \"{key}\" does not belong to a phase of kind \"{word}\"");
        table.wrong(key, what, format!("remove it, or use kind {}", fitting.join(" or ")));
    }
}

/// A load as written: the percentage may come from the kind instead.
#[derive(Clone, Copy)]
struct WrittenLoad {
    kernel: Kernel,
    percent: Option<f64>,
    target: Option<PowerTarget>,
}

/// The load of an experiment's steps: a share of what devices can do, or watts of each.
pub(super) fn whole_load(table: &Table<'_, '_>) -> PhaseLoad {
    if let Some(load) = table.table("load", "load").filter(|load| load.has("kw")) {
        let what = "kw in an experiment, whose steps load different nodes";
        load.wrong("kw", what, "use percent, or watts of each device");
    }
    let load = load(table);
    let percent = load.percent.unwrap_or(100.0);
    PhaseLoad { kernel: load.kernel, percent, target: load.target }
}

fn load(table: &Table<'_, '_>) -> WrittenLoad {
    let mut written = WrittenLoad { kernel: Kernel::Mix, percent: None, target: None };
    let Some(load) = table.table("load", "load") else { return written };
    load.only(&["kernel", "percent", "watts", "kw"]);
    written.percent = load.number("percent", 0.0..=100.0, "percent");
    written.target = target(&load);
    if let Some(at) = load.text_at("kernel") {
        let words = Kernel::ALL.map(Kernel::word);
        match Kernel::from_word(&at.value) {
            Some(kernel) => written.kernel = kernel,
            None => {
                let what = format!("unknown kernel \"{}\"", at.value.escape_debug());
                load.document.add(&at.span, what, mend_word(&at.value, &words));
            }
        }
    }
    written
}

/// Power asked for instead of a percentage: one of the three.
fn target(load: &Table<'_, '_>) -> Option<PowerTarget> {
    let given: Vec<&str> =
        ["watts", "kw", "percent"].into_iter().filter(|key| load.has(key)).collect();
    if let [first, second, ..] = given[..] {
        let what = format!("both {first} and {second} in one load");
        load.wrong(second, what, "keep one of percent, watts (of each device) and kw (of all)");
    }
    let watts = load.number("watts", WATTS_LEAST..=WATTS_MAX, "watts");
    let kw = load.number("kw", KW_LEAST..=KW_MAX, "kW");
    watts.map(PowerTarget::Watts).or(kw.map(PowerTarget::Kw))
}

/// The highest level of a phase with watts or kw is what draws them: no percentage says it.
fn no_top_beside_power(table: &Table<'_, '_>) {
    for key in ["to_percent", "high_percent"].into_iter().filter(|key| table.has(key)) {
        let what = format!("{key} beside a load of watts or kw");
        table.wrong(key, what, "remove it: the watts are the highest level of the phase");
    }
}

fn traffic(table: &Table<'_, '_>, word: &str) -> Option<Traffic> {
    let collective = table.table("collective", "collective").map(|table| collective(&table));
    let pairs = table.table("pairs", "pairs").map(|table| pairs(&table));
    if collective.is_some() && pairs.is_some() {
        let what = "both collective and pairs in one phase";
        table.wrong("pairs", what, "keep one of the two, or write two phases");
    }
    let alone = match word {
        "collective" => {
            let (op, bytes) = (CollectiveOp::AllReduce, COLLECTIVE_BYTES);
            Some(Traffic::Collective { op, bytes, over: None })
        }
        "pairs" => {
            Some(Traffic::Pairs { bytes: PAIR_BYTES, streams: 1, both_ways: false, quiet: false })
        }
        _ => None,
    };
    collective.or(pairs).or(alone)
}

fn collective(table: &Table<'_, '_>) -> Traffic {
    table.only(&["op", "bytes", "over"]);
    let op = operation(table).unwrap_or(CollectiveOp::AllReduce);
    let over = transport(table);
    if op != CollectiveOp::AllReduce && over == Some(Transport::Tcp) {
        let what = format!("{} does not run over tcp yet", op.word());
        table.wrong("over", what, "use over = \"nccl\", or op = \"all_reduce\"");
    }
    let bytes = table.whole("bytes", 4..=COLLECTIVE_BYTES_MAX).unwrap_or(COLLECTIVE_BYTES);
    if !bytes.is_multiple_of(4) {
        let what = format!("bytes = {bytes} is not a multiple of 4");
        let mend = format!("elements have 4 bytes: use {}", bytes / 4 * 4);
        table.wrong("bytes", what, mend);
    }
    Traffic::Collective { op, bytes, over }
}

fn operation(table: &Table<'_, '_>) -> Option<CollectiveOp> {
    let at = table.text_at("op")?;
    let op = CollectiveOp::from_word(&at.value);
    if op.is_none() {
        let what = format!("unknown collective op \"{}\"", at.value.escape_debug());
        let words = CollectiveOp::ALL.map(CollectiveOp::word);
        table.document.add(&at.span, what, mend_word(&at.value, &words));
    }
    op
}

fn transport(table: &Table<'_, '_>) -> Option<Transport> {
    let at = table.text_at("over")?;
    let over = Transport::from_word(&at.value);
    if over.is_none() && at.value != "auto" {
        let what = format!("unknown transport \"{}\"", at.value.escape_debug());
        table.document.add(&at.span, what, mend_word(&at.value, &["auto", "tcp", "nccl"]));
    }
    over
}

fn pairs(table: &Table<'_, '_>) -> Traffic {
    table.only(&["bytes", "streams", "both_ways", "quiet"]);
    let streams = table.whole("streams", 1..=STREAMS_MAX).unwrap_or(1);
    Traffic::Pairs {
        bytes: table.whole("bytes", 1..=PAIR_BYTES_MAX).unwrap_or(PAIR_BYTES),
        streams: u32::try_from(streams).unwrap_or(1),
        both_ways: table.flag("both_ways").unwrap_or(false),
        quiet: table.flag("quiet").unwrap_or(false),
    }
}
