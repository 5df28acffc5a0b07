//! What the fuzzer begins with: one or more right inputs for each target. `seeds ROOT CORPUS`.

#![no_main]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool that must stop where it can't go on")]

use std::fs;
use std::path::{Path, PathBuf};

use agent::spool::{Identity, Limits, Spool};
use coordinator::store::{JournalEntry, RunFile, StoredBatch};
use formats::{MeterRow, MeterWriter, PairReader, PairWriter, SampleRow, SampleWriter};
use libfuzzer_sys::fuzz_target;
use model::id::{AgentInstance, RunId};
use model::load::{Kernel, Waveform};
use model::reading::Reading;
use model::record::{Event, EventKind, Record, Sample};
use prost::Message;
use proto::convert::{load_to_wire, records_to_bytes};
use proto::v1;

// Linked with the fuzzer, whose counters are in every crate: it writes before it would fuzz.
fuzz_target!(
    init: {
        if write() {
            std::process::exit(0);
        }
    },
    |_data: &[u8]| {}
);

fn write() -> bool {
    let mut words = std::env::args().skip(1).map(PathBuf::from);
    let (root, corpus) = (words.next().expect("ROOT"), words.next().expect("CORPUS"));
    documents(&root, &corpus);
    tables(&corpus);
    wire(&corpus);
    let records = records();
    put(&corpus, "records", "all", &records);
    spool(&corpus, &records);
    run_file(&corpus, &records);
    texts(&corpus);
    true
}

fn put(corpus: &Path, target: &str, name: &str, bytes: &[u8]) {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("seed-{name}")), bytes).unwrap();
}

fn documents(root: &Path, corpus: &Path) {
    let site = fs::read_to_string(root.join("examples/three-pods.toml")).unwrap();
    put(corpus, "documents", "site", site.as_bytes());
    for name in ["acceptance", "quick", "policy"] {
        let text = fs::read_to_string(root.join(format!("formats/src/builtin/{name}.toml")));
        let text = text.unwrap();
        put(corpus, "documents", name, text.as_bytes());
        put(corpus, "documents", &format!("site-and-{name}"), format!("{site}\n===\n{text}").as_bytes());
    }
    let interlocks = "schema = 1\n[[rule]]\nname = \"supply\"\nsource = \"meter\"\n\
        point = \"supply_c\"\nof = \"loop\"\nabove = 45\nclear = 43\nfor_seconds = 2\n\
        action = \"shed\"\n";
    put(corpus, "documents", "interlocks", interlocks.as_bytes());
    let permit = "schema = 1\nissued_by = \"a\"\nsite = \"s\"\ntotal_kw = 9\n[[window]]\n\
        from = \"2026-01-31T20:00:00Z\"\nto = \"2026-02-01T06:00:00Z\"\n[[domain]]\non = \"pdu\"\n\
        kw_per_s_down = 2\n[[waveform]]\nkind = \"hold\"\n[[release]]\nstep = 25\nwho = [\"B\"]\n";
    put(corpus, "documents", "permit", permit.as_bytes());
}

/// The same few rows as CSV and as Parquet.
fn tables(corpus: &Path) {
    let scratch = corpus.join("scratch");
    fs::create_dir_all(&scratch).unwrap();
    let sample = SampleRow { node: "n1".to_owned(), power_w: Some(650.0), ..SampleRow::default() };
    let meter = MeterRow {
        time_ns: 1_790_000_000_000_000_000,
        domain: "pdu-1".to_owned(),
        point: "power_kw".to_owned(),
        value: Some(31.5),
        unit: Some("kW".to_owned()),
        quality: None,
        clock_error_ms: Some(3.0),
    };
    let pairs = "time,round,src,dst,sport,gbps\n1790000000,1,n1,n2,4000,98.5\n";
    for ending in ["csv", "parquet"] {
        let target = if ending == "csv" { "tables" } else { "columns" };
        let keep = |name: &str| {
            put(corpus, target, name, &fs::read(scratch.join(format!("{name}.{ending}"))).unwrap());
        };
        let at = |name: &str| scratch.join(format!("{name}.{ending}"));
        let mut writer = SampleWriter::create(&at("samples")).unwrap();
        writer.push(sample.clone()).unwrap();
        writer.finish().unwrap();
        let mut writer = MeterWriter::create(&at("meters")).unwrap();
        writer.push(meter.clone()).unwrap();
        writer.finish().unwrap();
        fs::write(scratch.join("given.csv"), pairs).unwrap();
        let mut writer = PairWriter::create(&at("pairs")).unwrap();
        for row in PairReader::open(&scratch.join("given.csv")).unwrap().flat_map(Result::unwrap) {
            writer.push(row).unwrap();
        }
        writer.finish().unwrap();
        ["samples", "meters", "pairs"].into_iter().for_each(keep);
    }
    fs::remove_dir_all(scratch).unwrap();
}

