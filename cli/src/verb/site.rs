//! `loadbank site`: is the site file right, what does it say, and what do the building's own
//! records say instead?

use std::path::Path;
use std::process::ExitCode;

use formats::DocumentErrors;
use formats::inventory::Inventory;
use model::Site;

use crate::failure::Failure;
use crate::options::{RecordsOptions, SiteCompareOptions, SiteImportOptions, SiteVerb};
use crate::{output, site_text};

/// Exit code of a site file with problems.
const INVALID: u8 = 2;
/// And of one that differs from what the building records.
const DIFFERS: u8 = 3;

/// Checks or draws a site file. Problems go to standard error, one a line.
///
/// # Errors
/// When standard output is closed.
pub fn run(verb: &SiteVerb) -> Result<ExitCode, Failure> {
    let options = match verb {
        SiteVerb::Check(options) | SiteVerb::Show(options) => options,
        SiteVerb::Import(options) => return import(options),
        SiteVerb::Compare(options) => return compare(options),
    };
    let site = match formats::site::read(&options.file) {
        Ok(site) => site,
        Err(errors) => return refuse(options.json, &errors),
    };
    let words = match (verb, options.json) {
        (SiteVerb::Check(_), true) => checked(&site),
        (SiteVerb::Check(_), false) => site_text::counts(&site),
        (_, true) => shown(&site),
        (_, false) => site_text::tree(&site),
    };
    output::line(&words)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a site file on standard output, and what could not be used on standard error.
fn import(options: &SiteImportOptions) -> Result<ExitCode, Failure> {
    let inventory = inventory(&options.records)?;
    for note in &inventory.notes {
        eprintln!("{note}");
    }
    if inventory.domains.is_empty() && inventory.nodes.is_empty() {
        let roles = options.records.role.join(", ");
        let why = format!("nothing in these records is a domain or a node (roles: {roles})");
        return Err(Failure::usage(why));
    }
    output::line(inventory.site_toml(&options.name).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn compare(options: &SiteCompareOptions) -> Result<ExitCode, Failure> {
    let site = match formats::site::read(&options.file) {
        Ok(site) => site,
        Err(errors) => return refuse(options.json, &errors),
    };
    let inventory = inventory(&options.records)?;
    let differences = inventory.differences(&site);
    let words = match options.json {
        true => {
            serde_json::json!({ "differences": differences, "notes": inventory.notes }).to_string()
        }
        false => {
            for note in &inventory.notes {
                eprintln!("{note}");
            }
            let count = match differences.len() {
                0 => "no difference".to_owned(),
                1 => "1 difference".to_owned(),
                count => format!("{count} differences"),
            };
            [differences.clone(), vec![count]].concat().join("\n")
        }
    };
    output::line(&words)?;
    Ok(ExitCode::from(if differences.is_empty() { 0 } else { DIFFERS }))
}

fn inventory(options: &RecordsOptions) -> Result<Inventory, Failure> {
    let mut inventory = Inventory::default();
    let read = |file: &Path| {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Ok((name, text)),
            Err(why) => Err(Failure::usage(format!("{name}: {why}"))),
        }
    };
    for file in &options.netbox {
        let (name, text) = read(file)?;
        inventory.add_netbox(&name, &text, &options.role).map_err(Failure::usage)?;
    }
    for file in &options.dsx {
        let (name, text) = read(file)?;
        inventory.add_dsx(&name, &text).map_err(Failure::usage)?;
    }
    inventory.finish();
    Ok(inventory)
}

fn refuse(json: bool, errors: &DocumentErrors) -> Result<ExitCode, Failure> {
    eprintln!("{errors}");
    if json {
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
