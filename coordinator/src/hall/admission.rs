//! Admission: which run may begin, over which nodes, within which ratings.

use std::collections::BTreeSet;

use model::plan::{Plan, Selector};
use model::site::Site;
use proto::v1;
use tokio::sync::oneshot;

use super::agent::send;
use super::heat::HeatAsked;
use super::{Active, Hall, Inner};
use crate::run::{RunMachine, ask_power, members_of, phase_specs, unknown_domain};
use crate::store::{
    Durable, ExpandedPhase, JournalEntry, Notice, Planned, PlannedDevice, RunRow, Swept, Weight,
};

/// A run that was asked for and checked as far as its documents go.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub plan: Plan,
    pub plan_toml: String,
    pub site: Option<Site>,
    pub site_toml: String,
    /// Selector as typed; empty keeps the plan's own.
    pub on: String,
    pub allow_unrated: bool,
    pub inject: Vec<String>,
    /// Conditions of the permit that the operator affirms.
    pub affirmed: Vec<String>,
    /// Who asks.
    pub who: String,
    /// Nodes that take no part, and are not missed.
    pub left_out: BTreeSet<String>,
    /// The sweep that begins it.
    pub swept: Option<Swept>,
}

/// Where a resumed run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resumed {
    pub run: String,
    pub phase: usize,
    pub name: String,
}

/// Why a run was not begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("run {0} is active: wait for it, or `loadbank stop {0}`")]
    Busy(String),
    #[error("no agent is connected that the plan selects: start loadbank-agent on the nodes first")]
    NoAgents,
    #[error("{0}")]
    Refused(String),
    #[error("the run could not be recorded: {0}")]
    Store(String),
}

