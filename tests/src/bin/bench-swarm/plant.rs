//! A building beside the fleet: PDUs and coolant units that the coordinator asks once a second,
//! and two devices that take its questions and never answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use coordinator::store::RunFile;
use fake_plant::modbus::{FakeModbus, Manner};
use fake_plant::snmp::{COMMUNITY, FakeAgent};
use fake_plant::walk;
use model::Record;
use proto::convert::records_from_batch;

const PDU: &str = include_str!("../../../data/meters/raritan_pdu2.walk");
const CDU: &str = include_str!("../../../data/meters/cdu.registers");
const CDU_MAP: &str = include_str!("../../../../docs/examples/meters/cdu_map.toml");
/// A point that each PDU and each coolant unit has.
const POINTS: [&str; 2] = ["power_kw", "supply_c"];

/// Doubles of devices; they end when this is dropped.
pub(crate) struct Plant {
    pub(crate) document: PathBuf,
    _pdus: Vec<FakeAgent>,
    _cdus: Vec<FakeModbus>,
    _mute: UdpSocket,
}

/// What was kept of the devices that answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) devices: usize,
    pub(crate) readings: u64,
    /// Most seconds between two readings of any device, and how many devices had as many as
    /// seconds passed, less two.
    pub(crate) longest_s: f64,
    pub(crate) complete: usize,
}

impl Plant {
    /// Starts every double and writes the document of sources that names them.
    pub(crate) fn start(pdus: usize, cdus: usize, folder: &Path) -> Result<Self> {
        let rows = walk::parse(PDU);
        let agents: Vec<FakeAgent> = (0..pdus)
            .map(|_| {
                let agent = FakeAgent::start(&[]);
                agent.set_all(rows.iter().cloned());
                agent
            })
            .collect();
        let units: Vec<FakeModbus> = (0..cdus).map(|_| unit()).collect::<Result<_>>()?;
        let mute = UdpSocket::bind("127.0.0.1:0")?;
        let mute_unit = FakeModbus::start();
        mute_unit.be(Manner::Mute);

        let mut text = "schema = 1\n[[source]]\nname = \"pdus\"\nkind = \"snmp\"\n\
                        version = \"2c\"\ncommunity_file = \"community\"\n\
                        device = \"raritan_pdu2\"\n"
            .to_owned();
        let addresses = agents.iter().map(FakeAgent::address);
        for (at, address) in addresses.chain([mute.local_addr()?]).enumerate() {
            write!(text, "[[source.target]]\naddress = \"{address}\"\ndomain = \"pdu-{at}\"\n")?;
        }
        text += "[[source]]\nname = \"cdus\"\nkind = \"modbus\"\nmap = \"cdu_map.toml\"\n";
        let units: Vec<FakeModbus> = units.into_iter().chain([mute_unit]).collect();
        for (at, unit) in units.iter().enumerate() {
            let address = unit.address();
            write!(text, "[[source.target]]\naddress = \"{address}\"\ndomain = \"cdu-{at}\"\n")?;
        }
        let document = folder.join("meters.toml");
        std::fs::write(&document, text)?;
        std::fs::write(folder.join("community"), COMMUNITY)?;
        std::fs::write(folder.join("cdu_map.toml"), CDU_MAP)?;
        Ok(Self { document, _pdus: agents, _cdus: units, _mute: mute })
    }
}

fn unit() -> Result<FakeModbus> {
    let server = FakeModbus::start();
    for line in CDU.lines().filter(|line| !line.starts_with('#')) {
        let (place, words) = line.split_once(": ").context("a place and its words")?;
        let place: Vec<u16> = place.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [unit, function, address] = place[..] else { anyhow::bail!("no place: {line}") };
        let words: Vec<u16> =
            words.split(' ').map(|word| u16::from_str_radix(word, 16)).collect::<Result<_, _>>()?;
        server.set(u8::try_from(unit)?, u8::try_from(function)?, address, &words);
    }
    Ok(server)
}

/// What a run's file kept of the meters over its window of `seconds`, from `from_ns` on.
pub(crate) fn heard(folder: &Path, from_ns: i64, seconds: u64) -> Result<Heard> {
    let file = RunFile::open(folder)?;
    let to_ns = from_ns + i64::try_from(seconds)? * 1_000_000_000;
    let mut readings = 0;
    let mut of: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    file.for_each_batch("", |stored| {
        // The building's batches are of no node.
        if !stored.batch.node.is_empty() {
            return Ok(());
        }
        for record in records_from_batch(&stored.batch).expect("the coordinator's own").records {
            let Record::Meter(reading) = record else { continue };
            if !(from_ns..to_ns).contains(&reading.time_ns) {
                continue;
            }
            readings += 1;
            if POINTS.contains(&reading.point.as_str()) {
                of.entry(reading.domain).or_default().push(reading.time_ns);
            }
        }
        Ok(())
    })?;
    let mut longest_ns = 0;
    for instants in of.values_mut() {
        instants.sort_unstable();
        let inner = instants.windows(2).map(|pair| pair[1] - pair[0]);
        longest_ns = inner.fold(longest_ns, i64::max);
    }
    let enough = usize::try_from(seconds)?.saturating_sub(2);
    Ok(Heard {
        devices: of.len(),
        readings,
        longest_s: longest_ns as f64 / 1e9,
        complete: of.values().filter(|instants| instants.len() >= enough).count(),
    })
}
