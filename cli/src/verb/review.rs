//! `loadbank review`: what a plan can show on a site, before anything gets warm.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::options::ReviewOptions;
use crate::{output, plan_source, report};

/// Ends a review of a plan that `run` would refuse, with the code that `run` has for it.
const REFUSED: u8 = 2;

/// Prints the review; exits with 2 when `run` would refuse the plan on this site.
///
/// # Errors
/// When a document can't be read or is wrong, or the plan does not fit the site (2).
pub fn run(options: &ReviewOptions) -> Result<ExitCode, Failure> {
    if options.policy_default {
        output::line(formats::policy::BUILTIN_TEXT)?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = options.site.as_deref().ok_or_else(|| Failure::usage("name a site file"))?;
    let site = formats::site::read(path).map_err(Failure::usage)?;
    let policy = plan_source::policy(options.policy.as_deref())?;
    let plan = plan_source::plan_on(&options.plan, &site)?;
    let review = analysis::review::review(&plan, &site, &policy)
        .map_err(|error| Failure::usage(format!("plan {}: {error}", plan.name)))?;
    let unrated = !review.unrated.is_empty() && !options.allow_unrated;
    let words = match options.json {
        true => serde_json::to_string_pretty(&review).map_err(Failure::infrastructure)?,
        false => report::review::render(&review, options.allow_unrated),
    };
    output::line(&words)?;
    let refused = unrated || !review.over_budget.is_empty();
    Ok(if refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}
