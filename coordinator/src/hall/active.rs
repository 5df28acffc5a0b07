//! The run that is active: what its agents are told.

use std::collections::{BTreeMap, BTreeSet};

use model::collective::Transport;
use model::plan::Plan;
use model::site::{DomainKind, Site};
use proto::channel::NEIGHBOURS_MAX;
use proto::v1;

use super::Agent;
use super::heat::Heat;
use super::meters::Recorded;
use crate::clock::Offset;
use crate::config::Config;
use crate::run::{End, PhaseSpec, RunMachine};
use crate::store::{JournalEntry, NodeClock, Planned, RunRow};

/// A node's part in communicators of NCCL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NcclMember {
    /// As `ncclGetVersion` writes it; 0 where the node has none.
    pub(crate) version: u32,
    pub(crate) gpus: u32,
}

impl NcclMember {
    /// `usable`: the GPUs that the agent would make ranks of, where it says so.
    pub(crate) fn of(hello: &v1::Hello, usable: Option<u32>) -> Self {
        let gpus = hello.devices.iter().filter(|device| !device.uuid.is_empty()).count();
        let all = u32::try_from(gpus).unwrap_or(0);
        Self { version: hello.nccl_version, gpus: usable.map_or(all, |usable| usable.min(all)) }
    }
}

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
    /// What each node can bring to a communicator of NCCL.
    pub(crate) nccl: BTreeMap<String, NcclMember>,
    /// Unique id of the communicator of an attempt, as its rank 0 made it.
    pub(crate) nccl_id: (u32, Vec<u8>),
    pub started_ns: i64,
    /// Last thing worth saying to an operator.
    pub message: String,
    /// Phases in which a person marked an instant.
    pub(crate) marked: BTreeSet<usize>,
    /// Clocks of the phase that is being started.
    pub(crate) clocks: Vec<NodeClock>,
    pub(crate) site: Option<Site>,
    pub(crate) heat: Heat,
    pub(crate) meters: Recorded,
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

    pub(crate) fn prepare(&self, node: &str, config: &Config) -> v1::Prepare {
        v1::Prepare {
            run_id: self.run.clone(),
            data_token: self.token.clone(),
            device_temp_limit_c: self.plan.limits.device_temp_c,
            sample_interval_ms: config.sample_interval.as_millis() as u32,
            congestion: config.congestion.clone(),
            ramp_ms: self.heat.ramp_ms(node),
            injections: self.injections.clone(),
            lease_id: self.lease.clone(),
            watches: self.heat.interlocks.watches(),
        }
    }

    pub(crate) fn arm(
        &self,
        (node, rank): (&str, usize),
        phase: usize,
        attempt: u32,
        members: &[String],
    ) -> v1::Arm {
        let spec = &self.specs[phase];
        let traffic = self.traffic(spec, members);
        let peers = peers_of(traffic.as_ref(), rank, members.len());
        let peers = peers.map(|rank| self.peer(rank, &members[rank])).collect();
        v1::Arm {
            run_id: self.run.clone(),
            phase_index: phase as u32,
            phase: spec.name.clone(),
            kind: spec.kind.clone(),
            duration_ns: spec.duration_ns,
            load: spec.load_of(node).cloned(),
            traffic,
            peers,
            world_size: members.len() as u32,
            loaded: spec.loaded,
            attempt,
            scale: Some(self.heat.held.scale_of(node)),
            no_rise: self.heat.interlocks.holds(),
        }
    }

    fn peer(&self, rank: usize, node: &str) -> v1::Peer {
        v1::Peer {
            rank: rank as u32,
            node: node.to_owned(),
            data_address: self.data_addresses.get(node).cloned().unwrap_or_default(),
            gpus: self.nccl.get(node).map_or(0, |member| member.gpus),
            leaf: self.leaf(node),
        }
    }

    /// Number of the one leaf that a node hangs on; 0 where the site doesn't say, or says
    /// several: a flow over the kernel's choice of cards is on no leaf that we know.
    fn leaf(&self, node: &str) -> u32 {
        let Some(site) = &self.site else { return 0 };
        let Some(node) = site.node_ix(node) else { return 0 };
        let mut leaves = site.ancestors_of_kind(node, DomainKind::Leaf);
        match (leaves.next(), leaves.next()) {
            (Some(leaf), None) => leaf.index() as u32 + 1,
            _ => 0,
        }
    }

    /// The traffic of a phase, with the transport decided where the plan left it open.
    fn traffic(&self, spec: &PhaseSpec, members: &[String]) -> Option<v1::PhaseTraffic> {
        let mut traffic = spec.traffic.clone();
        if let Some(v1::phase_traffic::Kind::Collective(collective)) =
            traffic.as_mut().and_then(|traffic| traffic.kind.as_mut())
            && collective.transport.is_empty()
        {
            let over = if self.all_have_nccl(members) { Transport::Nccl } else { Transport::Tcp };
            collective.transport = over.word().to_owned();
        }
        traffic
    }

    /// NCCL wants one version on all ranks, and GPUs everywhere.
    fn all_have_nccl(&self, members: &[String]) -> bool {
        let mut all = members.iter().map(|node| self.nccl.get(node));
        let Some(Some(first)) = all.next() else { return false };
        let fits = |member: Option<&NcclMember>| {
            member.is_some_and(|m| m.gpus > 0 && m.version == first.version)
        };
        first.version > 0 && first.gpus > 0 && all.all(fits)
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
            nccl_id: self.id_of(attempt),
            coordinator_start_ns: start_ns,
            drift_ppb: offset.drift_ppb,
        }
    }

    fn id_of(&self, attempt: u32) -> Vec<u8> {
        let (of, id) = &self.nccl_id;
        if *of == attempt { id.clone() } else { Vec::new() }
    }

    pub(crate) fn phase_starts(&mut self, phase: usize, start_ns: i64) -> JournalEntry {
        let name = self.specs[phase].name.clone();
        self.message.clear();
        let clocks = std::mem::take(&mut self.clocks);
        JournalEntry::PhaseStarts { phase, name, start_ns, clocks }
    }
}

