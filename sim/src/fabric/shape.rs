//! What the fabric is built of, and the site that describes it.

use model::site::{Domain, DomainKind, Link, Nic, Node, Site, SiteDraft, SiteProblem};

/// A fabric of equal leaves. With one pod every leaf meets every spine; with more, spines
/// of a pod meet supers, plane by plane: spine `s` of every pod meets the supers of plane `s`.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub pods: usize,
    /// Of each pod.
    pub leaves: usize,
    /// Of each leaf.
    pub hosts: usize,
    /// Of each pod, and uplinks of each leaf.
    pub spines: usize,
    /// Supers of each plane; used from two pods up.
    pub supers: usize,
    /// Of each host's card, in Gbit/s.
    pub nic_gbps: f64,
    /// Hosts' bandwidth over uplink bandwidth of a leaf: 1 is non-blocking.
    pub leaf_taper: f64,
    /// Hosts' bandwidth over uplink bandwidth of a pod: 1 is non-blocking.
    pub pod_taper: f64,
}

impl Default for Shape {
    /// Eight leaves of eight hosts under eight spines, nothing oversubscribed.
    fn default() -> Self {
        Self {
            pods: 1,
            leaves: 8,
            hosts: 8,
            spines: 8,
            supers: 2,
            nic_gbps: 400.0,
            leaf_taper: 1.0,
            pod_taper: 1.0,
        }
    }
}

impl Shape {
    /// Hosts of the whole fabric.
    #[must_use]
    pub fn all_hosts(&self) -> usize {
        self.pods * self.leaves * self.hosts
    }

    /// Name of a host by its position; hosts of one leaf are neighbours.
    #[must_use]
    pub fn host_name(&self, host: usize) -> String {
        format!("gpu{:03}", host + 1)
    }

    /// Position of a host's leaf.
    #[must_use]
    pub fn leaf_of(&self, host: usize) -> usize {
        host / self.hosts.max(1)
    }

    /// Position of a leaf's pod.
    #[must_use]
    pub fn pod_of_leaf(&self, leaf: usize) -> usize {
        leaf / self.leaves.max(1)
    }

    /// Name of a leaf by its position in the whole fabric.
    #[must_use]
    pub fn leaf_name(&self, leaf: usize) -> String {
        format!("leaf-{}", leaf + 1)
    }

    /// Name of a pod.
    #[must_use]
    pub fn pod_name(&self, pod: usize) -> String {
        format!("pod-{}", pod + 1)
    }

    /// Name of a spine of a pod.
    #[must_use]
    pub fn spine_name(&self, pod: usize, spine: usize) -> String {
        if self.pods > 1 {
            format!("spine-{}-{}", pod + 1, spine + 1)
        } else {
            format!("spine-{}", spine + 1)
        }
    }

    /// Name of a super of a plane.
    #[must_use]
    pub fn super_name(&self, plane: usize, index: usize) -> String {
        format!("super-{}-{}", plane + 1, index + 1)
    }

    /// Capacity of one uplink of a leaf, in Gbit/s.
    #[must_use]
    pub fn uplink_gbps(&self) -> f64 {
        self.nic_gbps * self.hosts as f64 / (self.spines as f64 * self.leaf_taper)
    }

    /// Capacity of one uplink of a pod's spine, in Gbit/s.
    #[must_use]
    pub fn super_gbps(&self) -> f64 {
        let pod = self.nic_gbps * (self.hosts * self.leaves) as f64;
        pod / ((self.spines * self.supers) as f64 * self.pod_taper)
    }

    /// The site: leaves, spines, pods, links and cards, as an operator would write it.
    ///
    /// # Errors
    /// When the shape has no place for a node (a count or a speed of zero).
    pub fn site(&self) -> Result<Site, Vec<SiteProblem>> {
        let mut draft = SiteDraft { name: "simulated-fabric".to_owned(), ..SiteDraft::default() };
        for pod in 0..self.pods {
            if self.pods > 1 {
                draft.domains.push(Domain::new(DomainKind::Pod, self.pod_name(pod)));
            }
            let pod_leaves = (0..self.leaves).map(|leaf| self.leaf_name(pod * self.leaves + leaf));
            let spines = (0..self.spines).map(|spine| self.spine_name(pod, spine));
            for (kind, id) in pod_leaves
                .map(|id| (DomainKind::Leaf, id))
                .chain(spines.map(|id| (DomainKind::Spine, id)))
            {
                let mut domain = Domain::new(kind, id);
                if self.pods > 1 {
                    domain.within = vec![self.pod_name(pod)];
                }
                draft.domains.push(domain);
            }
        }
        self.add_links(&mut draft);
        draft.nodes = (0..self.all_hosts()).map(|host| self.node(host)).collect();
        Site::new(draft)
    }

    fn add_links(&self, draft: &mut SiteDraft) {
        for leaf in 0..self.pods * self.leaves {
            for spine in 0..self.spines {
                let (a, b) = (self.leaf_name(leaf), self.spine_name(self.pod_of_leaf(leaf), spine));
                draft.links.push(Link { a, b, gbps: self.uplink_gbps(), count: 1 });
            }
        }
        if self.pods < 2 {
            return;
        }
        for (plane, index) in
            (0..self.spines).flat_map(|plane| (0..self.supers).map(move |index| (plane, index)))
        {
            let id = self.super_name(plane, index);
            draft.domains.push(Domain::new(DomainKind::Spine, id.clone()));
            for pod in 0..self.pods {
                let (a, b) = (self.spine_name(pod, plane), id.clone());
                draft.links.push(Link { a, b, gbps: self.super_gbps(), count: 1 });
            }
        }
    }

    fn node(&self, host: usize) -> Node {
        let leaf = self.leaf_name(self.leaf_of(host));
        let mut node = Node::new(self.host_name(host), &[&leaf]);
        node.nics = vec![Nic {
            name: "mlx5_0".to_owned(),
            leaf: Some(leaf),
            rail: None,
            gbps: Some(self.nic_gbps),
        }];
        node
    }
}
