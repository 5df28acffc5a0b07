//! What the operator's screen shows: agents, runs, the progress of one run.

use std::collections::BTreeSet;

use model::site::{DomainKind, Site};
use proto::v1;

use super::{Active, Hall, Inner};
use crate::run::State;
use crate::store::RunRow;

/// Clock event reasons by which hardware holds a device back: slowdown, by heat, by the power
/// brake (NVML's HwSlowdown, HwThermalSlowdown, HwPowerBrakeSlowdown).
const HELD_BACK: u64 = 0x08 | 0x40 | 0x80;

impl Hall {
    /// Agents that are connected and whose clocks are known.
    pub(crate) fn agents_there(&self) -> usize {
        let there = |agent: &&super::Agent| {
            agent.clock.is_known() && agent.outbox.as_ref().is_some_and(|out| !out.is_closed())
        };
        self.lock().agents.values().filter(there).count()
    }

    /// Every agent that is or was here.
    #[must_use]
    pub(crate) fn agents(&self) -> v1::AgentsReply {
        let now_ns = self.clock.now_ns();
        let inner = self.lock();
        let planned: BTreeSet<&str> = inner
            .active
            .iter()
            .flat_map(|active| active.planned.iter().map(|planned| planned.node.as_str()))
            .collect();
        let entry = |agent: &super::Agent| {
            let offset = agent.clock.at(now_ns);
            let active = inner.active.as_ref();
            let run_id = active
                .filter(|_| planned.contains(agent.hello.node.as_str()))
                .map(|active| active.run.clone())
                .unwrap_or_default();
            v1::AgentEntry {
                node: agent.hello.node.clone(),
                instance: agent.hello.instance.clone(),
                boot_id: agent.hello.boot_id.clone(),
                agent_version: agent.hello.agent_version.clone(),
                connected: agent.outbox.is_some(),
                last_seen_s: (now_ns - agent.last_seen_ns) as f64 / 1e9,
                devices: agent.hello.devices.len() as u32,
                device_model: agent
                    .hello
                    .devices
                    .first()
                    .map(|d| d.model.clone())
                    .unwrap_or_default(),
                offset_us: offset.map(|o| o.offset_ns as f64 / 1e3),
                offset_error_us: offset.map(|o| o.error_ns as f64 / 1e3),
                run_id,
            }
        };
        let agents = inner.agents.values().map(entry).collect();
        v1::AgentsReply { agents, refused: self.refusals.counts().collect() }
    }

    /// The status of a run; of the active or else the last one when none is named.
    #[must_use]
    pub(crate) fn status(&self, run: &str) -> Option<v1::RunStatus> {
        let now_ns = self.clock.now_ns();
        let inner = self.lock();
        if let Some(active) = &inner.active
            && (run.is_empty() || active.run == run)
        {
            let mut status = active_status(&inner, active, now_ns, &self.config);
            drop(inner);
            status.notices = self.notices(&status.run_id);
            return Some(status);
        }
        let row =
            if run.is_empty() { inner.runs_by_age().pop() } else { inner.runs.get(run).cloned() };
        let mut status = row.map(|row| row_status(&row))?;
        status.tripped = inner.interlocks.tripped().map(str::to_owned).collect();
        drop(inner);
        status.notices = self.notices(&status.run_id);
        Some(status)
    }

    /// What happened in a run lately, oldest first.
    fn notices(&self, run: &str) -> Vec<v1::Notice> {
        let kept = self.writer.notices.of(run).into_iter();
        kept.map(|notice| v1::Notice {
            at_ns: notice.at_ns,
            weight: notice.weight.word().to_owned(),
            words: notice.words,
        })
        .collect()
    }
}

fn row_status(row: &RunRow) -> v1::RunStatus {
    v1::RunStatus {
        run_id: row.run.clone(),
        plan: row.plan.clone(),
        state: row.state.clone(),
        elapsed_s: (row.ended_ns.max(row.started_ns) - row.started_ns) as f64 / 1e9,
        // A suspended run waits for a person; nothing more will come by itself. A run that
        // ended counts as ended once it is judged, so that its report is there to be read.
        ended: row.state == "suspended" || !row.verdict.is_empty(),
        message: match row.state.as_str() {
            "suspended" => {
                "the coordinator was restarted: `loadbank resume` brings heat back".to_owned()
            }
            _ => row.verdict.clone(),
        },
        folder: row.folder.clone(),
        ..v1::RunStatus::default()
    }
}

