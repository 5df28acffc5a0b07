use analysis::digest::meters::Point;
use fake_plant::modbus::{FakeModbus, Manner};
use formats::sources::ModbusMap;

use super::super::port::Reading;
use super::*;

const DEADLINE: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(400);

const MAP: &str = "schema = 1
[[point]]
point = \"supply_c\"
unit_id = 1
fc = 4
address = 100
type = \"i16\"
scale = 0.1
none = -32768
[[point]]
point = \"return_c\"
unit_id = 1
fc = 4
address = 102
type = \"i16\"
scale = 0.1
none = -32768
[[point]]
point = \"alarm\"
unit_id = 1
fc = 3
address = 8
type = \"u16\"
bit = 2
";

fn meter(server: &FakeModbus, map: &str, deadline: Duration) -> Modbus {
    let map = ModbusMap::parse("cdu.toml", map).unwrap();
    let source = ModbusSource { map, targets: Vec::new() };
    let address = server.address().to_string();
    Modbus::new(&source, &Target { address, domain: "cdu-1".to_owned(), line: 1 }, deadline)
        .unwrap()
}

fn cdu() -> FakeModbus {
    let server = FakeModbus::start();
    server.set(1, 4, 100, &[183, 0, 274]);
    server.set(1, 3, 8, &[0]);
    server
}

fn points(round: &Round) -> Vec<(&str, f64)> {
    let rounded = |value: f64| (value * 1e3).round() / 1e3;
    let readings = round.readings.iter();
    readings.map(|reading| (reading.point.as_str(), rounded(reading.value))).collect()
}

