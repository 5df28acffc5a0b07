//! The fold: rows into cells, a chunk at a time.
//!
//! Names become small numbers once a chunk, rows of one cell are counted together: what is
//! looked up for a row is an entry of a table, and a cell's memory is touched once a chunk.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};

use model::record::{GpuSample, Sample};
use model::sample_columns::{Names, Slots};
use model::{Metric, SampleColumns};

use super::cell::Cell;
use super::{CellKey, DeviceKey, Telemetry};

/// A hasher without entropy; no order of a map is ever seen.
type Fixed = BuildHasherDefault<DefaultHasher>;

/// The cells while they are counted.
#[derive(Debug, Clone, Default)]
pub(in crate::digest) struct Fold {
    texts: Texts,
    ids: HashMap<CellId, usize, Fixed>,
    cells: Vec<(CellId, Cell)>,
}

/// Names by number.
#[derive(Debug, Clone, Default)]
struct Texts {
    numbers: HashMap<String, u32, Fixed>,
    texts: Vec<String>,
}

/// A cell's device and part of time, its texts by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct CellId {
    node: u32,
    device: u32,
    uuid: u32,
    phase: u32,
    block: u32,
}

impl Fold {
    /// Counts every row.
    pub(in crate::digest) fn add_columns(&mut self, columns: &SampleColumns) {
        let mut slots = columns.devices();
        for names in [&columns.phase, &columns.block].into_iter().flatten() {
            slots = slots.by_names(names);
        }
        let ids = self.ids_of(columns, &slots);
        let rows = slots.rows();
        let mut room = super::cell::Room::default();
        for (slot, id) in ids.into_iter().enumerate() {
            self.cell(id).add_rows(columns, rows.of(slot), &mut room);
        }
    }

    /// Counts one sample of one of our agents.
    pub(in crate::digest) fn add_sample(&mut self, node: &str, phase: &str, sample: &Sample) {
        let id = CellId {
            node: self.texts.number(node),
            device: sample.device,
            uuid: self.texts.number(""),
            phase: self.texts.number(phase),
            block: self.texts.number(""),
        };
        let mut values = vec![
            (Metric::PowerW, sample.power_w.value()),
            (Metric::TempC, sample.temp_c.value()),
            (Metric::ClockMhz, sample.clock_mhz.value()),
            (Metric::Busy, sample.busy.value()),
        ];
        let cell = self.cell(id);
        if let Some(gpu) = &sample.gpu {
            values.extend(of_gpu(gpu));
            let (mask, ecc) = (gpu.clock_event_reasons.value(), gpu.ecc_uncorrected.value());
            cell.add_words(mask, ecc, gpu.xid);
        }
        cell.add_moment(sample.time_ns, &values);
    }

    /// Adds another's cells.
    pub(in crate::digest) fn merge(&mut self, other: Self) {
        let numbers: Vec<u32> =
            other.texts.texts.iter().map(|text| self.texts.number(text)).collect();
        for (id, cell) in other.cells {
            let id = CellId {
                node: numbers[id.node as usize],
                uuid: numbers[id.uuid as usize],
                phase: numbers[id.phase as usize],
                block: numbers[id.block as usize],
                ..id
            };
            let ours = self.cell(id);
            if ours.rows() == 0 { *ours = cell } else { ours.merge(&cell) }
        }
    }

    /// The cells by their keys.
    pub(in crate::digest) fn freeze(self) -> Telemetry {
        let mut devices: BTreeMap<DeviceKey, BTreeMap<CellKey, Cell>> = BTreeMap::new();
        for (id, cell) in self.cells {
            let text = |number: u32| self.texts.texts[number as usize].clone();
            let device = DeviceKey { node: text(id.node), device: id.device, uuid: text(id.uuid) };
            let key = CellKey { phase: text(id.phase), block: text(id.block) };
            devices.entry(device).or_default().insert(key, cell);
        }
        Telemetry { devices }
    }

    /// Of each slot its cell.
    fn ids_of(&mut self, columns: &SampleColumns, slots: &Slots) -> Vec<CellId> {
        let mut numbers = |names: &Names| -> Vec<u32> {
            names.values.iter().map(|text| self.texts.number(text)).collect()
        };
        let node = numbers(&columns.node);
        let mut optional = |names: &Option<Names>| names.as_ref().map(&mut numbers);
        let (uuid, phase, block) =
            (optional(&columns.uuid), optional(&columns.phase), optional(&columns.block));
        let empty = self.texts.number("");
        let number = |names: &Names, numbers: &[u32], row: usize| {
            let key = names.keys.get(row).map(|key| *key as usize);
            key.and_then(|key| numbers.get(key)).copied().unwrap_or(empty)
        };
        let of = |names: &Option<Names>, numbers: &Option<Vec<u32>>, row: usize| match (
            names, numbers,
        ) {
            (Some(names), Some(numbers)) => number(names, numbers, row),
            _ => empty,
        };
        let id = |row: &u32| {
            let row = *row as usize;
            CellId {
                node: number(&columns.node, &node, row),
                device: columns.device[row],
                uuid: of(&columns.uuid, &uuid, row),
                phase: of(&columns.phase, &phase, row),
                block: of(&columns.block, &block, row),
            }
        };
        slots.first_rows().iter().map(id).collect()
    }