impl Hall {
    /// Begins a run, or says why not. Nothing heats before its record is durable.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub(crate) async fn submit(
        &self,
        admission: Admission,
    ) -> Result<(String, Vec<String>), SubmitError> {
        let now_ns = self.clock.now_ns();
        let (active, created, warnings, turn) = {
            let mut inner = self.lock();
            let (who, swept) = (admission.who.clone(), admission.swept.clone());
            let (active, created, warnings) = self.compose(&inner, admission, now_ns)?;
            let permitted = self.permitted(&active.heat, &who);
            let failed =
                RunRow { state: "failed".to_owned(), ended_ns: now_ns, ..active.row(&self.config) };
            let turn = Turn::take(self, &mut inner, failed)?;
            let interlocks = active.heat.interlocks_entry();
            let swept = swept.map(JournalEntry::Swept);
            let entries =
                [Some(created), expanded(&active.plan), Some(permitted), interlocks, swept];
            (active, entries, warnings, turn)
        };
        let run = active.run.clone();
        for entry in created.into_iter().flatten() {
            stored(self.writer.journal_durable(&run, now_ns, entry)).await?;
        }
        for words in &warnings {
            let (weight, words) = (Weight::Warning, words.clone());
            self.writer.notices.add(&run, Notice { at_ns: now_ns, weight, words });
        }
        self.begin(active, turn).await?;
        Ok((run, warnings))
    }

    /// Makes a composed run the active one, once its line in the catalogue is durable: by
    /// that line a coordinator that is started again knows what it must suspend.
    async fn begin(&self, mut active: Active, mut turn: Turn<'_>) -> Result<(), SubmitError> {
        turn.written = true;
        let durable = self.put_durably(&mut self.lock(), active.row(&self.config));
        stored(durable).await?;
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        turn.used = true;
        inner.starting = None;
        active.machine.hold_heat(active.heat.held.waits());
        let actions = inner.active.insert(active).machine.begin(now_ns);
        self.begin_watching(&mut inner, now_ns);
        self.begin_metering(&inner, now_ns);
        // Before the first phase is armed: it is armed with its scale.
        self.control(&mut inner, now_ns);
        for action in actions {
            self.act(&mut inner, now_ns, action);
        }
        Ok(())
    }

    fn compose(
        &self,
        inner: &Inner,
        admission: Admission,
        now_ns: i64,
    ) -> Result<(Active, JournalEntry, Vec<String>), SubmitError> {
        let Admission {
            plan,
            plan_toml,
            site,
            site_toml,
            on,
            allow_unrated,
            inject,
            affirmed,
            left_out,
            ..
        } = admission;
        check_domains(&plan, site.as_ref())?;
        let mut planned = planned_nodes(inner, &plan, site.as_ref());
        planned.retain(|planned| !left_out.contains(&planned.node));
        let (present, mut warnings) = present_of(&planned)?;
        let asked = HeatAsked {
            plan: &plan,
            site: site.as_ref(),
            planned: &planned,
            seconds: plan.seconds(),
            affirmed,
            allow_unrated,
        };
        let (heat, unrated) = self.allow_heat(inner, asked, now_ns)?;
        warnings.extend(unrated);
        let injections =
            inject.iter().map(|text| parse_injection(text)).collect::<Result<_, _>>()?;
        let run = run_id(&plan.name, now_ns);
        let created = JournalEntry::Created {
            run: run.clone(),
            plan_name: plan.name.clone(),
            plan_toml,
            site_name: site.as_ref().map(|site| site.name().to_owned()),
            site_toml: site.as_ref().map(|_| site_toml),
            nodes: planned.clone(),
            inject,
            allow_unrated,
            on,
        };
        let site_name = site.as_ref().map(|site| site.name().to_owned());
        let mut specs = phase_specs(&plan, site.as_ref(), &present)
            .map_err(|lines| SubmitError::Refused(lines.join("\n")))?;
        ask_power(&mut specs, &heat.asked);
        let machine = self.machine(&specs, &present, 0);
        let active = Active {
            run,
            plan,
            site_name,
            specs,
            machine,
            planned,
            token: token(),
            lease: lease_id(),
            injections,
            data_addresses: std::collections::BTreeMap::new(),
            nccl: std::collections::BTreeMap::new(),
            nccl_id: (0, Vec::new()),
            started_ns: now_ns,
            message: String::new(),
            marked: BTreeSet::new(),
            clocks: Vec::new(),
            site,
            heat,
            meters: super::Recorded::default(),
        };
        Ok((active, created, warnings))
    }

    pub(crate) fn machine(
        &self,
        specs: &[crate::run::PhaseSpec],
        nodes: &[String],
        first_phase: usize,
    ) -> RunMachine {
        let ramp_ns = self.config.ramp.as_nanos() as i64;
        let lease_ns = self.config.lease.as_nanos() as i64;
        RunMachine::new(specs.to_vec(), nodes, first_phase, ramp_ns, lease_ns)
    }

    /// The planned nodes of a run as they are now.
    pub(crate) fn replan(&self, before: &[Planned]) -> Vec<Planned> {
        let inner = self.lock();
        before.iter().map(|p| planned(&inner, p.node.clone())).collect()
    }

    /// Ends a suspended run's wait: heat returns because a person said so.
    ///
    /// # Errors
    /// When the run is not suspended, cannot be read, or no node of it is here.
    pub(crate) async fn resume(&self, run: &str, who: &str) -> Result<Resumed, SubmitError> {
        let row = self.suspended_row(run)?;
        let turn = Turn::take(self, &mut self.lock(), row.clone())?;
        let (mut active, phase) = crate::recovery::rebuild(self, &row)?;
        active.started_ns = row.started_ns;
        let name = active.specs.get(phase).map(|spec| spec.name.clone()).unwrap_or_default();
        let entry = JournalEntry::Resumed { who: who.to_owned(), phase };
        stored(self.writer.journal_durable(&row.run, self.clock.now_ns(), entry)).await?;
        if let Some(entry) = active.heat.interlocks_entry() {
            self.writer.journal(&row.run, self.clock.now_ns(), entry);
        }
        self.begin(active, turn).await?;
        Ok(Resumed { run: row.run, phase, name })
    }

    fn suspended_row(&self, run: &str) -> Result<RunRow, SubmitError> {
        let rows = self.runs();
        rows.into_iter()
            .rev()
            .find(|row| row.state == "suspended" && (run.is_empty() || row.run == run))
            .ok_or_else(|| {
                SubmitError::Refused("no such suspended run: see `loadbank runs`".to_owned())
            })
    }

    /// Stops the active run, or ends the wait of a suspended one. Returns run and state.
    ///
    /// # Errors
    /// When no such run is active or suspended.
    pub(crate) fn stop(
        &self,
        run: &str,
        drop: bool,
        who: &str,
    ) -> Result<(String, String), SubmitError> {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        if let Some(active) = &inner.active
            && (run.is_empty() || active.run == run)
        {
            let run = active.run.clone();
            let entry = JournalEntry::StopAsked { who: who.to_owned(), drop };
            self.writer.journal(&run, now_ns, entry);
            self.step(
                &mut inner,
                now_ns,
                crate::run::Event::StopAsked { drop, who: who.to_owned() },
            );
            return Ok((run, "stopping".to_owned()));
        }
        std::mem::drop(inner);
        let row = self.suspended_row(run).map_err(|_| {
            SubmitError::Refused("no such run is active: see `loadbank runs`".to_owned())
        })?;
        let asked = JournalEntry::StopAsked { who: who.to_owned(), drop };
        self.writer.journal(&row.run, now_ns, asked);
        let entry = JournalEntry::Ended { how: "stopped".to_owned(), why: who.to_owned() };
        self.writer.journal(&row.run, now_ns, entry);
        let ended = RunRow { state: "stopped".to_owned(), ended_ns: now_ns, ..row };
        let mut inner = self.lock();
        self.put(&mut inner, ended.clone());
        // Its agents kept recording, in case that it would be resumed; those whose lease is
        // not lost yet still heat. A Finish ramps as their lease says; a drop must be said.
        let ramp_ms = 0;
        let (run_id, why) = (ended.run.clone(), format!("stopped by {who}"));
        let stop = v1::Stop { run_id: run_id.clone(), drop, ramp_ms, why };
        for agent in inner.agents.values_mut() {
            if drop {
                send(agent, v1::coordinator_message::Kind::Stop(stop.clone()));
            }
            let finish = v1::Finish { run_id: run_id.clone() };
            send(agent, v1::coordinator_message::Kind::Finish(finish));
        }
        let _ = self.judging.send(ended.run.clone());
        Ok((ended.run, ended.state))
    }
}

