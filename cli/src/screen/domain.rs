//! A part of the building as a line: how much of its limit it draws, and what to say of it.

use std::cmp::Ordering;

use proto::v1;

use super::palette::Tone;

/// From this share of its limit on a domain is near it: live control aims at 0.97.
const NEAR: f64 = 0.9;

/// The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DomainState {
    Over,
    /// Nodes of it are lost.
    Lost,
    Near,
    /// Its limit keeps its nodes below the plan.
    Held,
    Within,
    /// Nothing of it is measured.
    Unmeasured,
    /// Nobody said what it may draw.
    Unlimited,
}

/// One line.
#[derive(Debug, Clone, Copy)]
pub(super) struct DomainRow<'a> {
    pub(super) state: DomainState,
    pub(super) domain: &'a v1::DomainStatus,
}

impl<'a> DomainRow<'a> {
    pub(super) fn of(domain: &'a v1::DomainStatus) -> Self {
        Self { state: state_of(domain), domain }
    }

    /// The share of its limit that it draws.
    pub(super) fn share(&self) -> Option<f64> {
        share_of(self.domain)
    }

    /// By state, then by share, then by name.
    pub(super) fn worst_first(&self, other: &Self) -> Ordering {
        let share = |row: &Self| row.share().unwrap_or(f64::NEG_INFINITY);
        let by_share = share(other).total_cmp(&share(self));
        let by_name =
            || (&self.domain.kind, &self.domain.id).cmp(&(&other.domain.kind, &other.domain.id));
        self.state.cmp(&other.state).then(by_share).then_with(by_name)
    }

    /// What stands beside the colour.
    pub(super) fn words(&self) -> String {
        let held = self.domain.scale.filter(|scale| *scale < 1.0);
        // Down to a whole percent, as the record has it.
        let held = held.map(|scale| format!("held {:.0}%", (scale * 100.0).floor()));
        match self.state {
            DomainState::Over => "OVER".to_owned(),
            DomainState::Lost => format!("lost {}", self.domain.lost),
            DomainState::Held => held.unwrap_or_default(),
            DomainState::Near => held.unwrap_or_else(|| "near".to_owned()),
            DomainState::Within => "ok".to_owned(),
            DomainState::Unmeasured => "unmeasured".to_owned(),
            DomainState::Unlimited => "no limit".to_owned(),
        }
    }

    pub(super) fn tone(&self) -> Tone {
        match self.state {
            DomainState::Over | DomainState::Lost => Tone::Bad,
            DomainState::Near | DomainState::Held => Tone::Mind,
            DomainState::Within => Tone::Good,
            DomainState::Unmeasured | DomainState::Unlimited => Tone::Faint,
        }
    }
}

fn share_of(domain: &v1::DomainStatus) -> Option<f64> {
    let most_kw = domain.most_kw.filter(|most_kw| *most_kw > 0.0)?;
    Some(domain.kw? / most_kw)
}

fn state_of(domain: &v1::DomainStatus) -> DomainState {
    let over = domain.kw.zip(domain.most_kw).is_some_and(|(kw, most_kw)| kw > most_kw);
    let held = domain.scale.is_some_and(|scale| scale < 1.0);
    match share_of(domain) {
        _ if over => DomainState::Over,
        _ if domain.lost > 0 => DomainState::Lost,
        Some(share) if share >= NEAR => DomainState::Near,
        _ if held => DomainState::Held,
        _ if domain.kw.is_none() => DomainState::Unmeasured,
        _ if domain.most_kw.is_none() => DomainState::Unlimited,
        _ => DomainState::Within,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(kw: Option<f64>, most_kw: Option<f64>, scale: f64, lost: u32) -> v1::DomainStatus {
        v1::DomainStatus { kw, most_kw, scale: Some(scale), lost, ..v1::DomainStatus::default() }
    }

    #[test]
    fn a_word_says_what_the_colour_says() {
        let words = |domain: v1::DomainStatus| DomainRow::of(&domain).words();
        assert_eq!(words(domain(Some(11.0), Some(10.0), 1.0, 0)), "OVER");
        assert_eq!(words(domain(Some(1.0), Some(0.0), 1.0, 0)), "OVER", "nothing is allowed");
        assert_eq!(words(domain(Some(5.0), Some(10.0), 1.0, 2)), "lost 2");
        assert_eq!(words(domain(Some(9.5), Some(10.0), 1.0, 0)), "near");
        assert_eq!(words(domain(Some(9.5), Some(10.0), 0.678, 0)), "held 67%");
        assert_eq!(words(domain(Some(5.0), Some(10.0), 0.5, 0)), "held 50%");
        assert_eq!(words(domain(Some(5.0), Some(10.0), 1.0, 0)), "ok");
        assert_eq!(words(domain(None, Some(10.0), 1.0, 0)), "unmeasured");
        assert_eq!(words(domain(Some(5.0), None, 1.0, 0)), "no limit");
    }
}
