//! A building on stage: what its meters show is said over SNMP, Redfish, MQTT and by a
//! Prometheus at the same time, faster than it happened.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_snmp::{Oid, Value};
use fake_plant::snmp::FakeAgent;

use super::broker::Broker;
use super::course::Course;
use super::http::HttpDouble;

/// Distance of looks at the course.
pub const BEAT: Duration = Duration::from_millis(50);
/// The system's own heartbeat, each second here.
const BEATS_A_HEARTBEAT: u64 = 20;

const CDU: &str = include_str!("../../data/meters/redfish_cdu.json");
const CONNECTOR: &str = "/redfish/v1/ThermalEquipment/CDUs/1/SecondaryCoolantConnectors/1";
const TOPIC: &str = "BMS/v1/PUB";
/// Server Technology's tables: cord, line, phase.
const SENTRY: &str = "1.3.6.1.4.1.1718.4.1";
const LINES: [&str; 3] = ["l1", "l2", "l3"];

/// Points of a loop: word, point of the BMS, unit, key of a Redfish connector.
const OF_LOOPS: [(&str, &str, &str, &str); 3] = [
    ("supply_c", "RackLiquidSupplyTemperature", "C", "SupplyTemperatureCelsius"),
    ("return_c", "RackLiquidReturnTemperature", "C", "ReturnTemperatureCelsius"),
    ("flow_lpm", "RackLiquidFlow", "LPM", "FlowLitersPerMinute"),
];

/// Which domains are told over which protocol.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub snmp: Vec<String>,
    pub prometheus: Vec<String>,
    pub redfish: Vec<String>,
    pub mqtt: Vec<String>,
}

/// Doubles that play a course.
pub struct Stage {
    course: Course,
    parts: Parts,
    /// First instant of the course, and when it was played.
    first_ns: i64,
    began_ns: i64,
    speed: f64,
    pdus: Vec<FakeAgent>,
    prometheus: HttpDouble,
    cdus: Vec<HttpDouble>,
    broker: Broker,
    beats: u64,
}

impl Stage {
    /// Opens every double; the course begins now, and runs `speed` times as fast.
    pub async fn open(course: Course, parts: Parts, first_ns: i64, speed: f64) -> Self {
        let mut cdus = Vec::new();
        for _ in &parts.redfish {
            let cdu = HttpDouble::start(None).await;
            cdu.set_all(&serde_json::from_str(CDU).expect("a tree"));
            cdus.push(cdu);
        }
        let mut stage = Self {
            course,
            first_ns,
            began_ns: now_ns(),
            speed,
            pdus: parts.snmp.iter().map(|_| FakeAgent::start(&[])).collect(),
            prometheus: HttpDouble::start(None).await,
            cdus,
            broker: Broker::start().await,
            parts,
            beats: 0,
        };
        stage.keep_metadata();
        stage.beat();
        stage
    }

    /// The document of sources that finds all of this. `records` says which PDU each address is
    /// recorded as.
    #[must_use]
    pub fn document(&self, records: impl Fn(&str) -> String) -> String {
        let mut text =
            "schema = 1\n[[source]]\nname = \"pdus\"\nkind = \"snmp\"\nversion = \"2c\"\n\
             community_file = \"community\"\ndevice = \"sentry4\"\nevery_seconds = 0.2\n"
                .to_owned();
        for (agent, domain) in self.pdus.iter().zip(&self.parts.snmp) {
            text += &target(&agent.address().to_string(), &records(domain));
        }
        text += "[[source]]\nname = \"monitoring\"\nkind = \"prometheus\"\nplain_text = true\n\
                 every_seconds = 0.2\n";
        text += &target(&format!("http://{}", self.prometheus.address), "hall");
        for (point, query, unit, lines) in QUERIES {
            let line = if lines { "line_label = \"line\"\n" } else { "" };
            text += &format!(
                "[[source.series]]\nquery = \"{query}\"\npoint = \"{point}\"\nunit = \"{unit}\"\n\
                 domain_label = \"pdu\"\n{line}"
            );
        }
        text += "[[source]]\nname = \"cdus\"\nkind = \"redfish\"\nplain_text = true\n\
                 every_seconds = 0.2\n";
        for (cdu, domain) in self.cdus.iter().zip(&self.parts.redfish) {
            text += &target(&format!("http://{}", cdu.address), domain);
        }
        text += "[[source]]\nname = \"bms\"\nkind = \"mqtt\"\nplain_text = true\n\
                 heartbeat_seconds = 2\n";
        text += &target(&self.broker.address.to_string(), "hall");
        text
    }

