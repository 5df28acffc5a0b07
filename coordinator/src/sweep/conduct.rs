//! One sweep from its hour to its record: hook, run, hook.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use model::facts::Baseline;

use super::book::{NotNow, Turn};
use super::{Outcome, Sweep, baseline, hook};
use crate::evidence::{parse_documents, report_of};
use crate::hall::{Admission, Hall};
use crate::store::{Swept, SweptNode};

/// Distance of looks whether the run is over, or its window.
const LOOK: Duration = Duration::from_millis(500);
/// A run that was stopped is over within ramps and judging; afterwards the sweep gives it up.
const JUDGE_PATIENCE: Duration = Duration::from_secs(600);
/// The word while it goes on; found at a start it says that the coordinator died.
pub(crate) const RUNNING: &str = "running";

impl Hall {
    /// Once a second: which sweeps are due.
    pub(crate) fn watch_sweeps(&self) {
        let busy = self.active_run().map(|run| format!("run {run} is active"));
        let turns = self.sweeps().look(Timestamp::now(), busy);
        for turn in turns {
            match turn {
                Turn::Begin { sweep, due, ends } => self.start_sweep(*sweep, due, ends),
                Turn::Not(outcome) => {
                    tracing::warn!(sweep = %outcome.sweep, "{}", outcome.what);
                    self.keep_outcome(outcome);
                }
            }
        }
    }

    /// A person wants a sweep now.
    ///
    /// # Errors
    /// Why it may not begin.
    pub(crate) fn sweep_now(&self, name: &str) -> Result<(), NotNow> {
        if let Some(run) = self.active_run() {
            let why = format!("run {run} is active: wait for it, or `loadbank stop {run}`");
            return Err(NotNow::Busy(why));
        }
        // A statement of its own: the book is not held while the sweep begins.
        let turn = self.sweeps().begin_now(name, Timestamp::now())?;
        if let Turn::Begin { sweep, due, ends } = turn {
            self.start_sweep(*sweep, due, ends);
        }
        Ok(())
    }

    fn start_sweep(&self, sweep: Sweep, due: Timestamp, ends: Option<Timestamp>) {
        let due_ns = due.as_nanosecond() as i64;
        let outcome = |run: &str, what: &str| Outcome {
            sweep: sweep.name.clone(),
            due_ns,
            run: run.to_owned(),
            what: what.to_owned(),
        };
        // Should this process die, the next one knows whose hook is owed.
        self.keep_outcome(outcome("", RUNNING));
        tracing::warn!(sweep = %sweep.name, "sweep begins");
        let hall = self.clone();
        tokio::spawn(async move {
            let ended = conduct(&hall, &sweep, due_ns, ends).await;
            tracing::warn!(sweep = %sweep.name, run = %ended.run, "sweep: {}", ended.what);
            hall.sweeps().end(ended.clone());
            hall.keep_outcome(ended);
        });
    }

    /// Sweeps that an earlier process left in the middle: their hooks are owed.
    pub(crate) fn finish_sweeps(&self, left: Vec<(Sweep, Outcome)>) {
        for (sweep, outcome) in left {
            let hall = self.clone();
            tokio::spawn(async move {
                let mut what = "the coordinator ended in the middle of it".to_owned();
                if let Some(why) = after(&hall, &sweep, &outcome.run, "NOT_JUDGED").await {
                    what += &format!("; {why}");
                }
                let outcome = Outcome { what, ..outcome };
                hall.sweeps().note(outcome.clone());
                hall.keep_outcome(outcome);
            });
        }
    }
}

async fn conduct(hall: &Hall, sweep: &Sweep, due_ns: i64, ends: Option<Timestamp>) -> Outcome {
    let outcome = |run: &str, what: String| Outcome {
        sweep: sweep.name.clone(),
        due_ns,
        run: run.to_owned(),
        what,
    };
    let left_out = match before(hall, sweep).await {
        Ok(left_out) => left_out,
        Err(why) => {
            let also = after(hall, sweep, "", "NOT_RUN").await;
            return outcome("", join(format!("skipped: {why}"), also));
        }
    };
    let run = match submit(hall, sweep, due_ns, left_out).await {
        Ok(run) => run,
        Err(why) => {
            let also = after(hall, sweep, "", "NOT_RUN").await;
            return outcome("", join(format!("refused: {why}"), also));
        }
    };
    hall.keep_outcome(outcome(&run, RUNNING.to_owned()));
    wait(hall, sweep, &run, ends).await;
    let verdict = hall.verdict_of(&run).unwrap_or_else(|| "NOT_JUDGED".to_owned());
    keep_measures(hall, sweep, &run).await;
    let also = after(hall, sweep, &run, &verdict).await;
    outcome(&run, join(verdict, also))
}

