//! What goes wrong, as `LOADBANK_FAKE_NCCL` says it: words apart by commas, such as
//! `hang=1@20` (rank 1 never comes out of its 20th operation), `wrong=0@3` (rank 0's 3rd
//! result has a flipped bit), `late=2:5` (rank 2 comes 5 ms late to every operation),
//! `away=1` (rank 1 never joins), `fail=1@4` (rank 1's 4th operation answers code 6).

use std::time::Duration;

/// The faults of one rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) hang_at: Option<u64>,
    pub(crate) wrong_at: Option<u64>,
    pub(crate) fail_at: Option<u64>,
    pub(crate) late: Duration,
    pub(crate) away: bool,
}

impl Script {
    pub(crate) fn of_environment(rank: u32) -> Self {
        Self::parse(&std::env::var("LOADBANK_FAKE_NCCL").unwrap_or_default(), rank)
    }

    /// A word that is none is a broken test: it panics.
    fn parse(text: &str, rank: u32) -> Self {
        let mut script = Self::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let Some((kind, rest)) = word.split_once('=') else { panic!("what is {word:?}?") };
            let (whose, rest) = rest.split_once(['@', ':']).unwrap_or((rest, "0"));
            let Ok(number) = rest.parse::<u64>() else { panic!("what is {word:?}?") };
            if whose.parse() != Ok(rank) {
                continue;
            }
            match kind {
                "hang" => script.hang_at = Some(number),
                "wrong" => script.wrong_at = Some(number),
                "fail" => script.fail_at = Some(number),
                "late" => script.late = Duration::from_millis(number),
                "away" => script.away = true,
                _ => panic!("what is {word:?}?"),
            }
        }
        script
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_meant_for_their_rank() {
        let text = "hang=1@20,late=2:5,away=3";
        assert_eq!(Script::parse(text, 0), Script::default());
        assert_eq!(Script::parse(text, 1).hang_at, Some(20));
        assert_eq!(Script::parse(text, 2).late, Duration::from_millis(5));
        assert!(Script::parse(text, 3).away);
    }
}
