//! What closes a report: what is left to do, what was not shown, who signs, what was hashed.

use maud::{Markup, html};
use model::report::Report;

use crate::report::words;

pub(super) fn punch_list(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Punch list" }
            @if report.findings.is_empty() { p { "Nothing was found." } }
            @else {
                table {
                    thead { tr {
                        th scope="col" { "Id" } th scope="col" { "Grade" } th scope="col" { "What" }
                        th scope="col" { "Who acts" } th scope="col" { "Action" } th scope="col" { "Due" }
                        th scope="col" { "Done, retest" }
                    } }
                    tbody {
                        @for finding in &report.findings {
                            tr {
                                th scope="row" class="name" { (finding.id) } td class="name" { (words::grade(finding)) }
                                td { (finding.kind.word()) " " (words::name(&finding.suspect)) }
                                td class="name" { (words::hands(finding)) } td { (finding.action) } td {} td {}
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn residual(report: &Report) -> Markup {
    let open = report.findings.iter().filter_map(|finding| {
        let rivals = words::rivals(finding)?;
        let suspect = words::name(&finding.suspect);
        Some((finding.id.clone(), format!("{suspect} is not told apart from {rivals}")))
    });
    let open: Vec<(String, String)> = open.collect();
    html! {
        section {
            h2 { "Residual risk: what this run does not show" }
            @if open.is_empty() && report.not_measured.is_empty() { p { "Nothing is missing." } }
            @else {
                table {
                    thead { tr { th scope="col" { "What" } th scope="col" { "Why" } th scope="col" { "Required" } } }
                    tbody {
                        @for gap in &report.not_measured {
                            tr {
                                th scope="row" { (gap.what) } td { (gap.why) }
                                td { @if gap.needed { strong { "yes" } } @else { "no" } }
                            }
                        }
                        @for (id, words) in &open {
                            tr { th scope="row" { (id) } td { (words) } td { "\u{2013}" } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn signatures() -> Markup {
    html! {
        section {
            h2 { "Signatures" }
            div class="sign" {
                @for role in ["Tested by", "Witnessed by (commissioning authority)", "Accepted by (owner)"] {
                    div { (role) ", date" }
                }
            }
        }
    }
}

pub(super) fn evidence(report: &Report, hash: &str) -> Markup {
    html! {
        section {
            h2 { "Evidence" }
            p { "SHA-256 of the report in its JSON form, as " code { "loadbank report RUN --format json" } " prints it:" }
            p { code { (hash) } }
            p {
                "Judging the same records again gives the same bytes. Record: "
                @match &report.run.folder {
                    Some(folder) => code { (folder) },
                    None => "this report was judged from tables or a rehearsal; no folder was written",
                }
                "."
            }
        }
    }
}
