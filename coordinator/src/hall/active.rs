//! The run that is active: what its agents are told.

use std::collections::BTreeMap;

use model::plan::Plan;
use model::site::Site;
use proto::v1;

use super::heat::Heat;
use crate::clock::Offset;
use crate::config::Config;
use crate::run::{End, PhaseSpec, RunMachine};
use crate::store::{JournalEntry, NodeClock, Planned, RunRow};

/// The active run.
pub(crate) struct Active {
    pub run: String,
    pub plan: Plan,
    pub site_name: Option<String>,
    pub specs: Vec<PhaseSpec>,
    pub machine: RunMachine,
    pub planned: Vec<Planned>,
    /// Guards the data ports of this run.
    pub token: Vec<u8>,
    /// Names the lease of this beginning of the run; a resume makes another.
    pub lease: String,
    pub injections: Vec<v1::Injection>,
    pub data_addresses: BTreeMap<String, String>,
    pub started_ns: i64,
    /// Last thing worth saying to an operator.
    pub message: String,
    /// Clocks of the phase that is being started.
    pub(crate) clocks: Vec<NodeClock>,
    pub(crate) site: Option<Site>,
    pub(crate) heat: Heat,
}

impl Active {
    pub(crate) fn row(&self, config: &Config) -> RunRow {
        RunRow {
            run: self.run.clone(),
            plan: self.plan.name.clone(),
            site: self.site_name.clone().unwrap_or_default(),
            state: "running".to_owned(),
            verdict: String::new(),
            started_ns: self.started_ns,
            ended_ns: 0,
            folder: config.folder_of(&self.run).display().to_string(),
        }
    }

    pub(crate) fn prepare(&self, config: &Config) -> v1::Prepare {
        v1::Prepare {
            run_id: self.run.clone(),
            data_token: self.token.clone(),
            device_temp_limit_c: self.plan.limits.device_temp_c,
            sample_interval_ms: config.sample_interval.as_millis() as u32,
            congestion: config.congestion.clone(),
            ramp_ms: config.ramp.as_millis() as u32,
            injections: self.injections.clone(),
            lease_id: self.lease.clone(),
        }
    }

    pub(crate) fn arm(
        &self,
        node: &str,
        phase: usize,
        attempt: u32,
        members: &[String],
    ) -> v1::Arm {
        let spec = &self.specs[phase];
        let peers = members
            .iter()
            .enumerate()
            .map(|(rank, node)| v1::Peer {
                rank: rank as u32,
                node: node.clone(),
                data_address: self.data_addresses.get(node).cloned().unwrap_or_default(),
            })
            .collect();
        v1::Arm {
            run_id: self.run.clone(),
            phase_index: phase as u32,
            phase: spec.name.clone(),
            kind: spec.kind.clone(),
            duration_ns: spec.duration_ns,
            load: spec.load.clone(),
            traffic: spec.traffic.clone(),
            peers,
            loaded: spec.loaded,
            attempt,
            scale: Some(self.heat.held.scale_of(node)),
        }
    }

    pub(crate) fn go(
        &mut self,
        node: &str,
        phase: usize,
        attempt: u32,
        start_ns: i64,
        offset: Offset,
    ) -> v1::Go {
        self.clocks.push(NodeClock {
            node: node.to_owned(),
            at_ns: start_ns,
            offset_ns: offset.offset_ns,
            error_ns: offset.error_ns,
        });
        v1::Go {
            run_id: self.run.clone(),
            phase_index: phase as u32,
            start_ns: start_ns - offset.offset_ns,
            claimed_error_ns: offset.error_ns,
            attempt,
        }
    }

    pub(crate) fn phase_starts(&mut self, phase: usize, start_ns: i64) -> JournalEntry {
        let name = self.specs[phase].name.clone();
        self.message.clear();
        let clocks = std::mem::take(&mut self.clocks);
        JournalEntry::PhaseStarts { phase, name, start_ns, clocks }
    }
}

/// State word and reason of an end.
pub(crate) fn end_words(end: &End) -> (&'static str, String) {
    match end {
        End::Finished => ("finished", String::new()),
        End::Stopped { who, drop } => {
            ("stopped", format!("{who}{}", if *drop { ", at once" } else { "" }))
        }
        End::Aborted { why } => ("aborted", why.clone()),
        End::Failed { why } => ("failed", why.clone()),
    }
}
