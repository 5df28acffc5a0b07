use formats::sources::{Function, Mapped};
use proptest::prelude::*;

use super::*;

fn register(address: u16, kind: RegisterKind) -> Register {
    Register {
        unit_id: 1,
        function: Function::Input,
        address,
        kind,
        low_first: false,
        bit: None,
        mapped: Mapped {
            point: format!("point_{address}"),
            scale: 1.0,
            unit: "",
            none: vec![-32_768, 65_535],
            alarm_when: None,
            line: 3,
        },
    }
}

fn planned(points: Vec<Register>) -> Vec<Block> {
    blocks(&ModbusMap { file: "cdu.toml".to_owned(), points }).unwrap()
}

fn spans(points: Vec<Register>) -> Vec<(u16, u16, usize)> {
    let blocks = planned(points).into_iter();
    blocks.map(|block| (block.span.first, block.span.count, block.entries.len())).collect()
}

fn value(register: &Register, words: &[u16]) -> Option<f64> {
    let block = planned(vec![register.clone()]).remove(0);
    block.entries[0].value(&block.span, words)
}

#[test]
fn near_registers_are_read_together_and_far_ones_are_not() {
    let u16s = |at: &[u16]| at.iter().map(|at| register(*at, RegisterKind::U16)).collect();
    assert_eq!(spans(u16s(&[104, 100, 101])), [(100, 5, 3)]);
    assert_eq!(spans(u16s(&[100, 117])), [(100, 18, 2)]);
    assert_eq!(spans(u16s(&[100, 118])), [(100, 1, 1), (118, 1, 1)]);
    let crowded: Vec<u16> = (0..130).collect();
    assert_eq!(spans(u16s(&crowded)), [(0, 125, 125), (125, 5, 5)]);
    let last = register(65_534, RegisterKind::U32);
    assert_eq!(spans(vec![last]), [(65_534, 2, 1)]);

    let other_unit = Register { unit_id: 2, ..register(101, RegisterKind::U16) };
    let other_function = Register { function: Function::Holding, ..other_unit.clone() };
    let all = vec![register(100, RegisterKind::U16), other_unit, other_function];
    assert_eq!(planned(all).len(), 3);
}

#[test]
fn bits_make_numbers_by_type_and_order() {
    let signed = register(0, RegisterKind::I16);
    assert_eq!(value(&signed, &[0xffe7]), Some(-25.0));
    let whole = register(0, RegisterKind::U32);
    assert_eq!(value(&whole, &[0x0001, 0x0002]), Some(65_538.0));
    let swapped = Register { low_first: true, ..whole };
    assert_eq!(value(&swapped, &[0x0002, 0x0001]), Some(65_538.0));
    let [high, low] = [50.25_f32.to_bits() >> 16, 50.25_f32.to_bits() & 0xffff].map(|w| w as u16);
    assert_eq!(value(&register(0, RegisterKind::F32), &[high, low]), Some(50.25));
    let bit = Register { bit: Some(3), ..register(0, RegisterKind::U16) };
    assert_eq!((value(&bit, &[0b1000]), value(&bit, &[0b0111])), (Some(1.0), Some(0.0)));
}

#[test]
fn sentinels_and_floats_that_are_no_number_are_no_reading() {
    assert_eq!(value(&register(0, RegisterKind::U16), &[0xffff]), None);
    assert_eq!(value(&register(0, RegisterKind::I16), &[0x8000]), None);
    // Unless the map says so, 0x8000 is a number like others.
    assert_eq!(value(&register(0, RegisterKind::U16), &[0x8000]), Some(32_768.0));
    for float in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let bits = float.to_bits();
        let words = [(bits >> 16) as u16, bits as u16];
        assert_eq!(value(&register(0, RegisterKind::F32), &words), None, "{float}");
    }
    let bit = Register { bit: Some(3), ..register(0, RegisterKind::U16) };
    assert_eq!(value(&bit, &[0xffff]), None);
}

proptest! {
    #[test]
    fn every_point_is_asked_for_once_within_the_limit(
        at in prop::collection::vec((any::<u16>(), any::<bool>()), 1..100)
    ) {
        let kind = |wide| if wide { RegisterKind::F32 } else { RegisterKind::U16 };
        let points = at.iter().map(|(at, wide)| register((*at).min(65_534), kind(*wide))).collect();
        let blocks = planned(points);
        prop_assert_eq!(blocks.iter().map(|block| block.entries.len()).sum::<usize>(), at.len());
        for block in blocks {
            prop_assert!((1..=REGISTERS_MAX).contains(&block.span.count));
            let words = vec![1; usize::from(block.span.count)];
            for entry in &block.entries {
                prop_assert!(entry.value(&block.span, &words).is_some());
            }
        }
    }

    #[test]
    fn random_registers_are_finite_numbers_or_none(words in prop::collection::vec(any::<u16>(), 0..4)) {
        for kind in [RegisterKind::U16, RegisterKind::I16, RegisterKind::U32, RegisterKind::F32] {
            if let Some(value) = value(&register(0, kind), &words) {
                prop_assert!(value.is_finite());
            }
        }
    }
}
