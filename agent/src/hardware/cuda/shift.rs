//! What is kept while an order is served: its pace, its counters, what was said of it. Pure.

use std::collections::BTreeSet;

use model::gauge::Gauge;
use model::load::Kernel;

use super::super::programme::Active;
use super::super::{CoreWindow, LoadReport, MISMATCHES_REPORTED_MAX};
use super::copies::{ROUND_BYTES, Round, Ways};
use super::edges::Edges;
use super::flight::Landed;
use super::image::{Flaw, FlawKind};
use super::pace::Pacer;
use super::prepared::{AnchorMiss, Prepared};
use super::timeline::Timeline;

/// Length of a window of counters.
const WINDOW_NS: u64 = 1_000_000_000;

/// One order, from its beginning until its last launch is back.
pub(super) struct Shift {
    pub(super) active: Active,
    pub(super) pacer: Pacer,
    /// It takes no more launches since this instant.
    pub(super) ended_ns: Option<u64>,
    pub(super) launched: u64,
    pub(super) injected: bool,
    pub(super) started: bool,
    pub(super) checksum_said: bool,
    window_from_ns: u64,
    window_to_ns: u64,
    window: CoreWindow,
    told: u32,
    edges: Option<Edges>,
    ways: Ways,
}

impl Shift {
    pub(super) fn new(active: Active, now_ns: u64) -> Self {
        let start_ns = active.order.start_ns;
        // An order that came late owes nothing for the time before it came.
        let missed = now_ns.saturating_sub(start_ns) / WINDOW_NS * WINDOW_NS;
        Self {
            pacer: Pacer::new(start_ns),
            edges: Edges::of(active.order.waveform, start_ns),
            active,
            ended_ns: None,
            launched: 0,
            injected: false,
            started: false,
            checksum_said: false,
            window_from_ns: start_ns + missed,
            window_to_ns: start_ns + missed + WINDOW_NS,
            window: CoreWindow::default(),
            told: 0,
            ways: Ways::default(),
        }
    }

    /// The tile to corrupt in the next launch, if it is time.
    pub(super) fn injection(&mut self) -> Option<u32> {
        let injection = self.active.order.inject?;
        let once = !self.injected && self.launched >= injection.after_blocks;
        let due = injection.always || once;
        self.injected |= due;
        due.then_some(injection.core)
    }

    /// Counts a launch that is back, and says what was wrong with it.
    pub(super) fn count(
        &mut self,
        landed: &Landed,
        kernel: &Prepared,
        timeline: &Timeline,
        out: &mut Vec<LoadReport>,
    ) {
        let (flight, outcome) = (&landed.flight, &landed.outcome);
        let done = outcome.tiles_done();
        let work = done * u64::from(kernel.iterations);
        self.window.blocks += done;
        // Memory patterns are compared word by word inside the kernel.
        let compared = flight.compared || kernel.right.is_empty();
        self.window.verified += if compared { done } else { 0 };
        let (flops, bytes) = kernel.worth();
        self.window.flops += work * flops;
        self.window.bytes += work * bytes;
        if let Some((begin, end)) = outcome.span {
            let took = end - begin;
            self.window.busy_ns += took;
            if let Some(edges) = &mut self.edges
                && let (Some(begin), Some(end)) =
                    (timeline.monotonic(begin), timeline.monotonic(end))
            {
                edges.see(begin, end);
            }
            self.pacer.correct(flight.expected_ns, took);
        }
        let tiles: BTreeSet<u32> = outcome.flaws.iter().map(|flaw| flaw.tile).collect();
        self.window.mismatches += tiles.len() as u64;
        self.window.injected +=
            tiles.iter().filter(|t| flight.injected == Some(**t)).count() as u64;
        for flaw in &outcome.flaws {
            let at_ns = timeline.monotonic(flaw.at_ns).unwrap_or(landed.seen_ns);
            let injected = flight.injected == Some(flaw.tile);
            let text = describe(flaw, kernel.tiles);
            self.tell(at_ns, kernel.kernel, (flaw.tile, injected), text, out);
        }
    }

    /// Tiles that did not compute what the CPU did.
    pub(super) fn count_anchor(
        &mut self,
        landed: &Landed,
        kernel: &Prepared,
        misses: &[AnchorMiss],
        out: &mut Vec<LoadReport>,
    ) {
        for AnchorMiss { tile, expected, got } in misses {
            let injected = landed.flight.injected == Some(*tile);
            self.window.mismatches += 1;
            self.window.injected += u64::from(injected);
            let text = format!(
                "tile {tile}: hash {got:#018x}, the CPU computed {expected:#018x} in advance"
            );
            self.tell(landed.seen_ns, kernel.kernel, (*tile, injected), text, out);
        }
    }