#[tokio::test]
async fn registers_are_read_in_few_requests_over_one_connection() {
    let server = cdu();
    let mut meter = meter(&server, MAP, DEADLINE);
    let round = meter.read().await.unwrap();
    assert_eq!(points(&round), [("supply_c", 18.3), ("return_c", 27.4), ("alarm", 0.0)]);
    server.set(1, 4, 100, &[201]);
    server.set(1, 3, 8, &[0b101]);
    let round = meter.read().await.unwrap();
    assert_eq!(points(&round), [("supply_c", 20.1), ("return_c", 27.4), ("alarm", 1.0)]);
    let asked = [(1, 3, 8, 1), (1, 4, 100, 3)];
    assert_eq!(server.requests(), [asked, asked].concat());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_forbidden_register_between_two_points_costs_one_request_and_no_reading() {
    let server = FakeModbus::start();
    for (address, value) in [(100, 183), (102, 274)] {
        server.set(1, 4, address, &[value]);
    }
    server.set(1, 3, 8, &[4]);
    let mut meter = meter(&server, MAP, DEADLINE);
    for _ in 0..2 {
        assert_eq!(meter.read().await.unwrap().readings.len(), 3);
    }
    let counts: Vec<u16> = server.requests().iter().map(|request| request.3).collect();
    assert_eq!(counts, [1, 3, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn an_exception_names_the_line_of_the_map() {
    let server = FakeModbus::start();
    server.set(1, 4, 100, &[183]);
    let round = meter(&server, MAP, DEADLINE).read().await.unwrap();
    assert_eq!(points(&round), [("supply_c", 18.3)]);
    let expected = [
        "alarm (cdu.toml:19): exception 2, illegal address",
        "return_c (cdu.toml:11): exception 2, illegal address",
    ];
    assert_eq!(round.wrong, expected);

    let gateway = FakeModbus::start();
    gateway.set(9, 4, 100, &[1]);
    let told = meter(&gateway, MAP, DEADLINE).read().await.unwrap_err();
    assert!(matches!(&told, MeterError::Nonsense(why) if why.contains("gateway")), "{told}");
}

#[tokio::test]
async fn a_sentinel_is_no_reading_and_a_device_of_sentinels_is_none() {
    let server = cdu();
    let mut meter = meter(&server, MAP, DEADLINE);
    server.set(1, 4, 100, &[0x8000]);
    assert_eq!(points(&meter.read().await.unwrap()), [("return_c", 27.4), ("alarm", 0.0)]);
    server.set(1, 4, 102, &[0x8000]);
    assert_eq!(points(&meter.read().await.unwrap()), [("alarm", 0.0)]);
}

#[tokio::test]
async fn what_does_not_answer_well_is_named_within_the_deadline() {
    for (manner, nonsense) in [(Manner::Mute, false), (Manner::Garbage, true), (Manner::Cut, false)]
    {
        let server = cdu();
        server.be(manner);
        let mut meter = meter(&server, MAP, SHORT);
        let read = timeout(SHORT, meter.read()).await.expect("within the deadline");
        let told = read.unwrap_err();
        assert_eq!(matches!(told, MeterError::Nonsense(_)), nonsense, "{manner:?}: {told}");
        assert_eq!(matches!(told, MeterError::Silent(_)), !nonsense, "{manner:?}: {told}");
        // And it is read again as soon as it answers.
        server.be(Manner::Well);
        assert_eq!(meter.read().await.unwrap().readings.len(), 3, "{manner:?}");
    }
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let map = ModbusMap::parse("cdu.toml", MAP).unwrap();
    let target = Target { address: gone.to_string(), domain: "cdu-1".to_owned(), line: 1 };
    let mut nobody =
        Modbus::new(&ModbusSource { map, targets: Vec::new() }, &target, SHORT).unwrap();
    let told = nobody.read().await.unwrap_err();
    assert!(matches!(told, MeterError::Silent(_)), "{told}");
}

#[tokio::test]
async fn a_late_answer_to_another_question_is_passed_over() {
    let server = cdu();
    server.be(Manner::Stale);
    let round = meter(&server, MAP, DEADLINE).read().await.unwrap();
    assert_eq!(points(&round), [("supply_c", 18.3), ("return_c", 27.4), ("alarm", 0.0)]);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_opened_again() {
    let server = cdu();
    let mut meter = meter(&server, MAP, DEADLINE);
    assert!(meter.read().await.is_ok());
    server.be(Manner::Hangup);
    while !server.has_hung_up() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(meter.read().await.is_ok());
    assert_eq!(server.connections(), 2);
}

/// Sets the registers of a dump.
fn load(server: &FakeModbus, dump: &str) {
    for line in dump.lines().filter(|line| !line.starts_with('#')) {
        let (place, words) = line.split_once(": ").unwrap();
        let place: Vec<u16> = place.split(' ').map(|part| part.parse().unwrap()).collect();
        let words = words.split(' ').map(|word| u16::from_str_radix(word, 16).unwrap());
        let words: Vec<u16> = words.collect();
        server.set(place[0] as u8, place[1] as u8, place[2], &words);
    }
}

#[tokio::test]
async fn the_example_of_a_cdu_reads_its_register_dump() {
    let server = FakeModbus::start();
    load(&server, include_str!("../../../../tests/data/meters/cdu.registers"));
    let map = include_str!("../../../../docs/examples/meters/cdu_map.toml");
    let mut meter = meter(&server, map, DEADLINE);
    let round = meter.read().await.unwrap();
    let own = |reading: &Reading| match Point::of(&reading.point) {
        Some(point) => point.value(reading.value, reading.unit).unwrap(),
        None => reading.value,
    };
    let rounded = |value: f64| (value * 1e3).round() / 1e3;
    let mut points: Vec<(&str, f64)> =
        round.readings.iter().map(|r| (r.point.as_str(), rounded(own(r)))).collect();
    points.sort_by(|a, b| a.0.cmp(b.0));
    let expected = [
        ("alarm", 0.0),
        ("dp_kpa", 85.0),
        ("flow_lpm", 300.0),
        ("power_kw", 212.4),
        ("pump_speed_percent", 71.5),
        ("return_c", 27.4),
        ("supply_c", 18.3),
    ];
    assert_eq!((points.as_slice(), round.wrong.len()), (&expected[..], 0));
    assert_eq!(server.requests().len(), 2);

    // A leak, beside a sensor that broke.
    server.set(1, 3, 8, &[0x00ff]);
    server.set(1, 4, 101, &[0x8000]);
    let round = meter.read().await.unwrap();
    let alarm = round.readings.iter().find(|reading| reading.point == "alarm").unwrap();
    assert_eq!((alarm.value, round.readings.len()), (1.0, 6));
}
