//! The text form: what an operator reads first, in 80 columns.
//!
//! In this order: the verdict and what it holds for, who must act, what was measured, how
//! much took part, what was not measured, where the record lies.

mod coupling;
mod findings;
mod fleet;
mod gates;
mod leaves;
pub(super) mod line;
mod measured;
mod part;
pub(super) mod table;

use model::Source;
use model::plan::Requirement;
use model::report::{Coverage, NotMeasured, Report};

use line::{Page, number};

/// The whole report.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = Page::default();
    header(&mut page, report);
    findings::write(&mut page, &report.findings);
    gates::write(&mut page, &report.gates);
    measured::write(&mut page, &report.measured, of_tables(report));
    coverage(&mut page, &report.coverage, of_tables(report));
    not_measured(&mut page, &report.not_measured);
    if let Some(folder) = &report.run.folder {
        page.blank();
        page.item("RECORD  ", folder);
    }
    page.finish()
}

/// Rows of tables, ours or a rehearsal's: no batches, no agents.
fn of_tables(report: &Report) -> bool {
    report.run.source == Source::Tables.word() || report.run.source == Source::Rehearsal.word()
}

fn header(page: &mut Page, report: &Report) {
    let run = &report.run;
    let what = if run.source == Source::Tables.word() { "TABLES" } else { "RUN" };
    let mut words = vec![format!("{what}  {}", run.id), format!("plan {}", run.plan)];
    words.extend(run.site.as_ref().map(|site| format!("site {site}")));
    words.push(run.seconds.map_or("length unknown".to_owned(), |seconds| format!("{seconds} s")));
    words.push(run.state.clone());
    page.item("", &words.join("  "));
    page.item("VERDICT  ", &verdict(report));
    for reason in &report.reasons {
        page.item("  - ", reason);
    }
}

/// The verdict is always one for something, and never hides that it is no real one.
fn verdict(report: &Report) -> String {
    let requires: Vec<&str> = report.requires.iter().copied().map(Requirement::word).collect();
    let purpose = if requires.is_empty() { "nothing".to_owned() } else { requires.join(", ") };
    let would_be = if report.run.simulated { "WOULD BE " } else { "" };
    let mut line = format!("{would_be}{}  for: {purpose}", report.verdict.word());
    if report.run.simulated {
        line += "  (SIMULATED: accepts no hardware)";
    }
    if report.run.injected {
        line += "  (INJECTED faults: proves the checks, not the hardware)";
    }
    line
}

fn coverage(page: &mut Page, coverage: &Coverage, of_tables: bool) {
    let c = coverage;
    page.blank();
    page.item(
        "COVERAGE  ",
        &format!(
            "nodes {}/{}, devices {}/{}, pairs {}/{}, phases {}/{}",
            c.nodes_reporting,
            c.nodes_planned,
            c.devices_reporting,
            c.devices_planned,
            c.pairs_measured,
            c.pairs_planned,
            c.phases_completed,
            c.phases_planned,
        ),
    );
    if let (Some(least), Some(most)) = (c.load_seconds_least, c.load_seconds_most) {
        let (least, most) = (number(least), number(most));
        page.item("          ", &format!("load {least} s to {most} s a device"));
    }
    let arrived = if of_tables {
        format!("{} rows of samples", c.rows)
    } else {
        let (stored, missing, lost) = (c.batches_stored, c.batches_missing, c.records_lost);
        format!("batches {stored} stored, {missing} missing; records given up {lost}")
    };
    page.item("          ", &arrived);
    let kinds: Vec<String> =
        c.domains.iter().map(|(kind, d)| format!("{kind} {}/{}", d.loaded, d.total)).collect();
    if !kinds.is_empty() {
        let words = format!("domains with a node that reported: {}", kinds.join(", "));
        page.item("          ", &words);
    }
}

fn not_measured(page: &mut Page, lines: &[NotMeasured]) {
    page.blank();
    if lines.is_empty() {
        page.item("NOT MEASURED  ", "nothing is missing");
        return;
    }
    page.item("NOT MEASURED", "");
    let width = lines.iter().map(|line| line.what.chars().count()).max().unwrap_or(0);
    for line in lines {
        page.item(&format!("  {:<width$}  ", line.what), &line.why);
    }
}