/// Ranks whose addresses a member needs: all of them where everybody meets everybody, else its
/// neighbours in the ring and itself.
fn peers_of(
    traffic: Option<&v1::PhaseTraffic>,
    rank: usize,
    world_size: usize,
) -> Box<dyn Iterator<Item = usize>> {
    use v1::phase_traffic::Kind;
    let all = match traffic.and_then(|traffic| traffic.kind.as_ref()) {
        Some(Kind::Pairs(_)) => true,
        Some(Kind::Collective(collective)) => collective.transport == Transport::Nccl.word(),
        Some(Kind::ProbesOnly(_)) | None => false,
    };
    let reach = NEIGHBOURS_MAX as usize;
    if all || world_size <= 2 * reach + 1 {
        return Box::new(0..world_size);
    }
    Box::new((0..=2 * reach).map(move |step| (rank + world_size + step - reach) % world_size))
}

impl Active {
    /// How well the agents kept the time of a phase, where any was corrected in it.
    pub(crate) fn phase_time(
        &self,
        name: &str,
        agents: &BTreeMap<String, Agent>,
    ) -> Option<JournalEntry> {
        let planned = self.planned.iter().filter_map(|planned| agents.get(&planned.node));
        let (mut skews_ns, mut error_ns) = (Vec::new(), 0);
        for status in planned.filter_map(|agent| agent.status.as_ref()) {
            if status.run_id == self.run
                && status.phase == name
                && let Some(skew_ns) = status.phase_skew_ns
            {
                skews_ns.push(skew_ns.unsigned_abs());
                error_ns = error_ns.max(status.phase_skew_error_ns);
            }
        }
        skews_ns.sort_unstable();
        let name = name.to_owned();
        (!skews_ns.is_empty()).then_some(JournalEntry::PhaseTime { name, skews_ns, error_ns })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(kind: v1::phase_traffic::Kind) -> v1::PhaseTraffic {
        v1::PhaseTraffic { kind: Some(kind) }
    }

    #[test]
    fn a_member_of_a_large_ring_is_told_of_its_neighbours_and_itself() {
        let probes = traffic(v1::phase_traffic::Kind::ProbesOnly(v1::ProbesOnly {}));
        let ranks: Vec<usize> = peers_of(Some(&probes), 1, 10_000).collect();
        let reach = NEIGHBOURS_MAX as usize;
        assert_eq!(ranks.len(), 2 * reach + 1);
        assert_eq!((ranks[0], ranks[reach], ranks[2 * reach]), (10_001 - reach, 1, 1 + reach));
        assert_eq!(peers_of(Some(&probes), 1, 40).count(), 40);
    }

    #[test]
    fn where_everybody_meets_everybody_all_are_told() {
        let pairs = traffic(v1::phase_traffic::Kind::Pairs(v1::Pairs::default()));
        assert_eq!(peers_of(Some(&pairs), 7, 1000).count(), 1000);
        let transport = "nccl".to_owned();
        let over_nccl = v1::Collective { transport, ..v1::Collective::default() };
        let over_nccl = traffic(v1::phase_traffic::Kind::Collective(over_nccl));
        assert_eq!(peers_of(Some(&over_nccl), 7, 1000).count(), 1000);
    }
}