/// What the run measured is held against the runs that come.
async fn keep_measures(hall: &Hall, sweep: &Sweep, run: &str) {
    let folder = hall.config.folder_of(run);
    let judged = tokio::task::spawn_blocking(move || report_of(&folder)).await;
    if let Ok(Ok(report)) = judged {
        hall.keep_measures(&sweep.name, run, baseline::Measures::of(&report));
    }
}

fn join(what: String, also: Option<String>) -> String {
    also.map_or(what.clone(), |also| format!("{what}; {also}"))
}

/// Nodes to leave out, with why.
async fn before(hall: &Hall, sweep: &Sweep) -> Result<Vec<(String, String)>, String> {
    if sweep.before.is_empty() {
        return Ok(Vec::new());
    }
    let ended = call(hall, sweep, &sweep.before, &[]).await?;
    match ended.failed {
        None => Ok(hook::skipped(&ended.output)),
        Some(why) => Err(format!("the hook before it failed: {why}")),
    }
}

/// Always runs where `before` may have; why it failed, if it did.
async fn after(hall: &Hall, sweep: &Sweep, run: &str, verdict: &str) -> Option<String> {
    if sweep.after.is_empty() {
        return None;
    }
    let variables = [("LOADBANK_RUN", run), ("LOADBANK_VERDICT", verdict)];
    let ended = call(hall, sweep, &sweep.after, &variables).await;
    let failed = ended.map_or_else(Some, |ended| ended.failed)?;
    tracing::error!(sweep = %sweep.name, "{failed}");
    Some(format!("the hook after it failed: {failed}"))
}

async fn call(
    hall: &Hall,
    sweep: &Sweep,
    name: &str,
    more: &[(&str, &str)],
) -> Result<hook::Ended, String> {
    let program = hook::place(hall.config.sweep_hooks.as_deref(), name)?;
    let nodes = hall.agent_names().join(",");
    let mut variables = vec![("LOADBANK_SWEEP", sweep.name.as_str()), ("LOADBANK_NODES", &nodes)];
    variables.extend_from_slice(more);
    let lasts = Duration::from_secs(u64::from(sweep.hook_seconds));
    Ok(hook::run(&program, &[&sweep.name], &variables, lasts).await)
}

async fn submit(
    hall: &Hall,
    sweep: &Sweep,
    due_ns: i64,
    left_out: Vec<(String, String)>,
) -> Result<String, String> {
    let plan = (sweep.plan_file.as_str(), sweep.plan_toml.as_str());
    let site = (sweep.site_file.as_str(), sweep.site_toml.as_str());
    let (parsed, site_parsed) = parse_documents(plan, site, &sweep.on)?;
    let out = |(node, why): &(String, String)| SweptNode { node: node.clone(), why: why.clone() };
    let swept = left_out.iter().map(out).collect();
    let admission = Admission {
        plan: parsed,
        plan_toml: sweep.plan_toml.clone(),
        site: site_parsed,
        site_toml: sweep.site_toml.clone(),
        on: sweep.on.clone(),
        allow_unrated: sweep.allow_unrated,
        inject: Vec::new(),
        affirmed: sweep.affirmed.clone(),
        who: format!("sweep {} of {}", sweep.name, sweep.who),
        left_out: left_out.into_iter().map(|(node, _)| node).collect::<BTreeSet<_>>(),
        swept: Some(Swept {
            sweep: sweep.name.clone(),
            due_ns,
            left_out: swept,
            baseline: baseline_of(hall, &sweep.name).await,
        }),
    };
    let begun = hall.submit(admission).await.map_err(|error| error.to_string())?;
    Ok(begun.0)
}

async fn baseline_of(hall: &Hall, sweep: &str) -> Option<Baseline> {
    let (hall, sweep) = (hall.clone(), sweep.to_owned());
    let read = move || baseline::baseline(&sweep, &hall.measures_of(&sweep));
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

/// Waits until the run is over; at the window's end it is ramped down.
async fn wait(hall: &Hall, sweep: &Sweep, run: &str, ends: Option<Timestamp>) {
    let mut stopped = None;
    while !hall.status(run).is_none_or(|status| status.ended) {
        tokio::time::sleep(LOOK).await;
        if stopped.is_none() && ends.is_some_and(|ends| Timestamp::now() >= ends) {
            stopped = Some(tokio::time::Instant::now());
            let who = format!("the window {} of sweep {}", sweep.window, sweep.name);
            let _ = hall.stop(run, false, &who);
        }
        // A run that was suspended waits for a person; the sweep does not.
        if stopped.is_some_and(|at| at.elapsed() > JUDGE_PATIENCE) {
            return;
        }
    }
}
