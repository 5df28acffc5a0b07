//! How many may be in the doorway, and how many inside.
//!
//! Of those in the doorway (connected, not yet believed) the oldest of an address is sent
//! away when there are too many: who means it is through within a round trip, and never the
//! oldest for long. So a crowd of silent callers keeps nobody out.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Half-open connections of one address: a second of handshakes of two cores.
const OF_ONE_ADDRESS_MAX: usize = 1024;

/// Half-open connections by address, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Mutex<Doorway>);

#[derive(Debug, Default)]
struct Doorway {
    next: u64,
    waiting: BTreeMap<IpAddr, VecDeque<(u64, oneshot::Sender<()>)>>,
}

/// A place in the doorway; leaving it is dropping this.
#[derive(Debug)]
pub(crate) struct Ticket {
    crowd: Arc<Crowd>,
    from: IpAddr,
    number: u64,
    away: oneshot::Receiver<()>,
}

impl Crowd {
    /// Takes a caller in; true when the oldest had to go for it.
    pub(crate) fn enter(self: &Arc<Self>, from: IpAddr) -> (Ticket, bool) {
        let (sender, away) = oneshot::channel();
        let mut doorway = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doorway.next += 1;
        let number = doorway.next;
        let waiting = doorway.waiting.entry(from).or_default();
        let crowded = waiting.len() >= OF_ONE_ADDRESS_MAX;
        if crowded && let Some((_, oldest)) = waiting.pop_front() {
            let _ = oldest.send(());
        }
        waiting.push_back((number, sender));
        (Ticket { crowd: self.clone(), from, number, away }, crowded)
    }
}

impl Ticket {
    /// Resolves when this caller has to go.
    pub(crate) async fn sent_away(&mut self) {
        // A sender that is gone without a word was taken out by us: nobody waits then.
        if (&mut self.away).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether this caller has to go; wakes the task when it has to later.
    pub(crate) fn poll_sent_away(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        let away = std::pin::Pin::new(&mut self.away);
        matches!(Future::poll(away, cx), std::task::Poll::Ready(Ok(())))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut doorway = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = doorway.waiting.get_mut(&self.from) {
            waiting.retain(|(number, _)| *number != self.number);
            if waiting.is_empty() {
                doorway.waiting.remove(&self.from);
            }
        }
    }
}

/// Connections that are open, by whom.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<BTreeMap<String, usize>>);

/// A connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    key: String,
}

impl Places {
    /// A place, while there are fewer than `most`.
    pub(crate) fn take(self: &Arc<Self>, key: String, most: usize) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key.clone()).or_default();
        (*count < most).then(|| {
            *count += 1;
            Place { places: self.clone(), key }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn the_oldest_of_a_crowded_address_goes_and_others_stay() {
        let crowd = Arc::new(Crowd::default());
        let elsewhere = crowd.enter([10, 0, 0, 1].into()).0;
        let mut inside: Vec<Ticket> =
            (0..OF_ONE_ADDRESS_MAX).map(|_| crowd.enter(HERE).0).collect();
        let (_newest, crowded) = crowd.enter(HERE);
        assert!(crowded);
        inside[0].sent_away().await;
        assert!(inside[1].away.try_recv().is_err());
        drop(inside);
        assert!(!crowd.enter(HERE).1, "who has left makes room");
        drop(elsewhere);
    }

    #[test]
    fn places_are_counted_by_whom_and_given_back() {
        let places = Arc::new(Places::default());
        let first = places.take("agent n1".into(), 2);
        let second = places.take("agent n1".into(), 2);
        assert!(first.is_some() && second.is_some());
        assert!(places.take("agent n1".into(), 2).is_none());
        assert!(places.take("agent n2".into(), 2).is_some());
        drop(first);
        assert!(places.take("agent n1".into(), 2).is_some());
        drop(second);
        assert!(places.0.lock().unwrap().is_empty());
    }
}
