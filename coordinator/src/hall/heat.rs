//! Heat of the active run: whether it is permitted, how far it is released, how high it may
//! go now, and the file that stops it.

use std::collections::{BTreeMap, BTreeSet};

use model::permit::{Permit, Shape};
use model::plan::Plan;
use model::site::Site;
use proto::v1;

use super::active::NcclMember;
use super::agent::{Agent, send};
use super::domains::Domains;
use super::{Active, Hall, Inner, SubmitError};
use crate::budget::{Asked, Descent, Draws, Held, MixTuner, NodeNow, Reading, budgets, check};
use crate::interlock::{Interlocks, of_status};
use crate::permit::{Ask, Permission, refusals, site_edges};
use crate::run::{Event, State, members_of};
use crate::store::{JournalEntry, Planned};

/// Live control steps so often: agents say their watts once a second.
const STEP_NS: i64 = 1_000_000_000;
/// A change of scale is spread over this: no edge of its own.
const OVER_MS: u32 = 1_000;
/// The kernel whose shares are tuned.
const MIX: &str = "mix";
/// The next phase counts as present this long before the present one ends: it is armed then.
const AHEAD_NS: i64 = 4_000_000_000;

/// The heat of a run: who allowed it, and what holds it.
pub(crate) struct Heat {
    pub(crate) held: Held,
    /// What is added up for those who look.
    pub(crate) domains: Domains,
    /// Which readings end it, with the text that they were read from.
    pub(crate) interlocks: Interlocks,
    pub(crate) interlocks_toml: Option<(String, String)>,
    /// How long each node takes to come down.
    descent: Descent,
    /// The permit as it was when the run began.
    permit: Option<Permit>,
    permit_toml: Option<String>,
    affirmed: Vec<String>,
    /// kW of each node at full level.
    draw_kw: BTreeMap<String, f64>,
    /// kW that phases ask for by name instead.
    pub(crate) asked: Asked,
    /// Of each phase, the nodes that the plan selects.
    members: Vec<Vec<String>>,
    /// By model of GPU.
    mixes: BTreeMap<String, MixTuner>,
    /// Time over which a load comes down where nothing limits it, in seconds.
    ramp_s: f64,
}

/// What is asked for, before anything is begun.
pub(crate) struct HeatAsked<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) site: Option<&'a Site>,
    pub(crate) planned: &'a [Planned],
    /// Seconds of the plan that are still to come.
    pub(crate) seconds: f64,
    pub(crate) affirmed: Vec<String>,
    pub(crate) allow_unrated: bool,
}