/// A mark is a line that a person types.
const MARK_CHARS_MAX: usize = 200;

impl Hall {
    /// Records in the active run what a person saw at an instant; the run.
    ///
    /// # Errors
    /// When no such run is active, or the text is none.
    pub(crate) fn mark(
        &self,
        run: &str,
        at_ns: i64,
        who: &str,
        text: &str,
    ) -> Result<String, SubmitError> {
        let usual = !text.trim().is_empty() && !text.chars().any(char::is_control);
        if !usual || text.chars().count() > MARK_CHARS_MAX {
            let why = format!("a mark is a line of up to {MARK_CHARS_MAX} characters");
            return Err(SubmitError::Refused(why));
        }
        let mut inner = self.lock();
        let active = inner.active.as_mut().filter(|a| run.is_empty() || a.run == run);
        let Some(active) = active else {
            let why = "no such run is active: see `loadbank runs`".to_owned();
            return Err(SubmitError::Refused(why));
        };
        let phase = active.machine.present().map(|(index, ..)| index);
        active.marked.extend(phase);
        let phase = phase.map(|index| active.specs[index].name.clone()).unwrap_or_default();
        let entry = JournalEntry::Mark { who: who.to_owned(), text: text.to_owned(), phase };
        self.writer.journal(&active.run, at_ns, entry);
        Ok(active.run.clone())
    }
}

/// The right to begin the next run, held while its record becomes durable. Whoever asked
/// may be gone before that: then the right is given back, and the run's line with it.
struct Turn<'a> {
    hall: &'a Hall,
    /// The run's line if it does not begin.
    otherwise: RunRow,
    /// The line says already that it runs.
    written: bool,
    used: bool,
}

impl<'a> Turn<'a> {
    fn take(hall: &'a Hall, inner: &mut Inner, otherwise: RunRow) -> Result<Self, SubmitError> {
        let active = inner.active.as_ref().map(|active| active.run.clone());
        if let Some(other) = active.or_else(|| inner.starting.clone()) {
            return Err(SubmitError::Busy(other));
        }
        inner.starting = Some(otherwise.run.clone());
        Ok(Self { hall, otherwise, written: false, used: false })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.used {
            return;
        }
        let mut inner = self.hall.lock();
        inner.starting = None;
        if self.written {
            self.hall.put(&mut inner, self.otherwise.clone());
            let _ = self.hall.judging.send(self.otherwise.run.clone());
        }
    }
}

async fn stored(durable: oneshot::Receiver<Durable>) -> Result<(), SubmitError> {
    durable
        .await
        .map_err(|_| SubmitError::Store("the store is closed".to_owned()))?
        .map_err(|error| SubmitError::Store(error.to_string()))
}

/// What the plan's experiments became on the site.
fn expanded(plan: &Plan) -> Option<JournalEntry> {
    let phases = ExpandedPhase::all(plan);
    (!phases.is_empty()).then_some(JournalEntry::Expanded { phases })
}

/// Refuses selectors of domains that the site does not have.
fn check_domains(plan: &Plan, site: Option<&Site>) -> Result<(), SubmitError> {
    let unknown = plan.phases.iter().filter_map(|phase| {
        let why = unknown_domain(&phase.on, site)?;
        Some(format!("phase {}: {why}", phase.name))
    });
    let unknown: Vec<String> = unknown.collect();
    if unknown.is_empty() { Ok(()) } else { Err(SubmitError::Refused(unknown.join("\n"))) }
}

