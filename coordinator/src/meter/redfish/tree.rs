//! What is known of a device's tree, and what of it is asked next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::say::Said;
use super::walk::{Link, Role, has_readings, kind, links};

/// Resources of one device that are looked at: a floor PDU with 84 branches has some hundred.
const RESOURCES_MAX: usize = 2_000;
/// Most readings of a device in a round, and most of its points: more than any has.
pub(super) const READINGS_MAX: usize = 4_096;

/// A resource that gives no answer so often is passed over until the next walk.
const TRIES_MAX: u32 = 3;

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) link: Link,
    /// It has answered before, with readings.
    pub(super) is_known: bool,
}

/// A tree that is being walked, or was.
#[derive(Debug)]
pub(super) struct Tree {
    root: String,
    sensors: bool,
    ahead: VecDeque<Link>,
    /// What was asked while walking, and has not been answered yet.
    pending: Option<Link>,
    /// What gave no answer in this round.
    later: Vec<Link>,
    /// Something was passed over because it never answered.
    is_partial: bool,
    tries: BTreeMap<String, u32>,
    seen: BTreeSet<String>,
    /// Resources with readings, in the order in which they were found.
    leaves: Vec<Link>,
    /// Which leaf is asked next.
    next: usize,
    /// Leaves that this round has still to ask.
    left: usize,
    /// Who says a point: the first that did, and no spare where another does.
    owners: BTreeMap<String, (bool, String)>,
}

impl Tree {
    pub(super) fn new(root: String, sensors: bool) -> Self {
        let mut tree = Self {
            root,
            sensors,
            ahead: VecDeque::new(),
            pending: None,
            later: Vec::new(),
            is_partial: false,
            tries: BTreeMap::new(),
            seen: BTreeSet::new(),
            leaves: Vec::new(),
            next: 0,
            left: 0,
            owners: BTreeMap::new(),
        };
        tree.again();
        tree
    }

    /// Walks from the root again, and forgets what was found.
    pub(super) fn again(&mut self) {
        self.leaves.clear();
        self.owners.clear();
        self.seen.clear();
        self.ahead.clear();
        self.pending = None;
        self.later.clear();
        self.is_partial = false;
        self.tries.clear();
        self.next = 0;
        self.left = 0;
        self.seen.insert(self.root.clone());
        self.ahead.push_back(Link { path: self.root.clone(), role: Role::default() });
    }

    /// A round begins: every leaf is asked once in it.
    pub(super) fn begin(&mut self) {
        self.put_off();
        self.ahead.extend(self.later.drain(..));
        self.left = self.leaves.len();
    }

    /// What was not answered is asked again in the next round.
    fn put_off(&mut self) {
        let Some(link) = self.pending.take() else { return };
        let tries = self.tries.entry(link.path.clone()).or_default();
        *tries += 1;
        // The root is all there is: it is asked for ever.
        if *tries < TRIES_MAX || link.path == self.root {
            self.later.push(link);
        } else {
            self.is_partial = true;
        }
    }

    /// The last question's resource is not there. Of a leak detector that is listed, as while
    /// a controller boots, that is no denial of a leak.
    pub(super) fn missing(&mut self, step: &Step) {
        self.pending = None;
        self.is_partial |= step.link.role.of_leaks;
    }

    /// The next question of this round: what is not known yet comes first.
    pub(super) fn next(&mut self) -> Option<Step> {
        self.put_off();
        if let Some(link) = self.ahead.pop_front() {
            self.pending = Some(link.clone());
            return Some(Step { link, is_known: false });
        }
        if self.left == 0 || self.leaves.is_empty() {
            return None;
        }
        self.left -= 1;
        let link = self.leaves[self.next % self.leaves.len()].clone();
        self.next = (self.next + 1) % self.leaves.len();
        Some(Step { link, is_known: true })
    }

    /// Takes in what a question was answered.
    pub(super) fn found(&mut self, step: &Step, resource: &Value, said: &Said) {
        self.pending = None;
        for spoken in &said.readings {
            self.claim(&spoken.point, &step.link);
        }
        if step.is_known {
            return;
        }
        if has_readings(kind(resource)) {
            self.leaves.push(step.link.clone());
        }
        for link in links(resource, &step.link.role, self.sensors) {
            if self.seen.len() < RESOURCES_MAX && self.seen.insert(link.path.clone()) {
                self.ahead.push_back(link);
            }
        }
    }

    fn claim(&mut self, point: &str, link: &Link) {
        let claim = (link.role.is_spare, link.path.clone());
        let has_room = self.owners.len() < READINGS_MAX;
        match self.owners.get_mut(point) {
            // One that is no spare takes a point from one that is.
            Some(owner) if owner.0 && !claim.0 => *owner = claim,
            Some(_) => {}
            None if has_room => {
                self.owners.insert(point.to_owned(), claim);
            }
            None => {}
        }
    }

    /// Whether a point is said by this resource.
    pub(super) fn owns(&self, point: &str, step: &Step) -> bool {
        self.owners.get(point).is_some_and(|(_, path)| *path == step.link.path)
    }

    /// Whether nothing is left to discover.
    pub(super) fn is_walked(&self) -> bool {
        self.ahead.is_empty() && self.pending.is_none() && self.later.is_empty()
    }

    /// Whether something of it never answered.
    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Whether nothing with readings is known.
    pub(super) fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }
}
