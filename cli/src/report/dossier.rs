//! A dossier: a report, and what lies under it where it is at hand. Some forms need more
//! than the report says: histograms, curves, the site.

use analysis::Evidence;
use model::{Report, Site};

use crate::failure::Failure;
use crate::options::Format;
use crate::report::{csv, hlog, html, json, junit, markdown, text};

/// What there is to write a report from.
pub struct Dossier {
    pub report: Report,
    /// `None` when the run had none, or a coordinator sent only its report.
    pub site: Option<Site>,
    /// `None` when a coordinator sent only its report.
    pub evidence: Option<Evidence>,
}

impl From<Report> for Dossier {
    fn from(report: Report) -> Self {
        Self { report, site: None, evidence: None }
    }
}

impl Dossier {
    /// The report in a form.
    ///
    /// # Errors
    /// When the form needs records that are not here (2).
    pub fn written(&self, format: Format) -> Result<String, Failure> {
        let report = &self.report;
        match format {
            Format::Text => Ok(text::render(report)),
            Format::Json => json::pretty(report).map_err(Failure::infrastructure),
            Format::Junit => Ok(junit::render(report)),
            Format::Html => html::render(self).map_err(Failure::infrastructure),
            Format::Markdown => Ok(markdown::render(report)),
            Format::Csv => csv::render(report).map_err(Failure::infrastructure),
            Format::Hlog => match &self.evidence {
                Some(evidence) => hlog::render(evidence).map_err(Failure::infrastructure),
                None => Err(Failure::usage(
                    "hlog needs the run's records: print it where the run's folder is, without --coordinator",
                )),
            },
        }
    }

    /// The ticket of one finding.
    ///
    /// # Errors
    /// When the report has no such finding (2).
    pub fn ticket(&self, id: &str) -> Result<String, Failure> {
        let found = self.report.findings.iter().find(|finding| finding.id == id);
        let finding = found.ok_or_else(|| {
            let ids: Vec<&str> = self.report.findings.iter().map(|f| f.id.as_str()).collect();
            let there = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
            Failure::usage(format!("no finding {id} in this report; there is {there}"))
        })?;
        Ok(markdown::ticket(&self.report, finding))
    }
}
