//! The text of a comparison: what is new, what is gone, what drifted most.

use std::collections::BTreeSet;

use analysis::compare::{Comparison, Drift, Side};
use model::finding::Finding;

use super::text::line::{Page, number};
use super::text::table::Table;

/// Ends of the names of figures that one row decides.
const EXTREMES: [&str; 2] = ["_min", "_max"];

/// The whole comparison, in 80 columns.
#[must_use]
pub fn render(comparison: &Comparison) -> String {
    let mut page = Page::default();
    side(&mut page, "OLDER  ", &comparison.older);
    side(&mut page, "NEWER  ", &comparison.newer);
    for caution in &comparison.cautions {
        page.item("  note  ", caution);
    }
    page.blank();
    page.line("FINDINGS");
    findings(&mut page, "  new       ", &comparison.new_findings);
    findings(&mut page, "  gone      ", &comparison.gone_findings);
    findings(&mut page, "  as before ", &comparison.lasting_findings);
    page.blank();
    page.line("DRIFT");
    if comparison.places.is_empty() {
        page.line("  no figure was measured by both");
    }
    let mut shown = |title: &str, of, drifts: &[Drift], once| {
        table(title, of, &told(drifts, once)).write(&mut page);
    };
    shown("the fleet, what moved most first", "figures", &comparison.fleet, false);
    let furthest = "by the figure that lies furthest from the fleet's drift";
    shown(&format!("domains, {furthest}"), "domains, none further", &comparison.domains, true);
    shown(&format!("places, {furthest}"), "places, none further", &comparison.places, true);
    let (older, newer) = (comparison.only_older, comparison.only_newer);
    if older + newer > 0 {
        page.item(
            "  ",
            &format!("figures of only one: {older} of the older, {newer} of the newer"),
        );
    }
    page.finish()
}

/// What people read: middles, no extremes; of a place, where it is told `once`, only the
/// figure that lies furthest. The JSON form has all.
fn told(drifts: &[Drift], once: bool) -> Vec<&Drift> {
    let extreme = |drift: &Drift| EXTREMES.iter().any(|suffix| drift.what.ends_with(suffix));
    let mut seen = BTreeSet::new();
    let mut told: Vec<&Drift> = drifts
        .iter()
        .filter(|drift| !extreme(drift) && (!once || seen.insert(&drift.at)))
        .collect();
    if !once {
        let moved = |drift: &Drift| drift.relative.map_or(0.0, f64::abs);
        told.sort_by(|a, b| moved(b).total_cmp(&moved(a)));
    }
    told
}

fn side(page: &mut Page, label: &str, side: &Side) {
    let run = &side.run;
    let mut words = vec![run.id.clone(), format!("plan {}", run.plan)];
    words.extend(run.started.clone());
    let would_be = if run.simulated { "WOULD BE " } else { "" };
    words.push(format!("{would_be}{}", side.verdict.word()));
    page.item(label, &words.join("  "));
}

fn findings(page: &mut Page, label: &str, findings: &[Finding]) {
    if findings.is_empty() {
        page.item(label, "none");
        return;
    }
    let mut label = label.to_owned();
    for finding in findings {
        let (kind, suspect) = (finding.kind.word(), &finding.suspect);
        let grade = format!("{}, {}", finding.severity.word(), finding.standing.word());
        page.item(&label, &format!("{kind}  {} {}  ({grade})", suspect.kind, suspect.id));
        label = " ".repeat(label.chars().count());
    }
}

fn table(title: &str, of: &'static str, drifts: &[&Drift]) -> Table {
    let percent = |share: Option<f64>| share.map(|share| format!("{:+.1}", share * 100.0));
    let row = |drift: &Drift| {
        let phase = drift.phase.as_deref().map_or(String::new(), |phase| format!(" {phase}"));
        let place =
            if drift.at.kind == "fleet" { String::new() } else { format!("{} ", drift.at.id) };
        let cells = vec![
            Some(number(drift.older)),
            Some(number(drift.newer)),
            percent(drift.relative),
            percent(drift.beside_fleet),
        ];
        (format!("{place}{}{phase}", drift.what), cells)
    };
    let heading = |upper: &str, lower: &str| (upper.to_owned(), lower.to_owned());
    Table {
        title: title.to_owned(),
        columns: vec![
            heading("older", ""),
            heading("newer", ""),
            heading("drift", "%"),
            heading("beside", "fleet %"),
        ],
        rows: drifts.iter().map(|drift| row(drift)).collect(),
        of,
    }
}
