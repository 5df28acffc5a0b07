//! The text of a review: may it run, what can it tell apart, how much must be wrong.

use analysis::review::{
    Alias, ExperimentReview, KindReview, LimitReview, LoadReview, PhaseReview, Review,
};

use super::text::line::{Page, number};
use super::text::table::Table;

/// Names of domains in one line.
const NAMES_SHOWN: usize = 6;

/// The whole review, in 80 columns.
#[must_use]
pub fn render(review: &Review, allow_unrated: bool) -> String {
    let mut page = Page::default();
    let (nodes, devices) = (review.nodes, review.devices);
    let head =
        format!("plan {}  site {}  {nodes} nodes, {devices} devices", review.plan, review.site);
    page.item("REVIEW  ", &head);
    admission(&mut page, review, allow_unrated);
    for warning in &review.warnings {
        page.item("  note  ", warning);
    }
    load(&review.load).write(&mut page);
    groups(&mut page, &review.phases);
    experiments(&mut page, &review.experiments);
    aliases(&mut page, review);
    page.finish()
}

fn admission(page: &mut Page, review: &Review, allow_unrated: bool) {
    let refused = !review.over_budget.is_empty() || !(review.unrated.is_empty() || allow_unrated);
    let words = if refused { "run would refuse this plan" } else { "run would accept this plan" };
    page.item("RATINGS  ", words);
    for line in review.over_budget.iter().chain(&review.unrated) {
        page.item("  - ", line);
    }
}

/// The heaviest loads first.
fn load(load: &[LoadReview]) -> Table {
    let mut rows: Vec<&LoadReview> = load.iter().collect();
    let share = |load: &LoadReview| load.share.unwrap_or(f64::INFINITY);
    rows.sort_by(|a, b| share(b).total_cmp(&share(a)));
    let row = |load: &LoadReview| {
        let percent = load.share.map(|share| format!("{:.0}", share * 100.0));
        let known = load.nodes_unknown < load.nodes;
        let kw = |value: f64| known.then(|| format!("{value:.1}"));
        let cells = vec![
            Some(load.nodes.to_string()),
            kw(load.kw),
            kw(load.kw_alone),
            load.limit_kw.map(|limit| format!("{limit:.1}")),
            percent.filter(|_| known),
            load.ramp_seconds_least.map(number),
        ];
        (format!("{} {}", load.kind, load.id), cells)
    };
    let heading = |upper: &str, lower: &str| (upper.to_owned(), lower.to_owned());
    Table {
        title: "kilowatts at the heaviest phase; alone: with every other feed down".to_owned(),
        columns: vec![
            heading("nodes", ""),
            heading("kW", ""),
            heading("kW", "alone"),
            heading("may", "give"),
            heading("% of it", "alone"),
            heading("s of", "ramp"),
        ],
        rows: rows.into_iter().map(row).collect(),
        of: "domains, none heavier",
    }
}

/// Phases that can show the same are told once.
fn groups(page: &mut Page, phases: &[PhaseReview]) {
    let mut told: Vec<(&[KindReview], Vec<&str>)> = Vec::new();
    for phase in phases.iter().filter(|phase| !phase.kinds.is_empty()) {
        match told.iter_mut().find(|(kinds, _)| *kinds == phase.kinds.as_slice()) {
            Some((_, names)) => names.push(&phase.name),
            None => told.push((&phase.kinds, vec![&phase.name])),
        }
    }
    for (kinds, names) in told {
        page.blank();
        page.item("CAN TEST in ", &names.join(", "));
        kinds_table(kinds).write(page);
        for kind in kinds {
            let mut untested = |why: &str, ids: &[String]| {
                if !ids.is_empty() {
                    page.item("    ", &format!("{} {why}: {}", kind.kind, list(ids)));
                }
            };
            untested("with too few nodes to say where", &kind.too_few);
            untested("with nothing beside it to compare", &kind.nothing_beside);
        }
    }
}

