use formats::sources::SourceKind;

use super::super::doubles::broker::Broker;
use super::super::doubles::kind_of;
use super::*;

fn listening(broker: &Broker, keys: &str, maps: &str) -> Mqtt {
    let address = broker.address;
    let rest = format!(
        "plain_text = true\nheartbeat_seconds = 1\n{keys}\n[[source.target]]\n\
         address = \"{address}\"\ndomain = \"hall\"\n{maps}"
    );
    let SourceKind::Mqtt(source) = kind_of("mqtt", &rest) else { panic!() };
    Mqtt::new(&source, &source.targets[0]).unwrap()
}

fn value(number: &str, stamp_ms: i64) -> String {
    format!("{{\"value\":{number},\"timestamp\":{stamp_ms},\"quality\":1}}")
}

const SUPPLY: &str = "Rack/RackLiquidSupplyTemperature/H1/R7/Supply";
const BEAT: &str = "BMS/v1/PUB/Value/System/HeartbeatTimestampBms/BMS";

fn topic(what: &str, tail: &str) -> String {
    format!("BMS/v1/PUB/{what}/{tail}")
}

/// Reads until something of use was heard, or a read failed.
async fn heard(meter: &mut Mqtt) -> Result<Round, MeterError> {
    let all = async {
        loop {
            let round = meter.read().await?;
            if !(round.readings.is_empty() && round.wrong.is_empty()) || round.heartbeat {
                return Ok(round);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("something is heard")
}

/// Publishes once the meter listens.
async fn when_listening(broker: &Broker) {
    while broker.hearing(&topic("Value", "Rack/RackPower/x")) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn told(round: &Round) -> Vec<(&str, &str, f64, bool)> {
    let of = |r: &'_ super::super::port::Reading| (r.value, r.good);
    round.readings.iter().map(|r| (r.domain.as_str(), r.point.as_str(), of(r).0, of(r).1)).collect()
}

#[tokio::test]
async fn metadata_say_where_a_value_belongs_and_in_which_unit() {
    let broker = Broker::start().await;
    broker.keep(&topic("Metadata", SUPPLY), r#"{"rackLocationId":"loop-7","engUnit":"F"}"#);
    broker.keep(
        &topic("Metadata", "Rack/RackPower/x"),
        r#"{"rackLocationId":"r7","engUnit":"kW","isSetpoint":true}"#,
    );
    let mut meter = listening(&broker, "", "");
    let (round, ()) = tokio::join!(heard(&mut meter), async {
        when_listening(&broker).await;
        broker.publish(&topic("Value", "Rack/RackPower/x"), &value("5", 1));
        broker.publish(&topic("Value", SUPPLY), &value("95", 1_700_000_000_123));
    });
    let round = round.unwrap();
    assert_eq!(told(&round), [("loop-7", "supply_c", 35.0, true)]);
    assert_eq!(round.readings[0].stamp_ns, Some(1_700_000_000_123_000_000));
    assert!(!round.heartbeat);
    broker.publish(&topic("Value", SUPPLY), "{\"value\":41,\"timestamp\":2,\"quality\":0,\"x\":1}");
    let round = heard(&mut meter).await.unwrap();
    assert_eq!(told(&round), [("loop-7", "supply_c", 5.0, false)]);
    assert!(round.wrong[0].contains("\"x\""), "{:?}", round.wrong);
    // Nothing was ever sent but: come in, listen, acknowledged, still there.
    assert!(broker.packets().iter().all(|kind| [1, 8, 4, 12].contains(kind)));
}

#[tokio::test]
async fn maps_choose_points_and_name_their_domains() {
    let broker = Broker::start().await;
    for tag in ["H1/PDU-A1/I", "H1/PDU-B1/I"] {
        let metadata = r#"{"objectId":"x","phase":"B","engUnit":"A"}"#;
        broker.keep(&topic("Metadata", &format!("PowerMeter/PhaseCurrent/{tag}")), metadata);
    }
    let map = "[[source.map]]\nobject = \"PowerMeter\"\ntag = \"*/PDU-A1/*\"\ndomain = \"pdu-a\"\n";
    let mut meter = listening(&broker, "", map);
    let (round, ()) = tokio::join!(heard(&mut meter), async {
        when_listening(&broker).await;
        broker.publish(&topic("Value", "PowerMeter/PhaseCurrent/H1/PDU-B1/I"), &value("1", 1));
        broker.publish(&topic("Value", "PowerMeter/PhaseCurrent/H1/PDU-A1/I"), &value("31", 1));
    });
    assert_eq!(told(&round.unwrap()), [("pdu-a", "current_a.l2", 31.0, true)]);
}

#[tokio::test]
async fn a_leak_anywhere_is_the_alarm_of_its_domain() {
    let broker = Broker::start().await;
    let tails = ["Rack/RackLeakDetect/a", "Rack/RackLeakDetectTray/b"];
    for tail in tails {
        broker.keep(&topic("Metadata", tail), r#"{"rackLocationId":"r7"}"#);
    }
    let mut meter = listening(&broker, "", "");
    let (round, ()) = tokio::join!(heard(&mut meter), async {
        when_listening(&broker).await;
        // One says no leak; the other has said nothing yet, and then says leak.
        broker.publish(&topic("Value", tails[0]), &value("0", 1));
        tokio::time::sleep(Duration::from_millis(300)).await;
        broker.publish(&topic("Value", tails[1]), &value("1", 1));
    });
    assert_eq!(told(&round.unwrap()), [("r7", "alarm", 1.0, true)]);
    broker.publish(&topic("Value", tails[0]), &value("0", 2));
    assert_eq!(told(&heard(&mut meter).await.unwrap()), [("r7", "alarm", 1.0, true)]);
    broker.publish(&topic("Value", tails[1]), &value("0", 2));
    assert_eq!(told(&heard(&mut meter).await.unwrap()), [("r7", "alarm", 0.0, true)]);
}

#[tokio::test]
async fn a_lost_heartbeat_is_silence_even_while_values_come() {
    let broker = Broker::start().await;
    broker.keep(&topic("Metadata", SUPPLY), r#"{"rackLocationId":"loop-7","engUnit":"C"}"#);
    // Kept from before: no sign of life.
    broker.keep(BEAT, &value("1", 1));
    let mut meter = listening(&broker, "", "");
    let publishing = async {
        for number in 0.. {
            broker.publish(&topic("Value", SUPPLY), &value("30", number));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let silent = async {
        loop {
            match meter.read().await {
                Ok(round) => assert!(!round.heartbeat),
                Err(error) => return error,
            }
        }
    };
    let error = tokio::select! { error = silent => error, () = publishing => unreachable!() };
    assert_eq!(error, MeterError::Silent("no heartbeat of its system for 3 s".to_owned()));
    // A fresh session hears values, which count again from the first heartbeat on.
    let (round, ()) = tokio::join!(heard(&mut meter), async {
        while broker.connections() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        when_listening(&broker).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        broker.publish(&topic("Value", SUPPLY), &value("31", 1_000));
        broker.publish(BEAT, &value("2", 2));
        broker.publish(&topic("Value", SUPPLY), &value("32", 1_001));
    });
    let round = round.unwrap();
    assert!(round.heartbeat);
    assert_eq!(told(&round), [("loop-7", "supply_c", 32.0, true)]);
}

#[tokio::test]
async fn a_heartbeat_of_the_same_instant_is_none() {
    let broker = Broker::start().await;
    let mut meter = listening(&broker, "", "");
    let (round, ()) = tokio::join!(heard(&mut meter), async {
        when_listening(&broker).await;
        broker.publish(BEAT, &value("1", 7));
    });
    assert!(round.unwrap().heartbeat);
    let (again, ()) = tokio::join!(heard(&mut meter), async {
        for _ in 0..40 {
            broker.publish(BEAT, &value("1", 7));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(matches!(again, Err(MeterError::Silent(_))), "{again:?}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_a_broker_that_leaves_is_called_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "wrong").unwrap();
    let broker = Broker::start().await;
    broker.ask_for("loadbank", "right");
    let keys = format!("user = \"loadbank\"\npassword_file = \"{}\"", file.display());
    let mut meter = listening(&broker, &keys, "");
    let refused = meter.read().await.unwrap_err();
    assert!(matches!(refused, MeterError::Refused(_)), "{refused}");
    std::fs::write(&file, "right").unwrap();
    let (left, ()) = tokio::join!(heard(&mut meter), async {
        when_listening(&broker).await;
        broker.hang_up();
    });
    assert!(matches!(left, Err(MeterError::Silent(_))), "{left:?}");
    while broker.hearing(&topic("Value", "x")) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (round, ()) = tokio::join!(heard(&mut meter), async {
        when_listening(&broker).await;
        broker.publish(BEAT, &value("1", 1));
    });
    assert!(round.unwrap().heartbeat);
}

#[tokio::test]
async fn a_packet_that_is_too_long_and_bytes_that_are_none_end_the_session() {
    for bytes in [&[0x30, 0xFF, 0xFF, 0xFF, 0x7F][..], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let broker = Broker::start().await;
        let mut meter = listening(&broker, "", "");
        let (wrong, ()) = tokio::join!(heard(&mut meter), async {
            when_listening(&broker).await;
            broker.say(bytes);
        });
        assert!(matches!(wrong, Err(MeterError::Nonsense(_))), "{wrong:?}");
    }
}
