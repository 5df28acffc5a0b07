//! A plan by name or by file, checked here so that errors name the operator's own file.

use std::path::Path;

use model::{Plan, Policy, Site};

use crate::failure::Failure;

/// A document's name and text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// The text of a built-in plan, or of a plan file.
///
/// # Errors
/// When there is no such plan or its text is wrong: every problem, a line each.
pub(crate) fn plan(name: &str) -> Result<Document, Failure> {
    let document = match formats::plan::builtin_text(name) {
        Some(text) => Document { file: format!("{name}.toml"), text: text.to_owned() },
        None if Path::new(name).exists() => read(Path::new(name))?,
        None => {
            return Err(Failure::usage(format!(
                "{name}: no such file, and no built-in plan (there are quick and acceptance)"
            )));
        }
    };
    formats::plan::parse(&document.file, &document.text).map_err(Failure::usage)?;
    Ok(document)
}

/// A built-in plan, or one of a file.
///
/// # Errors
/// When there is no such plan or its text is wrong: every problem, a line each.
pub(crate) fn parsed_plan(name: &str) -> Result<Plan, Failure> {
    let document = plan(name)?;
    formats::plan::parse(&document.file, &document.text).map_err(Failure::usage)
}

/// The same with the phases of its experiments on a site.
///
/// # Errors
/// As [`parsed_plan`], and when an experiment does not fit the site.
pub(crate) fn plan_on(name: &str, site: &Site) -> Result<Plan, Failure> {
    let plan = parsed_plan(name)?;
    plan.expanded(Some(site)).map_err(|why| Failure::usage(format!("{name}: {why}")))
}

/// The policy of a file, or the built-in one.
///
/// # Errors
/// When the file can't be read or is wrong: every problem, a line each.
pub(crate) fn policy(path: Option<&Path>) -> Result<Policy, Failure> {
    path.map_or_else(|| Ok(formats::policy::builtin()), formats::policy::read)
        .map_err(Failure::usage)
}

/// The text of a site file.
///
/// # Errors
/// When it can't be read or is wrong.
pub(crate) fn site(path: &Path) -> Result<Document, Failure> {
    let document = read(path)?;
    formats::site::parse(&document.file, &document.text).map_err(Failure::usage)?;
    Ok(document)
}

fn read(path: &Path) -> Result<Document, Failure> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{file}: {e}")))?;
    Ok(Document { file, text })
}
