//! Heat against leases, on CLOCK_MONOTONIC, which all processes of a machine share. Pure.

/// From an instant to another, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from_ns: u64,
    pub to_ns: u64,
}

/// When one life of an agent might heat, ramps included, by its own log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(Vec<Span>);

impl Allowed {
    /// From the agent's log: lines `lease now_ns=A idle_from_ns=B`, each of which holds until
    /// the next one. Nothing was allowed before the first.
    #[must_use]
    pub fn from_log(log: &str) -> Self {
        let said: Vec<(u64, u64)> = log.lines().filter_map(lease_line).collect();
        let next = said.iter().skip(1).map(|(now_ns, _)| *now_ns).chain([u64::MAX]);
        let spans = said.iter().zip(next).map(|(&(from_ns, idle_from_ns), next_ns)| Span {
            from_ns,
            to_ns: idle_from_ns.min(next_ns),
        });
        Self(spans.filter(|span| span.from_ns < span.to_ns).collect())
    }

    /// How much of a span was allowed, each lease `grace_ns` longer than it was.
    #[must_use]
    pub fn within(&self, span: Span, grace_ns: u64) -> u64 {
        // Graces overlap the next span: count from where the last one ended.
        let (mut total_ns, mut counted_to_ns) = (0, span.from_ns);
        for allowed in &self.0 {
            let from_ns = allowed.from_ns.max(counted_to_ns);
            let to_ns = allowed.to_ns.saturating_add(grace_ns).min(span.to_ns);
            total_ns += to_ns.saturating_sub(from_ns);
            counted_to_ns = counted_to_ns.max(to_ns);
        }
        total_ns
    }
}

fn lease_line(line: &str) -> Option<(u64, u64)> {
    let number = |key: &str| {
        let after = line.split_once(key)?.1;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    Some((number(" now_ns=")?, number(" idle_from_ns=")?))
}

/// The least time that a load must have run without a lease, when it was busy for `busy_ns`
/// of a span: zero where all of it fits into what was allowed.
#[must_use]
pub fn breach_ns(allowed: &Allowed, span: Span, busy_ns: u64, grace_ns: u64) -> u64 {
    busy_ns.saturating_sub(allowed.within(span, grace_ns))
}
