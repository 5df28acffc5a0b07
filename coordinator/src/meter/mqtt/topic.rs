//! Topics of the DSX Exchange BMS schema: pure.

/// What a topic names, below the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topic<'t> {
    pub(super) is_metadata: bool,
    /// Object type, point type and tag path: the same for a value and its metadata.
    pub(super) tail: &'t str,
    pub(super) object: &'t str,
    pub(super) point: &'t str,
    pub(super) tag: &'t str,
}

impl<'t> Topic<'t> {
    /// Takes `PREFIX/Value/OBJECT/POINT/TAG` apart; the tag may have slashes of its own.
    pub(super) fn of(prefix: &str, topic: &'t str) -> Option<Self> {
        let rest = topic.strip_prefix(prefix)?.strip_prefix('/')?;
        let (what, tail) = rest.split_once('/')?;
        let is_metadata = match what {
            "Metadata" => true,
            "Value" => false,
            _ => return None,
        };
        let (object, rest) = tail.split_once('/')?;
        let (point, tag) = rest.split_once('/')?;
        let whole = [object, point, tag].iter().all(|part| !part.is_empty());
        whole.then_some(Self { is_metadata, tail, object, point, tag })
    }

    /// Whether it is the sign of life of the system that speaks.
    pub(super) fn is_heartbeat(self) -> bool {
        self.object == "System" && self.point == "HeartbeatTimestampBms"
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_an_object_a_point_and_a_tag_with_slashes() {
        let topic = Topic::of("BMS/v1/PUB", "BMS/v1/PUB/Value/Rack/RackPower/H1/R7").unwrap();
        assert_eq!((topic.object, topic.point, topic.tag), ("Rack", "RackPower", "H1/R7"));
        assert_eq!((topic.is_metadata, topic.tail), (false, "Rack/RackPower/H1/R7"));
        for other in ["BMS/v1/PUB", "BMS/v1/PUBx/Value/a/b/c", "BMS/v1/PUB/Value/a/b", "x", ""] {
            assert_eq!(Topic::of("BMS/v1/PUB", other), None, "{other}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in
            [("a/*", "a/b/c"), ("*", ""), ("*R7*", "H/R7/x"), ("a", "a"), ("a*a", "aa")]
        {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*a", "a"), ("*x", "xy"), ("a*b*c", "acb")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
