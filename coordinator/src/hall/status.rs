//! What the operator's screen shows: agents, runs, the progress of one run.

use std::collections::BTreeSet;

use model::site::{DomainKind, Site};
use proto::v1;

use super::{Active, Hall, Inner};
use crate::run::State;
use crate::store::RunRow;

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
            return Some(active_status(&inner, active, now_ns, &self.config));
        }
        let row =
            if run.is_empty() { inner.runs_by_age().pop() } else { inner.runs.get(run).cloned() };
        row.map(|row| row_status(&row))
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
    v1::RunStatus {
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
        nodes: active.planned.iter().map(|p| node_status(inner, active, &p.node)).collect(),
        message: message(active, present.map(|(index, ..)| index)),
        ended: false,
        folder: config.folder_of(&active.run).display().to_string(),
        released: active.heat.held.released().map(u32::from),
    }
}

/// What happened last, and what a person is to do in this phase until its instant is marked.
fn message(active: &Active, phase: Option<usize>) -> String {
    let asked = phase.filter(|index| !active.marked.contains(index)).and_then(|index| {
        let name = &active.specs[index].name;
        active.plan.phases.iter().find(|phase| &phase.name == name)?.act.as_deref()
    });
    let asked = asked.map(|act| format!("NOW: {act}, and at that instant `loadbank mark TEXT`"));
    let said = (!active.message.is_empty()).then(|| active.message.clone());
    said.into_iter().chain(asked).collect::<Vec<_>>().join("; ")
}

/// The rack that a node stands in; a site checks that there is one at most.
fn rack_of(site: &Site, node: &str) -> Option<String> {
    let rack = site.ancestors_of_kind(site.node_ix(node)?, DomainKind::Rack).next()?;
    Some(site.domain(rack).id.clone())
}

fn node_status(inner: &Inner, active: &Active, node: &str) -> v1::NodeStatus {
    let agent = inner.agents.get(node);
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
        scale: status.scale,
        rack: active.site.as_ref().and_then(|site| rack_of(site, node)).unwrap_or_default(),
    }
}