impl Hall {
    /// Whether a run may heat: stop file, permit, budgets. With warnings.
    ///
    /// # Errors
    /// Every clause and every domain that refuses it, a line each.
    pub(crate) fn allow_heat(
        &self,
        inner: &Inner,
        asked: HeatAsked<'_>,
        now_ns: i64,
    ) -> Result<(Heat, Vec<String>), SubmitError> {
        let refuse = |lines: Vec<String>| SubmitError::Refused(lines.join("\n"));
        self.check_stop_file()?;
        let (permit, permit_toml) =
            self.config.permission.read_with_text().map_err(SubmitError::Refused)?;
        let names: Vec<String> = asked.planned.iter().map(|p| p.node.clone()).collect();
        let members: Vec<Vec<String>> =
            asked.plan.phases.iter().map(|p| members_of(&p.on, asked.site, &names)).collect();
        let mut draws = Draws::default();
        for planned in asked.planned {
            let node = asked.site.and_then(|site| site.node_named(&planned.node));
            let measured_w = inner.peaks.get(&planned.node).copied();
            draws.add(&planned.node, node.and_then(|n| n.max_kw), measured_w, &planned.devices);
        }
        let present = asked.planned.iter().filter(|p| !p.instance.is_empty());
        let present: Vec<String> = present.map(|p| p.node.clone()).collect();
        let loaded: Vec<Vec<String>> =
            asked.plan.phases.iter().map(|p| members_of(&p.on, asked.site, &present)).collect();
        let power = Asked::of(asked.plan, &loaded, asked.planned);
        let (beyond, mut warnings) = power.limits();
        if !beyond.is_empty() {
            return Err(refuse(beyond));
        }
        let earlier = cannot_hold(inner, &power, asked.planned);
        if !earlier.is_empty() {
            return Err(refuse(earlier));
        }
        if let Some(site) = asked.site {
            let rated = check(site, asked.plan, &members, &draws, &power, asked.allow_unrated);
            warnings.extend(rated.map_err(refuse)?);
        }
        let draw_kw = draws.each(self.config.permission == Permission::SmallLoad);
        let descent = Descent::new(asked.site, permit.as_ref(), self.config.ramp, &draw_kw);
        let descent = descent.map_err(refuse)?;
        let (interlocks, interlocks_toml) =
            self.interlocks(inner, asked.site, asked.planned, now_ns).map_err(refuse)?;
        let held = Held::new(
            budgets(asked.site, permit.as_ref(), &names),
            permit.as_ref().is_some_and(Permit::is_staged),
        );
        let heat = Heat {
            interlocks,
            interlocks_toml,
            descent,
            domains: Domains::new(asked.site, &held, asked.planned),
            held,
            permit,
            permit_toml,
            affirmed: asked.affirmed,
            draw_kw,
            asked: power,
            members,
            mixes: BTreeMap::new(),
            ramp_s: self.config.ramp.as_secs_f64(),
        };
        let down_s = f64::from(heat.descent.longest_ms()) / 1e3;
        let end_ns = now_ns + ((asked.seconds + down_s) * 1e9) as i64;
        let ask = heat.ask(asked.plan, asked.site, (now_ns, end_ns));
        let mut refused = site_edges(heat.permit.as_ref(), &ask);
        refused.extend(heat.refused(&ask, None));
        if refused.is_empty() { Ok((heat, warnings)) } else { Err(refuse(refused)) }
    }

    /// Who allowed the heat, for the run's record.
    pub(crate) fn permitted(&self, heat: &Heat, who: &str) -> JournalEntry {
        JournalEntry::Permitted {
            by: self.config.permission.words(),
            issued_by: heat.permit.as_ref().map(|p| p.issued_by.clone()).unwrap_or_default(),
            permit_toml: heat.permit_toml.clone(),
            affirmed: heat.affirmed.clone(),
            who: who.to_owned(),
        }
    }

    /// Nothing begins while the stop file is there.
    fn check_stop_file(&self) -> Result<(), SubmitError> {
        let file = &self.config.stop_file;
        if !is_pressed(file) {
            return Ok(());
        }
        let file = file.display();
        Err(SubmitError::Refused(format!("the stop file {file} is there: remove it first")))
    }

    /// Ramps the active run down when somebody touched the stop file.
    pub(crate) fn watch_stop_file(&self) {
        let file = &self.config.stop_file;
        if self.heats() && is_pressed(file) {
            let who = format!("the stop file {}", file.display());
            tracing::warn!(%who, "stopping");
            let _ = self.stop("", false, &who);
        }
    }

    /// Ramps the active run down when its permit ended, was withdrawn or was tightened.
    pub(crate) fn watch_permit(&self) {
        if !matches!(self.config.permission, Permission::File(_)) || !self.heats() {
            return;
        }
        let now = self.config.permission.read();
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        let Some(active) = &mut inner.active else { return };
        let why = match &now {
            Ok(permit) => {
                let (heat, site) = (&mut active.heat, active.site.as_ref());
                let slow = heat.descent.permit(site, permit.as_ref());
                let ask = heat.ask(&active.plan, site, (now_ns, now_ns));
                heat.refused(&ask, permit.as_ref()).into_iter().chain(slow).next()
            }
            Err(why) => Some(format!("the permit can't be read any more: {why}")),
        };
        if let Some(why) = why {
            let entry = JournalEntry::LimitTripped { why: why.clone() };
            self.writer.journal(&active.run, now_ns, entry);
            self.step(&mut inner, now_ns, Event::LimitTripped { why });
        }
    }

    /// Whether a run is active that nobody stopped yet.
    fn heats(&self) -> bool {
        let inner = self.lock();
        inner.active.as_ref().is_some_and(|active| goes_on(active.machine.state()))
    }

