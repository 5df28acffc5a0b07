//! What the first screen answers: the verdict, which run, findings by who must act.

use maud::{Markup, html};
use model::finding::{Finding, Standing, Verdict};
use model::report::Report;

use crate::report::dossier::Dossier;
use crate::report::words;

pub(super) fn verdict(report: &Report) -> Markup {
    let class = match report.verdict {
        Verdict::Ready => "banner good",
        Verdict::NotReady => "banner bad",
        Verdict::Inconclusive | Verdict::Aborted | Verdict::Interrupted => "banner",
    };
    html! {
        section class=(class) {
            h1 { (words::verdict(report)) }
            div { "for: " strong { (words::purpose(report)) } }
            ul { @for reason in &report.reasons { li { (reason) } } }
        }
    }
}

pub(super) fn identity(dossier: &Dossier) -> Markup {
    let report = &dossier.report;
    let run = &report.run;
    let unknown = || "not known".to_owned();
    let flag = |is: bool, words: &str| if is { words.to_owned() } else { "no".to_owned() };
    let seconds = run.seconds.map_or_else(unknown, |seconds| format!("{seconds} s"));
    let rows = [
        ("Run", run.id.clone()),
        ("Plan", run.plan.clone()),
        ("Site", run.site.clone().unwrap_or_else(|| "none was given".to_owned())),
        ("Started (UTC)", run.started.clone().unwrap_or_else(unknown)),
        ("Length", seconds),
        ("End", run.state.clone()),
        ("Recorded by", run.source.clone()),
        ("Simulated", flag(run.simulated, "YES: accepts no hardware")),
        ("Faults injected", flag(run.injected, "YES: proves the checks, not the hardware")),
        ("loadbank", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    html! {
        section {
            h2 { "Run" }
            table {
                tbody { @for (label, value) in &rows { tr { th scope="row" { (label) } td { (value) } } } }
            }
            h3 { "Coverage" }
            ul { @for line in words::coverage(report) { li { (line) } } }
        }
    }
}

pub(super) fn findings(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Findings, by who must act" }
            @if report.findings.is_empty() { p { "None." } }
            @for (hands, findings) in words::by_hands(report) {
                h3 { "Findings " (hands) }
                @for finding in findings { (card(report, finding)) }
            }
        }
    }
}

fn card(report: &Report, finding: &Finding) -> Markup {
    let class = match finding.standing {
        Standing::Confirmed => "card confirmed",
        Standing::Watch => "card",
    };
    let mut rows = vec![("Who acts", words::hands(finding).to_owned())];
    let size = || "its size was not measured".to_owned();
    rows.push(("Effect", words::effect(finding).unwrap_or_else(size)));
    rows.extend(words::members(finding).map(|members| ("Shown by", members)));
    rows.extend(words::chance(finding).map(|chance| ("Chance", chance)));
    let limit = || "no gate failed at the suspect itself".to_owned();
    rows.push(("Limit", words::limits(report, finding).unwrap_or_else(limit)));
    let none = || "nothing known of".to_owned();
    rows.push(("Cannot exclude", words::rivals(finding).unwrap_or_else(none)));
    rows.push(("Action", finding.action.clone()));
    rows.extend(finding.next_experiment.clone().map(|next| ("Next experiment", next)));
    html! {
        article class=(class) {
            strong { (words::title(finding)) } " (" (words::grade(finding)) ")"
            dl {
                @for (label, value) in &rows { dt { (label) } dd { (value) } }
                dt { "Evidence" }
                dd { @for line in &finding.evidence { div { (line) } } }
            }
        }
    }
}
