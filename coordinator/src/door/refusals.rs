//! Whom the coordinator refused, by reason: counted, and told in the log without flooding it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A reason is told at most once in this time; the counts say what came in between.
const TELL: Duration = Duration::from_secs(1);

/// Why somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    NoCertificate,
    Expired,
    OtherAuthority,
    WrongRole,
    WrongNode,
    NotTls,
    NotHttp2,
    TooSlow,
    TooMany,
    TooLarge,
    TokenUnknown,
    TokenUsed,
    TokenExpired,
    TokenOfOtherNode,
    RefusedUs,
}

impl Reason {
    /// Its word in logs and documents.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Expired => "expired",
            Self::OtherAuthority => "other_authority",
            Self::WrongRole => "wrong_role",
            Self::WrongNode => "wrong_node",
            Self::NotTls => "not_tls",
            Self::NotHttp2 => "not_http2",
            Self::TooSlow => "too_slow",
            Self::TooMany => "too_many",
            Self::TooLarge => "too_large",
            Self::TokenUnknown => "token_unknown",
            Self::TokenUsed => "token_used",
            Self::TokenExpired => "token_expired",
            Self::TokenOfOtherNode => "token_of_other_node",
            Self::RefusedUs => "refused_us",
        }
    }
}

/// The counts since the coordinator's start.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Reason, Count>>);

#[derive(Debug)]
struct Count {
    total: u64,
    told: Instant,
}

impl Refusals {
    /// Counts one, and tells of it unless the same was told just now.
    pub(crate) fn note(&self, reason: Reason, who: &dyn Display, why: &dyn Display) {
        let now = Instant::now();
        let (total, tell) = {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut tell = !counts.contains_key(&reason);
            let count = counts.entry(reason).or_insert(Count { total: 0, told: now });
            count.total += 1;
            if now.duration_since(count.told) >= TELL {
                tell = true;
            }
            if tell {
                count.told = now;
            }
            (count.total, tell)
        };
        if tell {
            tracing::warn!(reason = reason.word(), from = %who, %why, total, "refused");
        }
    }

    /// Every reason that was met, with its count.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (String, u64)> + use<> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> =
            counts.iter().map(|(reason, count)| (reason.word().to_owned(), count.total)).collect();
        all.into_iter()
    }
}