    /// A person lets the load come up to a step, or lowers it.
    ///
    /// # Errors
    /// When the permit does not name the person, or the step is not the next one.
    pub(crate) fn release(
        &self,
        run: &str,
        step: u8,
        who: &str,
        asked_by: &str,
    ) -> Result<String, SubmitError> {
        self.check_stop_file()?;
        let permit = self.config.permission.read().map_err(SubmitError::Refused)?;
        let permit = permit.unwrap_or_default();
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        let active = inner.active.as_mut().filter(|a| run.is_empty() || a.run == run);
        let Some(active) = active.filter(|active| goes_on(active.machine.state())) else {
            let why = "no such run is active: see `loadbank runs`".to_owned();
            return Err(SubmitError::Refused(why));
        };
        let held = &mut active.heat.held;
        if held.released().is_some_and(|now| step > now) {
            may_release(&permit, step, who).map_err(SubmitError::Refused)?;
        }
        let steps: Vec<u8> = permit.releases.iter().map(|release| release.step).collect();
        held.release(step, &steps).map_err(SubmitError::Refused)?;
        held.due_ns = now_ns;
        active.machine.hold_heat(false);
        let run = active.run.clone();
        let (who, asked_by) = (who.to_owned(), asked_by.to_owned());
        self.writer.journal(&run, now_ns, JournalEntry::Released { step, who, asked_by });
        self.control(&mut inner, now_ns);
        Ok(run)
    }

    /// Once a second: what the readings say about how high every node may go.
    pub(crate) fn control(&self, inner: &mut Inner, now_ns: i64) {
        let Inner { agents, active, .. } = inner;
        let Some(run) = active.as_mut().filter(|active| goes_on(active.machine.state())) else {
            return;
        };
        if now_ns < run.heat.held.due_ns {
            return;
        }
        run.heat.held.due_ns = now_ns + STEP_NS;
        let phases = run.phases_now(now_ns);
        let mut nodes = BTreeMap::new();
        for planned in run.planned.iter().filter(|planned| !planned.instance.is_empty()) {
            let power = agents.get(&planned.node).and_then(|agent| agent.power);
            nodes.insert(planned.node.clone(), run.node_now(&planned.node, &phases, power));
        }
        let phase = phases.first().map(|at| run.specs[*at].name.clone()).unwrap_or_default();
        run.heat.descent.measure(&nodes);
        run.machine.set_ramp(i64::from(run.heat.descent.longest_ms()) * 1_000_000);
        let no_rise = run.heat.interlocks.holds();
        let changes = run.heat.held.step(now_ns, &phase, &nodes);
        for entry in changes.entries {
            self.writer.journal(&run.run, now_ns, entry);
        }
        if !changes.nodes.is_empty() && !changes.why.is_empty() {
            run.message.clone_from(&changes.why);
        }
        for entry in run.tune_mix(agents, now_ns, no_rise) {
            self.writer.journal(&run.run, now_ns, entry);
        }
        let changed: BTreeSet<&String> = changes.nodes.iter().map(|(node, _)| node).collect();
        for node in nodes.keys() {
            let Some(agent) = agents.get_mut(node) else { continue };
            let scale = run.heat.held.scale_of(node);
            let mix = run.heat.mix_of(&agent.hello);
            let changed = changed.contains(node);
            let status = agent.status.as_ref().filter(|status| status.run_id == run.run);
            let said = status.and_then(|status| status.scale);
            let held = status.is_some_and(|s| s.no_rise != no_rise || s.mix_per_mille != mix);
            // A message of an earlier session may have been lost with it.
            if changed || held || said.is_some_and(|said| (said - scale).abs() > 1e-6) {
                let (run_id, why) = (run.run.clone(), changes.why.clone());
                let level =
                    v1::Level { run_id, scale, over_ms: OVER_MS, why, no_rise, mix_per_mille: mix };
                send(agent, v1::coordinator_message::Kind::Level(level));
            }
        }
    }