fn kinds_table(kinds: &[KindReview]) -> Table {
    let row = |kind: &KindReview| {
        let mut cells = vec![Some(format!("{}/{}", kind.testable, kind.domains))];
        let effect = kind.detectable.as_ref();
        cells.push(effect.map(|d| format!("{} of {}", d.nodes_in, d.nodes_in + d.nodes_out)));
        cells.push(effect.map(|d| format!("{:.1} K", d.temp_k)));
        for share in [
            effect.map(|d| d.power_percent),
            effect.map(|d| d.clock_percent),
            effect.map(|d| d.r_th_percent),
        ] {
            cells.push(share.map(|percent| format!("{percent:.1} %")));
        }
        (kind.kind.clone(), cells)
    };
    let heading = |upper: &str, lower: &str| (upper.to_owned(), lower.to_owned());
    Table {
        title: "least effect that is found nine times in ten, in the smallest domain".to_owned(),
        columns: vec![
            heading("testable", ""),
            heading("smallest", "nodes"),
            heading("temp", ""),
            heading("power", ""),
            heading("clock", ""),
            heading("R_th", ""),
        ],
        rows: kinds.iter().map(row).collect(),
        of: "kinds",
    }
}

fn experiments(page: &mut Page, experiments: &[ExperimentReview]) {
    for experiment in experiments {
        let ExperimentReview { name, words, steps, rests, seconds, .. } = experiment;
        let seconds = number(*seconds);
        page.blank();
        page.item(
            &format!("EXPERIMENT {name}  "),
            &format!("{words}: {steps} steps under load, {rests} of cooling, {seconds} s"),
        );
        let of = |pick: &dyn Fn(&&LimitReview) -> bool| -> Vec<String> {
            let these = experiment.limits.iter().filter(pick);
            these.map(|kind| format!("{} {}/{}", kind.kind, kind.varied, kind.domains)).collect()
        };
        let (seen, unseen) = (of(&|kind| kind.varied > 0), of(&|kind| kind.varied == 0));
        if !seen.is_empty() {
            page.item("    tells limits of  ", &seen.join(", "));
        }
        if !unseen.is_empty() {
            page.item("    always all of    ", &unseen.join(", "));
        }
        for alias in &experiment.separates {
            let names: Vec<String> =
                alias.iter().map(|member| format!("{} {}", member.kind, member.id)).collect();
            page.item("    separates        ", &names.join(", "));
        }
    }
}

fn aliases(page: &mut Page, review: &Review) {
    page.blank();
    if review.aliases.is_empty() {
        page.item("CAN'T TELL APART  ", "nothing: no two domains hold the same nodes");
        return;
    }
    page.item("CAN'T TELL APART", "");
    for (pattern, aliases) in patterns(&review.aliases) {
        let example: Vec<String> =
            aliases[0].domains.iter().map(|d| format!("{} {}", d.kind, d.id)).collect();
        let times = match aliases.len() {
            1 => String::new(),
            more => format!(" ({more} such sets of {pattern}; this is the first)"),
        };
        page.item("  - ", &format!("{}{times}", example.join(", ")));
        page.item("    to separate  ", &aliases[0].experiment);
    }
}

/// Sets of the same kinds, whose experiment is the same but for the names.
fn patterns(aliases: &[Alias]) -> Vec<(String, Vec<&Alias>)> {
    let mut patterns: Vec<(String, Vec<&Alias>)> = Vec::new();
    for alias in aliases {
        let kinds: Vec<&str> = alias.domains.iter().map(|d| d.kind.as_str()).collect();
        let pattern = kinds.join(", ");
        match patterns
            .iter_mut()
            .find(|(known, those)| *known == pattern && those[0].whole_site == alias.whole_site)
        {
            Some((_, those)) => those.push(alias),
            None => patterns.push((pattern, vec![alias])),
        }
    }
    patterns
}

fn list(ids: &[String]) -> String {
    if ids.len() <= NAMES_SHOWN + 1 {
        return ids.join(", ");
    }
    format!("{} and {} more", ids[..NAMES_SHOWN].join(", "), ids.len() - NAMES_SHOWN)
}