    /// Plays for so long.
    pub async fn play(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            self.beat();
            tokio::time::sleep(BEAT).await;
        }
    }

    /// The instant of the course that an instant of ours shows.
    #[must_use]
    pub fn instant(&self, our_ns: i64) -> i64 {
        self.first_ns + ((our_ns - self.began_ns) as f64 * self.speed) as i64
    }

    fn beat(&mut self) {
        let now_ns = now_ns();
        let at_ns = self.instant(now_ns);
        self.say_snmp(at_ns);
        self.say_prometheus(at_ns, now_ns);
        self.say_redfish(at_ns);
        self.say_mqtt(at_ns, now_ns);
        self.beats += 1;
    }

    fn say_snmp(&self, at_ns: i64) {
        for (agent, pdu) in self.pdus.iter().zip(&self.parts.snmp) {
            let say = |tail: String, value: Option<f64>, scale: f64| {
                let Some(value) = value else { return };
                let oid = Oid::parse(&format!("{SENTRY}.{tail}")).expect("an OID");
                agent.set_all([(oid, Value::Integer((value * scale).round() as i32))]);
            };
            say("3.3.1.2.1.1".to_owned(), Some(0.0), 1.0);
            say("3.3.1.3.1.1".to_owned(), self.course.at(pdu, "power_kw", at_ns), 1000.0);
            for (index, line) in LINES.iter().enumerate() {
                let row = format!("1.1.{}", index + 1);
                let shown = |what: &str| self.course.at(pdu, &format!("{what}.{line}"), at_ns);
                say(format!("4.3.1.2.{row}"), Some(0.0), 1.0);
                say(format!("4.3.1.3.{row}"), shown("current_a"), 100.0);
                say(format!("5.3.1.2.{row}"), Some(0.0), 1.0);
                say(format!("5.3.1.3.{row}"), shown("voltage_v"), 10.0);
            }
        }
    }

    fn say_prometheus(&self, at_ns: i64, now_ns: i64) {
        for (point, query, unit, lines) in QUERIES {
            let scale = if unit == "W" { 1000.0 } else { 1.0 };
            let lines: &[&str] = if lines { &LINES } else { &[""] };
            let mut samples = Vec::new();
            for pdu in &self.parts.prometheus {
                for line in lines {
                    let name =
                        if line.is_empty() { point.to_owned() } else { format!("{point}.{line}") };
                    let Some(value) = self.course.at(pdu, &name, at_ns) else { continue };
                    samples.push(serde_json::json!({
                        "metric": { "pdu": pdu, "line": line },
                        "value": [now_ns as f64 / 1e9, (value * scale).to_string()],
                    }));
                }
            }
            let answer = serde_json::json!({
                "status": "success", "data": { "resultType": "vector", "result": samples },
            });
            self.prometheus.set_query(query, &answer.to_string());
        }
    }

    fn say_redfish(&self, at_ns: i64) {
        for (cdu, id) in self.cdus.iter().zip(&self.parts.redfish) {
            let tree: serde_json::Value = serde_json::from_str(CDU).expect("a tree");
            let mut connector = tree[CONNECTOR].clone();
            for (point, _, _, key) in OF_LOOPS {
                connector[key]["Reading"] = self.course.at(id, point, at_ns).into();
            }
            cdu.set(CONNECTOR, Some(&connector.to_string()));
        }
    }

    fn keep_metadata(&self) {
        for id in &self.parts.mqtt {
            for (_, point, unit, _) in OF_LOOPS {
                let text = serde_json::json!({ "rackLocationId": id, "engUnit": unit });
                let topic = format!("{TOPIC}/Metadata/Rack/{point}/hall/{id}");
                self.broker.keep(&topic, &text.to_string());
            }
        }
    }

    fn say_mqtt(&self, at_ns: i64, now_ns: i64) {
        let say = |tail: &str, value: f64| {
            let text = serde_json::json!({
                "value": value, "timestamp": now_ns / 1_000_000, "quality": 1,
            });
            self.broker.publish(&format!("{TOPIC}/Value/{tail}"), &text.to_string());
        };
        if self.beats.is_multiple_of(BEATS_A_HEARTBEAT) {
            say("System/HeartbeatTimestampBms/bms", now_ns as f64 / 1e9);
        }
        for id in &self.parts.mqtt {
            for (word, point, _, _) in OF_LOOPS {
                if let Some(value) = self.course.at(id, word, at_ns) {
                    say(&format!("Rack/{point}/hall/{id}"), value);
                }
            }
        }
    }
}

/// Questions to the Prometheus: point, query, unit, whether by line.
const QUERIES: [(&str, &str, &str, bool); 3] = [
    ("power_kw", "max by (pdu) (pdu_power_watts)", "W", false),
    ("voltage_v", "max by (pdu, line) (pdu_voltage_volts)", "V", true),
    ("current_a", "max by (pdu, line) (pdu_current_amperes)", "A", true),
];

fn target(address: &str, domain: &str) -> String {
    format!("[[source.target]]\naddress = \"{address}\"\ndomain = \"{domain}\"\n")
}

/// Nanoseconds since the Unix epoch.
///
/// # Panics
/// When the clock is before it.
#[must_use]
pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as i64
}
