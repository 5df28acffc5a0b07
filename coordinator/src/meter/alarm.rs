//! One alarm of many parts: pure.

/// Raised by any part, and denied only when all of them deny it. A part that should say and
/// doesn't is `None`.
pub(crate) fn worst(parts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut denied = Some(false);
    for part in parts {
        match part {
            Some(true) => return Some(true),
            Some(false) => {}
            None => denied = None,
        }
    }
    denied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_one_part_is_no_denial() {
        assert_eq!(worst([Some(false), None, Some(true)]), Some(true));
        assert_eq!(worst([Some(false), None]), None);
        assert_eq!(worst([Some(false), Some(false)]), Some(false));
    }
}
