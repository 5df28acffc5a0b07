//! A node as a line: which state it is in, and which of two is worse.

use std::cmp::Ordering;

use proto::v1;

use super::palette::Tone;

/// Statuses come every second: who says nothing for so long is silent, though not lost yet.
const SILENT_S: f64 = 5.0;

/// The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NodeState {
    Lost,
    /// It computed wrong results.
    Wrong,
    /// Its own hardware holds it back.
    Braked,
    /// It has GPUs that are not loaded.
    Refused,
    Silent,
    Loaded,
    Idle,
}

impl NodeState {
    pub(super) const ALL: [Self; 7] = [
        Self::Lost,
        Self::Wrong,
        Self::Braked,
        Self::Refused,
        Self::Silent,
        Self::Loaded,
        Self::Idle,
    ];

    fn of(node: &v1::NodeStatus) -> Self {
        match node {
            _ if node.state == "lost" => Self::Lost,
            _ if node.errors > 0 => Self::Wrong,
            _ if node.devices_braked > 0 => Self::Braked,
            _ if node.devices_refused > 0 => Self::Refused,
            _ if node.silent_s.is_some_and(|silent_s| silent_s > SILENT_S) => Self::Silent,
            _ if node.devices_heating > 0 => Self::Loaded,
            _ => Self::Idle,
        }
    }

    /// The word that stands beside the colour.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Wrong => "wrong",
            Self::Braked => "braked",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Loaded => "loaded",
            Self::Idle => "idle",
        }
    }

    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Lost | Self::Wrong => Tone::Bad,
            Self::Braked | Self::Refused | Self::Silent => Tone::Mind,
            Self::Loaded => Tone::Good,
            Self::Idle => Tone::Faint,
        }
    }
}

/// What a node draws now: what a lost or silent one said last is not that.
pub(super) fn watts(node: &v1::NodeStatus) -> Option<f64> {
    let silent = node.silent_s.is_some_and(|silent_s| silent_s > SILENT_S);
    node.power_w.filter(|_| node.state != "lost" && !silent)
}

/// One line.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeRow<'a> {
    pub(super) state: NodeState,
    pub(super) node: &'a v1::NodeStatus,
}

impl<'a> NodeRow<'a> {
    pub(super) fn of(node: &'a v1::NodeStatus) -> Self {
        Self { state: NodeState::of(node), node }
    }

    /// By state, then the hottest, then by name: those that measure nothing are the last.
    pub(super) fn worst_first(&self, other: &Self) -> Ordering {
        let heat = |row: &Self| row.node.temp_c_max.unwrap_or(f64::NEG_INFINITY);
        let by_state = self.state.cmp(&other.state);
        let by_heat = heat(other).total_cmp(&heat(self));
        by_state.then(by_heat).then_with(|| self.node.node.cmp(&other.node.node))
    }

    /// Whether a part of its name, rack or state's word is what was typed.
    pub(super) fn matches(&self, filter: &str) -> bool {
        let filter = filter.to_lowercase();
        let texts = [self.node.node.as_str(), self.node.rack.as_str(), self.state.word()];
        texts.iter().any(|text| text.to_lowercase().contains(&filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, change: impl FnOnce(&mut v1::NodeStatus)) -> v1::NodeStatus {
        let mut node = v1::NodeStatus {
            node: name.to_owned(),
            state: "active".to_owned(),
            devices_heating: 1,
            ..v1::NodeStatus::default()
        };
        change(&mut node);
        node
    }

    #[test]
    fn the_worst_node_is_the_first_and_the_hottest_of_its_likes() {
        let nodes = [
            node("idle", |node| node.devices_heating = 0),
            node("warm", |node| node.temp_c_max = Some(60.0)),
            node("hot", |node| node.temp_c_max = Some(80.0)),
            node("unmeasured", |_| {}),
            node("silent", |node| node.silent_s = Some(9.0)),
            node("refused", |node| node.devices_refused = 1),
            node("braked", |node| node.devices_braked = 1),
            node("wrong", |node| node.errors = 1),
            node("lost", |node| node.state = "lost".to_owned()),
        ];
        let mut rows: Vec<NodeRow<'_>> = nodes.iter().map(NodeRow::of).collect();
        rows.sort_by(NodeRow::worst_first);
        let names: Vec<&str> = rows.iter().map(|row| row.node.node.as_str()).collect();
        assert_eq!(
            names,
            ["lost", "wrong", "braked", "refused", "silent", "hot", "warm", "unmeasured", "idle"]
        );
    }

    #[test]
    fn a_filter_takes_parts_of_name_rack_and_state() {
        let node = node("gpu07", |node| node.rack = "Rack-2".to_owned());
        let row = NodeRow::of(&node);
        assert!(["", "pu0", "rack-2", "LOADED"].iter().all(|filter| row.matches(filter)));
        assert!(!row.matches("gpu08"));
    }
}