    /// Keeps a status, and its power for control and for budgets of later runs.
    pub(super) fn take_status(
        &self,
        inner: &mut Inner,
        node: &str,
        now_ns: i64,
        status: v1::Status,
    ) {
        let Some(agent) = inner.agents.get_mut(node) else { return };
        let watts = status.power_w.filter(|watts| watts.is_finite() && *watts >= 0.0);
        if let Some(watts) = watts {
            let before = agent.power.map_or(0.0, |power| power.watts);
            agent.power = Some(Reading { at_ns: now_ns, watts, level: status.level });
            // One reading may be a sensor's slip.
            let peak = inner.peaks.entry(node.to_owned()).or_insert(0.0);
            *peak = peak.max(watts.min(before));
        }
        if let Some(active) = inner.active.as_mut().filter(|run| run.run == status.run_id)
            && let (Some(usable), Some(member)) = (status.usable_gpus, active.nccl.get_mut(node))
        {
            // One that fell out is no rank of the next communicator.
            *member = NcclMember::of(&agent.hello, Some(usable));
        }
        let offset_ns = agent.clock.rough_ns();
        // Whose clock is not known yet is taken at its word of a moment ago.
        let heard = of_status(node, &status, offset_ns.unwrap_or_default());
        (agent.status, agent.status_ns) = (Some(status), now_ns);
        self.watch(inner, now_ns, |interlocks| {
            heard.iter().flat_map(|heard| interlocks.hear(now_ns, heard)).collect()
        });
    }

    pub(super) fn keep_peaks(&self, inner: &Inner, active: &Active) {
        let known = active.planned.iter().filter_map(|planned| {
            let watts = *inner.peaks.get(&planned.node)?;
            (watts > 0.0).then(|| (planned.node.clone(), watts))
        });
        self.writer.peaks(&active.run, known.collect());
    }
}

impl Heat {
    /// The interlocks as they were read, for the run's record.
    pub(crate) fn interlocks_entry(&self) -> Option<JournalEntry> {
        let (file, toml) = self.interlocks_toml.clone()?;
        Some(JournalEntry::Interlocks { file, toml })
    }

    /// The next step that the permit has, and who may release it.
    pub(crate) fn next_release(&self) -> Option<(u8, &[String])> {
        let released = self.held.released()?;
        let clauses = self.permit.iter().flat_map(|permit| &permit.releases);
        let next = clauses.filter(|clause| clause.step > released).min_by_key(|c| c.step)?;
        Some((next.step, &next.who))
    }

    /// Time over which a node comes down, in milliseconds.
    pub(crate) fn ramp_ms(&self, node: &str) -> u32 {
        self.descent.ramp_ms(node)
    }

    /// Share of `mix` that a node's GPUs run, per mille; 0 while nothing was begun.
    pub(crate) fn mix_of(&self, hello: &v1::Hello) -> u32 {
        let tuner = gpu_model(hello).and_then(|model| self.mixes.get(model));
        tuner.map_or(0, MixTuner::share)
    }

    /// The plan as permits and the site's limits see it.
    fn ask<'a>(
        &'a self,
        plan: &'a Plan,
        site: Option<&'a Site>,
        (now_ns, end_ns): (i64, i64),
    ) -> Ask<'a> {
        Ask {
            plan,
            site,
            members: &self.members,
            draw_kw: &self.draw_kw,
            asked: &self.asked,
            now_ns,
            end_ns,
            ramp_s: self.ramp_s,
            affirmed: &self.affirmed,
        }
    }

    /// Clauses that refuse a plan: of the permit given, or of its own.
    fn refused(&self, ask: &Ask<'_>, permit: Option<&Permit>) -> Vec<String> {
        permit.or(self.permit.as_ref()).map_or_else(Vec::new, |permit| refusals(permit, ask))
    }
}

impl Active {
    /// Phases whose heat counts now: the present one, the next when it is near, or the first
    /// that waits.
    fn phases_now(&self, now_ns: i64) -> Vec<usize> {
        let coming = self.machine.coming();
        let mut phases = match self.machine.present() {
            Some((present, _, end_ns)) if now_ns + AHEAD_NS < end_ns => vec![present],
            Some((present, ..)) => vec![present, coming],
            None => vec![coming],
        };
        phases.retain(|phase| *phase < self.specs.len());
        phases
    }

