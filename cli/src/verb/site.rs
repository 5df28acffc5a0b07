//! `loadbank site check` and `loadbank site show`: is the site file right, and what does
//! it say?

use std::process::ExitCode;

use formats::DocumentErrors;
use model::Site;

use crate::failure::Failure;
use crate::options::{SiteOptions, SiteVerb};
use crate::{output, site_text};

/// Exit code of a site file with problems.
const INVALID: u8 = 2;

/// Checks or draws a site file. Problems go to standard error, one a line.
///
/// # Errors
/// When standard output is closed.
pub fn run(verb: &SiteVerb) -> Result<ExitCode, Failure> {
    let (SiteVerb::Check(options) | SiteVerb::Show(options)) = verb;
    let site = match formats::site::read(&options.file) {
        Ok(site) => site,
        Err(errors) => return refuse(options, &errors),
    };
    let words = match (verb, options.json) {
        (SiteVerb::Check(_), true) => checked(&site),
        (SiteVerb::Check(_), false) => site_text::counts(&site),
        (SiteVerb::Show(_), true) => shown(&site),
        (SiteVerb::Show(_), false) => site_text::tree(&site),
    };
    output::line(&words)?;
    Ok(ExitCode::SUCCESS)
}

fn refuse(options: &SiteOptions, errors: &DocumentErrors) -> Result<ExitCode, Failure> {
    eprintln!("{errors}");
    if options.json {
        let problem = |error: &formats::DocumentError| {
            serde_json::json!({
                "file": error.file, "line": error.line, "column": error.column,
                "what": error.what, "mend": error.mend,
            })
        };
        let problems: Vec<_> = errors.0.iter().map(problem).collect();
        output::line(&serde_json::json!({ "valid": false, "problems": problems }).to_string())?;
    }
    Ok(ExitCode::from(INVALID))
}

fn checked(site: &Site) -> String {
    let counts: serde_json::Map<String, serde_json::Value> = site_text::kinds(site)
        .into_iter()
        .map(|(kind, count)| (kind.word().to_owned(), count.into()))
        .collect();
    let unrated: Vec<&str> = site_text::unrated(site);
    serde_json::json!({
        "valid": true, "problems": [], "name": site.name(), "nodes": site.nodes().len(),
        "devices": site.devices(), "links": site.links().len(), "domains": counts,
        "unrated": unrated,
    })
    .to_string()
}

fn shown(site: &Site) -> String {
    let domain = |at| {
        let domain = site.domain(at);
        let nodes: Vec<&str> =
            site.members(at).iter().map(|node| site.node(*node).name.as_str()).collect();
        serde_json::json!({
            "kind": domain.kind.word(), "id": domain.id, "within": domain.within,
            "side": domain.side, "rating_kw": domain.rating_kw,
            "continuous": domain.continuous(), "budget_kw": domain.budget_kw(),
            "nodes": formats::hostlist::fold(&nodes), "node_count": nodes.len(),
        })
    };
    let domains: Vec<_> = site.domain_ixs().map(domain).collect();
    serde_json::json!({
        "name": site.name(), "nodes": site.nodes().len(), "devices": site.devices(),
        "links": site.links().len(), "domains": domains,
    })
    .to_string()
}