/// Planned nodes that are connected, and a warning for each that is not.
fn present_of(planned: &[Planned]) -> Result<(Vec<String>, Vec<String>), SubmitError> {
    let (present, absent): (Vec<&Planned>, _) =
        planned.iter().partition(|planned| !planned.instance.is_empty());
    if present.is_empty() {
        return Err(SubmitError::NoAgents);
    }
    let warn = |absent: &Planned| format!("{} is in the plan and not connected", absent.node);
    let present = present.into_iter().map(|planned| planned.node.clone()).collect();
    Ok((present, absent.into_iter().map(warn).collect()))
}

/// The nodes of the run: those of the site that any phase selects, or every agent here.
/// A node without an instance is planned and absent.
fn planned_nodes(inner: &Inner, plan: &Plan, site: Option<&Site>) -> Vec<Planned> {
    let known: Vec<String> = match site {
        Some(site) => site.nodes().iter().map(|node| node.name.clone()).collect(),
        None => inner
            .agents
            .iter()
            .filter(|(_, agent)| agent.outbox.is_some())
            .map(|(node, _)| node.clone())
            .collect(),
    };
    let mut names: BTreeSet<String> = BTreeSet::new();
    for phase in &plan.phases {
        names.extend(members_of(&phase.on, site, &known));
        if let (Selector::Nodes(listed), None) = (&phase.on, site) {
            names.extend(listed.iter().cloned());
        }
    }
    names.into_iter().map(|node| planned(inner, node)).collect()
}

fn planned(inner: &Inner, node: String) -> Planned {
    let here = inner.agents.get(&node).filter(|agent| agent.outbox.is_some());
    let device = |device: &v1::Device| PlannedDevice {
        index: device.index,
        kind: device.kind.clone(),
        model: device.model.clone(),
        cores: device.cores.clone(),
        power_limit_mw: device.power_limit_mw,
    };
    let missing = |sensor: &v1::MissingSensor| {
        let why = proto::convert::absence_from_wire(sensor.why);
        (sensor.what.clone(), why.words().to_owned())
    };
    match here {
        Some(agent) => Planned {
            node,
            instance: agent.hello.instance.clone(),
            boot_id: agent.hello.boot_id.clone(),
            devices: agent.hello.devices.iter().map(device).collect(),
            missing: agent.hello.missing.iter().map(missing).collect(),
        },
        None => Planned {
            node,
            instance: String::new(),
            boot_id: String::new(),
            devices: Vec::new(),
            missing: Vec::new(),
        },
    }
}

/// `node/device/core@blocks`, the hidden injection switch; `@always` corrupts every block.
fn parse_injection(text: &str) -> Result<v1::Injection, SubmitError> {
    let parse = || {
        let (place, after) = text.rsplit_once('@')?;
        let mut parts = place.rsplitn(3, '/');
        let core = parts.next()?.parse().ok()?;
        let device = parts.next()?.parse().ok()?;
        let node = parts.next()?.to_owned();
        let always = after == "always";
        let after_blocks = if always { 0 } else { after.parse().ok()? };
        Some(v1::Injection { node, device, core, after_blocks, always })
    };
    parse().ok_or_else(|| {
        SubmitError::Refused(format!("injection {text:?}: it is written NODE/DEVICE/CORE@BLOCKS"))
    })
}

/// Sortable by time, readable, unique.
fn run_id(plan: &str, now_ns: i64) -> String {
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(now_ns)).unwrap_or_default();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let plan: String = plan.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("{}-{plan}-{}", stamp.strftime("%Y%m%dT%H%M%SZ"), &unique[..4])
}

pub(crate) fn lease_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

pub(crate) fn token() -> Vec<u8> {
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    [a.as_bytes().as_slice(), b.as_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_injection_names_node_device_core_and_block() {
        let injection = parse_injection("gpu/1/0/3@200").unwrap();
        let expected = v1::Injection {
            node: "gpu/1".into(),
            device: 0,
            core: 3,
            after_blocks: 200,
            always: false,
        };
        assert_eq!(injection, expected);
        let always = v1::Injection { after_blocks: 0, always: true, ..expected };
        assert_eq!(parse_injection("gpu/1/0/3@always").unwrap(), always);
        assert!(parse_injection("gpu1@3").is_err());
        assert!(parse_injection("gpu/1/0/3@ever").is_err());
    }

    #[test]
    fn run_ids_sort_by_time_and_name_the_plan() {
        let (early, late) = (run_id("quick", 1_000_000_000), run_id("quick", 3_000_000_000));
        assert!(early < late && early.contains("-quick-"), "{early} {late}");
    }
}