    fn cell(&mut self, id: CellId) -> &mut Cell {
        let cells = &mut self.cells;
        let at = *self.ids.entry(id).or_insert_with(|| {
            cells.push((id, Cell::default()));
            cells.len() - 1
        });
        &mut self.cells[at].1
    }

    /// Cells by their keys, for comparison: numbers depend on the order of rows.
    fn sorted(&self) -> BTreeMap<[&str; 4], BTreeMap<u32, &Cell>> {
        let mut sorted: BTreeMap<_, BTreeMap<u32, &Cell>> = BTreeMap::new();
        for (id, cell) in &self.cells {
            let texts = [id.node, id.uuid, id.phase, id.block];
            let texts = texts.map(|number| self.texts.texts[number as usize].as_str());
            sorted.entry(texts).or_default().insert(id.device, cell);
        }
        sorted
    }
}

fn of_gpu(gpu: &GpuSample) -> [(Metric, Option<f64>); 8] {
    [
        (Metric::MemTempC, gpu.mem_temp_c),
        (Metric::MarginC, gpu.margin_c),
        (Metric::PowerLimitW, gpu.power_limit_w),
        (Metric::EnergyJ, gpu.energy_j),
        (Metric::SwPowerCapS, gpu.sw_power_cap_s),
        (Metric::SwThermalS, gpu.sw_thermal_s),
        (Metric::HwThermalS, gpu.hw_thermal_s),
        (Metric::PowerBrakeS, gpu.power_brake_s),
    ]
    .map(|(metric, reading)| (metric, reading.value()))
}

impl PartialEq for Fold {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }
}

#[cfg(test)]
mod tests {
    use model::SampleRow;
    use proptest::prelude::*;

    use super::*;

    fn fold<'a>(chunks: impl IntoIterator<Item = &'a [SampleRow]>) -> Fold {
        let mut fold = Fold::default();
        chunks.into_iter().for_each(|rows| fold.add_columns(&SampleColumns::from_rows(rows)));
        fold
    }

    fn text(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop::sample::select(words).prop_map(str::to_owned))
    }

    prop_compose! {
        fn row()(
            time_ns in 0i64..200_000_000_000, node in text(&["n1", "n2"]),
            device in prop_oneof![0u32..3, Just(u32::MAX)], phase in text(&["idle", "hold"]),
            block in text(&["1", "2"]), uuid in text(&["u1", "u2"]),
            power_w in prop::option::of(50f64..700.0), temp_c in prop::option::of(20f64..90.0),
            reasons in prop::option::of(0u64..512), xid in prop::option::of(0u64..80),
        ) -> SampleRow {
            SampleRow {
                time_ns, node: node.unwrap_or_default(), device, phase, block, uuid, power_w,
                temp_c, clock_event_reasons: reasons, ecc_uncorrected: xid, xid,
                ..SampleRow::default()
            }
        }
    }

    #[test]
    fn a_sample_of_an_agent_and_the_same_row_of_a_table_are_one_evidence() {
        let row = SampleRow {
            time_ns: 7,
            node: "n1".to_owned(),
            device: 1,
            phase: Some("hold".to_owned()),
            power_w: Some(300.0),
            energy_j: Some(1e6),
            power_brake_s: Some(2.5),
            clock_event_reasons: Some(0x84),
            ecc_uncorrected: Some(3),
            xid: Some(79),
            ..SampleRow::default()
        };
        let gpu = GpuSample {
            energy_j: model::Reading::Value(1e6),
            power_brake_s: model::Reading::Value(2.5),
            clock_event_reasons: model::Reading::Value(0x84),
            ecc_uncorrected: model::Reading::Value(3),
            xid: Some(79),
            ..GpuSample::default()
        };
        let sample = Sample {
            time_ns: 7,
            device: 1,
            power_w: model::Reading::Value(300.0),
            gpu: Some(Box::new(gpu)),
            ..Sample::default()
        };
        let mut live = Fold::default();
        live.add_sample("n1", "hold", &sample);
        assert_eq!(live, fold([&[row][..]]));
    }

    proptest! {
        #[test]
        fn order_chunks_and_digests_do_not_show(
            rows in prop::collection::vec(row(), 0..120),
            size in 1usize..40,
            rotate in 0usize..40,
        ) {
            let whole = fold([&rows[..]]);
            let mut chunks: Vec<&[SampleRow]> = rows.chunks(size).collect();
            let turns = rotate.min(chunks.len());
            chunks.rotate_left(turns);
            let shuffled = fold(chunks.iter().copied());
            prop_assert_eq!(&whole, &shuffled);
            let (evens, odds): (Vec<_>, Vec<_>) =
                chunks.iter().enumerate().partition(|(at, _)| at % 2 == 0);
            let part = |part: Vec<(usize, &&[SampleRow])>| fold(part.into_iter().map(|(_, c)| *c));
            let mut merged = part(odds);
            merged.merge(part(evens));
            prop_assert_eq!(&whole, &merged);
            let words = |fold: Fold| format!("{:?}", fold.freeze());
            prop_assert_eq!(words(whole), words(merged));
        }
    }
}