fn active_status(
    inner: &Inner,
    active: &Active,
    now_ns: i64,
    config: &crate::config::Config,
) -> v1::RunStatus {
    let present = active.machine.present();
    let (phase_index, start_ns, end_ns) = present.unwrap_or((0, now_ns, now_ns));
    let done_s: f64 =
        active.specs[..phase_index].iter().map(|spec| spec.duration_ns as f64 / 1e9).sum();
    let phase_elapsed_s = (now_ns.min(end_ns) - start_ns) as f64 / 1e9;
    let state = match active.machine.state() {
        State::Preparing { .. } => "preparing",
        State::Running => "running",
        State::Stopping { .. } => "stopping",
        State::Closing { .. } | State::Ended => "closing",
    };
    let nodes: Vec<v1::NodeStatus> =
        active.planned.iter().map(|p| node_status(inner, active, &p.node, now_ns)).collect();
    let next = active.heat.next_release();
    let phase = present.map(|(index, ..)| index);
    v1::RunStatus {
        domains: active.heat.domains.now(&active.heat.held, &nodes),
        next_release: next.map(|(step, _)| u32::from(step)),
        releasers: next.map(|(_, who)| who.to_vec()).unwrap_or_default(),
        act: act(active, phase).unwrap_or_default().to_owned(),
        tripped: inner.interlocks.tripped().map(str::to_owned).collect(),
        notices: Vec::new(),
        run_id: active.run.clone(),
        plan: active.plan.name.clone(),
        state: state.to_owned(),
        phase_index: phase_index as u32,
        phase_count: active.specs.len() as u32,
        phase: present.map(|_| active.specs[phase_index].name.clone()).unwrap_or_default(),
        phase_elapsed_s: phase_elapsed_s.max(0.0),
        phase_seconds: (end_ns - start_ns) as f64 / 1e9,
        elapsed_s: done_s + phase_elapsed_s.max(0.0),
        plan_seconds: active.plan.seconds(),
        nodes,
        message: message(active, phase),
        ended: false,
        folder: config.folder_of(&active.run).display().to_string(),
        released: active.heat.held.released().map(u32::from),
    }
}

/// What happened last, and what a person is to do in this phase until its instant is marked.
fn message(active: &Active, phase: Option<usize>) -> String {
    let asked = act(active, phase)
        .map(|act| format!("NOW: {act}, and at that instant `loadbank mark TEXT`"));
    let said = (!active.message.is_empty()).then(|| active.message.clone());
    said.into_iter().chain(asked).collect::<Vec<_>>().join("; ")
}

/// What a person is to do in a phase, until its instant is marked.
fn act(active: &Active, phase: Option<usize>) -> Option<&str> {
    let index = phase.filter(|index| !active.marked.contains(index))?;
    let name = &active.specs[index].name;
    active.plan.phases.iter().find(|phase| &phase.name == name)?.act.as_deref()
}

/// The rack that a node stands in; a site checks that there is one at most.
fn rack_of(site: &Site, node: &str) -> Option<String> {
    let rack = site.ancestors_of_kind(site.node_ix(node)?, DomainKind::Rack).next()?;
    Some(site.domain(rack).id.clone())
}

fn node_status(inner: &Inner, active: &Active, node: &str, now_ns: i64) -> v1::NodeStatus {
    let agent = inner.agents.get(node);
    let said = agent.filter(|agent| agent.status.is_some());
    let braked = |reading: &&v1::DeviceReading| {
        reading.clock_event_reasons.is_some_and(|reasons| reasons & HELD_BACK != 0)
    };
    let status = agent.and_then(|agent| agent.status.clone()).unwrap_or_default();
    let state = if active.machine.is_lost(node) { "lost" } else { "active" };
    v1::NodeStatus {
        node: node.to_owned(),
        state: state.to_owned(),
        level: status.level,
        power_w: status.power_w,
        temp_c_max: status.temp_c_max,
        gflops: status.gflops,
        gb_per_s: status.gb_per_s,
        unacked_batches: status.unacked_batches,
        records_lost: status.records_lost,
        errors: status.errors,
        devices_heating: status.devices_heating,
        devices_braked: status.readings.iter().filter(braked).count() as u32,
        devices_refused: agent.map_or(0, |agent| refused(&agent.hello, status.usable_gpus)),
        silent_s: said.map(|agent| (now_ns - agent.status_ns) as f64 / 1e9),
        scale: status.scale,
        rack: active.site.as_ref().and_then(|site| rack_of(site, node)).unwrap_or_default(),
    }
}

/// GPUs of a node that its agent does not load; none where it does not say.
fn refused(hello: &v1::Hello, usable: Option<u32>) -> u32 {
    let gpus = hello.devices.iter().filter(|device| !device.uuid.is_empty()).count() as u32;
    usable.map_or(0, |usable| gpus.saturating_sub(usable))
}