fn wire(corpus: &Path) {
    let waveform = Waveform::Square { low: 0.2, high: 0.9, period_ns: 2_000_000_000 };
    let load = load_to_wire(Kernel::Mix, waveform);
    let order = v1::WorkerLoad { load: Some(load.clone()), ..v1::WorkerLoad::default() };
    let command = v1::WorkerCommand { kind: Some(v1::worker_command::Kind::Load(order)) };
    put(corpus, "wire", "command", &command.encode_to_vec());
    let arm = v1::Arm { load: Some(load), ..v1::Arm::default() };
    let kind = Some(v1::coordinator_message::Kind::Arm(arm));
    put(corpus, "wire", "arm", &v1::CoordinatorMessage { kind }.encode_to_vec());
    let hello = v1::Hello { protocol_version: 1, node: "n1".to_owned(), ..v1::Hello::default() };
    let kind = Some(v1::agent_message::Kind::Hello(hello));
    put(corpus, "wire", "hello", &v1::AgentMessage { kind }.encode_to_vec());
}

fn records() -> Vec<u8> {
    let sample = Sample { time_ns: 5, power_w: Reading::Value(650.0), ..Sample::default() };
    let event = Event {
        time_ns: 6,
        kind: EventKind::Note,
        device: Some(0),
        core: None,
        phase: String::new(),
        text: "a note".to_owned(),
        injected: false,
    };
    records_to_bytes(&[Record::Sample(sample), Record::Event(event)])
}

fn spool(corpus: &Path, records: &[u8]) {
    let dir = corpus.join("scratch-spool");
    let own = Identity { instance: AgentInstance("a".to_owned()), boot_id: "b".to_owned() };
    let (mut spool, _) = Spool::open(&dir, own, Limits::within(1 << 20)).unwrap();
    for _ in 0..3 {
        spool.append(&RunId("r".to_owned()), 2, records).unwrap();
    }
    let stream = spool.pending()[0].stream.clone();
    spool.ack(&stream, 1).unwrap();
    spool.sync().unwrap();
    drop(spool);
    let ledger = fs::read(dir.join("ledger")).unwrap_or_default();
    let segment = fs::read(dir.join("0000000000000001.seg")).unwrap();
    let mut bytes = (ledger.len() as u16).to_le_bytes().to_vec();
    bytes.extend(ledger);
    bytes.extend(segment);
    put(corpus, "spool", "three-batches", &bytes);
    fs::remove_dir_all(dir).unwrap();
}

fn run_file(corpus: &Path, records: &[u8]) {
    let dir = corpus.join("scratch-run");
    let mut file = RunFile::create(&dir).unwrap();
    let batch = v1::Batch {
        run_id: "r".to_owned(),
        node: "n1".to_owned(),
        instance: "a".to_owned(),
        seq: 1,
        records: records.to_vec(),
        ..v1::Batch::default()
    };
    let ended = JournalEntry::Ended { how: "finished".to_owned(), why: String::new() };
    let stored = StoredBatch { batch, received_ns: 7 };
    file.commit(&[stored], &[(8, ended.clone())]).unwrap();
    let path = file.path().to_owned();
    drop(file);
    put(corpus, "run_file", "one-batch", &fs::read(path).unwrap());
    fs::remove_dir_all(dir).unwrap();
    let suspended = JournalEntry::Suspended { phase: 3 };
    for (name, entry) in [("ended", ended), ("suspended", suspended)] {
        put(corpus, "journal", name, &serde_json::to_vec(&entry).unwrap());
    }
}

fn texts(corpus: &Path) {
    put(corpus, "words", "name", b"loadbank://agent/gpu001");
    put(corpus, "words", "names", b"gpu001\ngpu002\ngpu003");
    let token = format!("lbjoin1.{0}.{0}.1790000000.gpu001", "ab".repeat(32));
    put(corpus, "words", "token", token.as_bytes());
}
