//! The HTML form: one file for a browser and for paper. No script, no network, no font of
//! others: what it shows is in it.
//!
//! What is not in the record is said to be not measured. `maud` escapes every text.

mod charts;
mod close;
mod course;
mod fabric;
mod floor;
mod opening;
mod spread;
mod svg;
mod tables;

use maud::{DOCTYPE, PreEscaped, html};

use super::dossier::Dossier;
use super::{json, words};

/// Light and dark alike: greys of the reader's own scheme, and three colours that differ in
/// brightness as well. Every colour stands beside a word or a mark.
const STYLE: &str = include_str!("style.css");

/// The page.
///
/// # Errors
/// Never in practice: a report holds nothing that JSON can't say.
pub fn render(dossier: &Dossier) -> serde_json::Result<String> {
    let report = &dossier.report;
    let hash = sha256(json::pretty(report)?.as_bytes());
    let title = format!("{}: {}", report.run.id, words::verdict(report));
    let warnings = words::warnings(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                // Written out, with their slashes, so that the page is XML as well.
                (PreEscaped("<meta charset=\"utf-8\"/>"))
                (PreEscaped("<meta name=\"viewport\" content=\"width=device-width\"/>"))
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                // The head of a table is what every browser prints on each page.
                table class="sheet" role="presentation" {
                    @if !warnings.is_empty() {
                        thead { tr { td {
                            div class="flag" role="note" { (warnings.join(" \u{b7} ")) }
                        } } }
                    }
                    tbody { tr { td { main {
                            (opening::verdict(report))
                            (opening::identity(dossier))
                            (opening::findings(report))
                            (floor::map(dossier))
                            (charts::power_and_temperature(dossier))
                            (spread::distributions(dossier))
                            (fabric::matrix(dossier))
                            (fabric::latencies(dossier))
                            (tables::gates(report))
                            (tables::releases(dossier))
                            (tables::design_load(dossier))
                            (tables::meters(dossier))
                            (close::punch_list(report))
                            (close::residual(report))
                            (close::signatures())
                            (close::evidence(report, &hash))
                    } } } }
                }
            }
        }
    };
    // A reader of XML takes no control characters, and none means anything here.
    let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    Ok(page.into_string().chars().map(plain).collect::<String>() + "\n")
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