    /// Counts a round of copies that is back: a block, compared in one of its pieces.
    pub(super) fn count_copies(&mut self, round: &Round, out: &mut Vec<LoadReport>) {
        self.window.blocks += 1;
        self.window.verified += 1;
        self.window.bytes += 2 * ROUND_BYTES as u64;
        let took_ns = round.up_ns.max(round.down_ns);
        self.window.busy_ns += took_ns;
        self.pacer.correct(round.expected_ns, took_ns);
        self.ways.add(round);
        if let Some(edges) = &mut self.edges {
            edges.see(round.seen_ns.saturating_sub(took_ns), round.seen_ns);
        }
        if let Some(wrong) = round.wrong {
            self.window.mismatches += 1;
            self.window.injected += u64::from(round.injected);
            let at = (wrong.piece, round.injected);
            self.tell(round.seen_ns, Kernel::Copy, at, wrong.words(), out);
        }
    }

    fn tell(
        &mut self,
        at_ns: u64,
        kernel: Kernel,
        (core, injected): (u32, bool),
        detail: String,
        out: &mut Vec<LoadReport>,
    ) {
        self.told += 1;
        if self.told <= MISMATCHES_REPORTED_MAX {
            out.push(LoadReport::Mismatch { at_ns, kernel, core, injected, detail });
        }
    }

    /// Hands the counters in when their second is over.
    pub(super) fn close_if_due(&mut self, now_ns: u64, out: &mut Vec<LoadReport>) -> bool {
        let due = self.ended_ns.is_none() && now_ns >= self.window_to_ns;
        if due {
            self.close(self.window_to_ns, out);
        }
        due
    }

    /// The order is over and its last launch is back.
    pub(super) fn close_last(&mut self, out: &mut Vec<LoadReport>) {
        let at_ns = self.ended_ns.unwrap_or(self.window_to_ns);
        self.close(at_ns, out);
        if let Some(text) = self.edges.as_ref().and_then(Edges::told) {
            out.push(LoadReport::Note { at_ns, text });
        }
    }

    fn close(&mut self, to_ns: u64, out: &mut Vec<LoadReport>) {
        let from_ns = self.window_from_ns;
        let window = std::mem::take(&mut self.window);
        self.told = 0;
        (self.window_from_ns, self.window_to_ns) = (to_ns, to_ns + WINDOW_NS);
        if to_ns <= from_ns && window.blocks == 0 {
            return;
        }
        let to_ns = to_ns.max(from_ns + 1);
        let level = self.active.mean_level(from_ns, to_ns);
        if let Some((up, down)) = self.ways.take() {
            let gauges = vec![(Gauge::CopyToDeviceGbS, up), (Gauge::CopyFromDeviceGbS, down)];
            out.push(LoadReport::Gauges { at_ns: to_ns, gauges });
        }
        let kernel = self.active.order.kernel;
        out.push(LoadReport::Window { kernel, from_ns, to_ns, level, cores: vec![window] });
    }
}

/// One flaw in words: where on the chip, and which bits.
pub(super) fn describe(flaw: &Flaw, tiles: u32) -> String {
    let Flaw { expected, got, tile, sm, warp_lane, kind, .. } = *flaw;
    let place = format!("tile {tile} on SM {sm}");
    let bits = got ^ expected;
    match flaw.kind() {
        Some(FlawKind::Hash) => format!("{place}: hash {got:#018x}, expected {expected:#018x}"),
        Some(FlawKind::Word) => {
            let at = flaw.word_offset(tiles).unwrap_or_default();
            format!(
                "{place}: word at byte {at} is {got:#018x}, was {expected:#018x} (bits {bits:#x})"
            )
        }
        Some(FlawKind::NotFinite) => {
            let (warp, lane) = (warp_lane >> 5, warp_lane & 31);
            format!("{place}, warp {warp} lane {lane}: NaN or infinity, bits {got:#018x}")
        }
        None => format!("{place}: flaw of kind {kind}, {got:#018x} for {expected:#018x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaw_is_told_with_its_place_and_bits() {
        let word = Flaw {
            expected: 0x10,
            got: 0x30,
            at_ns: 0,
            tile: 7,
            sm: 131,
            warp_lane: 3,
            kind: FlawKind::Word as u32,
        };
        let text = describe(&word, 100);
        assert!(text.starts_with("tile 7 on SM 131: word at byte 229400 is"), "{text}");
        assert!(text.ends_with("(bits 0x20)"), "{text}");
        let lane = Flaw { warp_lane: (3 << 5) | 17, kind: FlawKind::NotFinite as u32, ..word };
        assert!(describe(&lane, 100).contains("warp 3 lane 17: NaN"));
    }
}