    /// A second of the search for the share of `mix` that draws most, where the present phase
    /// holds one level of it. What was found, for the record.
    fn tune_mix(
        &mut self,
        agents: &BTreeMap<String, Agent>,
        now_ns: i64,
        no_rise: bool,
    ) -> Vec<JournalEntry> {
        let Some((at, ..)) = self.machine.present() else { return Vec::new() };
        let (Some(spec), Some(phase)) = (self.specs.get(at), self.plan.phases.get(at)) else {
            return Vec::new();
        };
        let steady = Shape::of(phase).is_some_and(|s| s.low.total_cmp(&s.high).is_eq());
        let mut watts: BTreeMap<&str, (usize, Option<f64>)> = BTreeMap::new();
        for node in spec.members.iter().filter(|node| !self.machine.is_lost(node)) {
            let Some(load) = spec.load_of(node).filter(|load| load.kernel == MIX) else { continue };
            let Some(agent) = agents.get(node) else { continue };
            let Some(model) = gpu_model(&agent.hello) else { continue };
            let moved = load.target_w.is_some() || self.heat.held.scale_of(node) < 1.0;
            let power = agent.power.filter(|_| steady && !no_rise && !moved);
            let fresh = power.filter(|power| now_ns - power.at_ns < 2 * STEP_NS);
            let (nodes, sum) = watts.entry(model).or_insert((0, Some(0.0)));
            *nodes += 1;
            *sum = sum.zip(fresh).map(|(sum, power)| sum + power.watts);
        }
        let mut found = Vec::new();
        for (model, (nodes, watts)) in watts {
            let tuner = self.heat.mixes.entry(model.to_owned()).or_default();
            if tuner.look(now_ns, (at, nodes), watts) {
                let tried = tuner.tried().iter().map(|(share, watts)| (*share, *watts));
                let (model, per_mille) = (model.to_owned(), tuner.share());
                let tried = tried.collect();
                found.push(JournalEntry::Mixed { model, per_mille, tried });
            }
        }
        found
    }

    fn node_now(&self, node: &str, phases: &[usize], reading: Option<Reading>) -> NodeNow {
        let mut now = NodeNow {
            expected_kw: self.heat.draw_kw.get(node).copied().unwrap_or(0.0),
            peak: 0.0,
            kernel: String::new(),
            reading,
            lost: self.machine.is_lost(node),
        };
        for at in phases {
            let spec = &self.specs[*at];
            let Some(load) = spec.load_of(node) else { continue };
            let peak = self.plan.phases.get(*at).and_then(Shape::of).map_or(1.0, |s| s.high);
            if peak > now.peak && spec.has(node) {
                now.peak = peak;
                now.kernel.clone_from(&load.kernel);
            }
        }
        now
    }
}

/// The model of a node's GPUs; none where it has none.
fn gpu_model(hello: &v1::Hello) -> Option<&str> {
    let gpu = hello.devices.iter().find(|device| !device.uuid.is_empty())?;
    Some(&gpu.model)
}

/// Nodes whose agents would not hold watts, but run at full level.
fn cannot_hold(inner: &Inner, power: &Asked, planned: &[Planned]) -> Vec<String> {
    let holds = |node: &str| inner.agents.get(node).is_some_and(|agent| agent.hello.holds_power);
    let earlier = |planned: &&Planned| {
        !planned.instance.is_empty() && power.asks(&planned.node) && !holds(&planned.node)
    };
    let line = |planned: &Planned| {
        let node = &planned.node;
        format!(
            "the agent of {node} is of a release that can't hold watts: update it, or ask for percent"
        )
    };
    planned.iter().filter(earlier).map(line).collect()
}

fn goes_on(state: &State) -> bool {
    matches!(state, State::Preparing { .. } | State::Running)
}

/// A file that can't be looked for counts as there: a stop button fails pressed.
fn is_pressed(file: &std::path::Path) -> bool {
    file.try_exists().unwrap_or(true)
}

fn may_release(permit: &Permit, step: u8, who: &str) -> Result<(), String> {
    let clause = permit.releases.iter().find(|release| release.step == step);
    let Some(clause) = clause else {
        return Err(format!("{}: no [[release]] is for step {step}", permit.at(0)));
    };
    if clause.who.iter().any(|name| name == who) {
        return Ok(());
    }
    let (at, names) = (permit.at(clause.line), clause.who.join(", "));
    Err(format!("{at}: step {step} may be released by {names}, not by {who:?}"))
}
