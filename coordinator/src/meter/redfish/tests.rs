use std::collections::BTreeMap;

use formats::sources::SourceKind;
use proptest::prelude::*;
use serde_json::json;

use super::super::doubles::http::{HttpDouble, Manner};
use super::super::doubles::kind_of;
use super::walk::{Role, links};
use super::*;

const CDU: &str = include_str!("../../../../tests/data/meters/redfish_cdu.json");
const PDU: &str = include_str!("../../../../tests/data/meters/redfish_pdu.json");
const BMC: &str = include_str!("../../../../tests/data/meters/redfish_bmc.json");

async fn playing(tree: &str, path: &str, rest: &str) -> (HttpDouble, Redfish) {
    let double = HttpDouble::start(None).await;
    double.set_all(&serde_json::from_str(tree).unwrap());
    let address = double.address;
    let document = format!(
        "plain_text = true\n{rest}[[source.target]]\naddress = \"http://{address}{path}\"\n\
         domain = \"here\"\n"
    );
    let SourceKind::Redfish(source) = kind_of("redfish", &document) else { panic!() };
    let meter = Redfish::new(&source, &source.targets[0]).unwrap();
    (double, meter)
}

fn values(round: &Round) -> BTreeMap<&str, f64> {
    assert!(round.readings.iter().all(|reading| reading.domain == "here"));
    let pairs = round.readings.iter().map(|reading| (reading.point.as_str(), reading.value));
    let values: BTreeMap<&str, f64> = pairs.collect();
    assert_eq!(values.len(), round.readings.len(), "a point is told once: {round:?}");
    values
}

#[tokio::test]
async fn a_coolant_unit_is_walked_once_and_then_only_what_has_readings_is_asked() {
    let (double, mut meter) = playing(CDU, "", "").await;
    let first = meter.read().await.unwrap();
    let walked = double.asked().len();
    let second = meter.read().await.unwrap();
    // Two connectors, the metrics, the group of detectors, two detectors and an empty place.
    assert_eq!(double.asked().len() - walked, 7);
    assert_eq!(double.connections(), 1);
    assert_eq!(first.wrong, Vec::<String>::new());
    assert_eq!(values(&first), values(&second));
    let expected = [
        ("alarm", 0.0),
        ("ambient_c", 27.0),
        ("dew_point_c", 12.5),
        ("dp_kpa", 140.0),
        ("flow_lpm", 520.0),
        ("heat_kw", 344.2),
        ("power_kw", 4.2),
        ("primary_dp_kpa", 85.0),
        ("primary_flow_lpm", 410.0),
        ("primary_heat_kw", 221.4),
        ("primary_return_c", 26.25),
        ("primary_supply_c", 18.5),
        ("return_c", 41.5),
        ("supply_c", 32.0),
    ];
    assert_eq!(values(&second).into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_leak_is_an_alarm_and_a_detector_that_says_nothing_denies_none() {
    let (double, mut meter) = playing(CDU, "", "").await;
    assert_eq!(values(&meter.read().await.unwrap())["alarm"], 0.0);
    let pan = "/redfish/v1/ThermalEquipment/CDUs/1/LeakDetection/LeakDetectors/Pan";
    let detector = |state: &str| {
        let kind = "#LeakDetector.v1_2_0.LeakDetector";
        json!({"@odata.type": kind, "DetectorState": state}).to_string()
    };
    double.set(pan, Some(&detector("Critical")));
    assert_eq!(values(&meter.read().await.unwrap())["alarm"], 1.0);
    double.set(pan, Some(&detector("OK")));
    assert_eq!(values(&meter.read().await.unwrap())["alarm"], 0.0);
    // It is pulled: nobody can say any more that there is no leak.
    double.set(pan, None);
    let round = meter.read().await.unwrap();
    assert!(!values(&round).contains_key("alarm"), "{round:?}");
    assert!(round.wrong[0].contains("Pan"), "{:?}", round.wrong);
    // Nor after everything was looked for anew, where it is listed still.
    for _ in 0..3 {
        meter.walked = Instant::now() - WALK_EVERY;
        meter.walk_again();
        let round = meter.read().await.unwrap();
        assert!(!values(&round).contains_key("alarm"), "{round:?}");
    }
    // It is back.
    double.set(pan, Some(&detector("OK")));
    meter.walked = Instant::now() - WALK_EVERY;
    meter.walk_again();
    assert_eq!(values(&meter.read().await.unwrap())["alarm"], 0.0);
    // And switched off: that is no denial.
    let off = json!({"@odata.type": "#LeakDetector.v1_2_0.LeakDetector", "DetectorState": "OK",
        "Status": {"State": "Disabled"}});
    double.set(pan, Some(&off.to_string()));
    let round = meter.read().await.unwrap();
    assert!(!values(&round).contains_key("alarm"), "{round:?}");
}

#[tokio::test]
async fn a_pdu_says_volts_amps_and_watts_of_each_line() {
    let (_double, mut meter) = playing(PDU, "", "").await;
    let round = meter.read().await.unwrap();
    let read = values(&round);
    assert_eq!(read["voltage_v.l2"], 240.1);
    assert_eq!(read["current_a.l3"], 21.9);
    assert_eq!(read["power_kw.l1"], 5.25);
    // The mains' own, and not the sum that its metrics say besides.
    assert_eq!(read["power_kw"], 15.635);
    assert_eq!((read["branch_a_current_a"], read["branch_b_voltage_v"]), (11.0, 239.4));
    assert_eq!(read["alarm"], 0.0);
    // A reading of null is none.
    assert!(!read.contains_key("branch_a_power_kw"));
    let power = round.readings.iter().find(|reading| reading.point == "power_kw").unwrap();
    assert_eq!(power.stamp_ns, Some(1_767_225_605_000_000_000));
}

#[tokio::test]
async fn an_address_with_a_path_is_walked_from_there() {
    let (double, mut meter) =
        playing(PDU, "/redfish/v1/PowerEquipment/RackPDUs/1/Mains/AC1", "").await;
    assert_eq!(values(&meter.read().await.unwrap())["power_kw"], 15.635);
    assert_eq!(double.asked().len(), 1);
}

#[tokio::test]
async fn a_bmc_says_its_supplies_inputs_and_the_air_that_comes_in() {
    let (_double, mut meter) = playing(BMC, "", "").await;
    drop(meter.read().await.unwrap());
    let round = meter.read().await.unwrap();
    let read = values(&round);
    // The newer form wins; what it lacks comes from the older.
    assert_eq!((read["power_kw"], read["inlet_air_c"]), (9.85, 24.0));
    assert_eq!((read["psu_0_voltage_v"], read["psu_1_voltage_v"]), (231.0, 232.0));
    assert_eq!((read["psu_1_power_kw"], read["psu_1_current_a"]), (4.95, 21.5));
    let (_double, mut meter) = playing(BMC, "", "sensors = true\n").await;
    drop(meter.read().await.unwrap());
    assert_eq!(values(&meter.read().await.unwrap())["inlet_air_c"], 24.5);
}

#[tokio::test]
async fn wrong_credentials_a_silent_device_and_an_empty_tree_are_told_apart() {
    let (double, mut meter) = playing(CDU, "", "").await;
    drop(meter.read().await.unwrap());
    double.authorize(Some("Basic x"));
    assert!(matches!(meter.read().await, Err(MeterError::Refused(_))));
    double.authorize(None);
    double.manner(Manner::Hang);
    assert!(matches!(meter.read().await, Err(MeterError::Silent(_))));
    double.manner(Manner::Status(503));
    assert!(matches!(meter.read().await, Err(MeterError::Silent(_))));
    double.manner(Manner::Plain);
    assert!(meter.read().await.unwrap().readings.len() > 10);
    let (_double, mut meter) = playing("{}", "", "").await;
    assert!(matches!(meter.read().await, Err(MeterError::Nonsense(_))));
}

#[tokio::test]
async fn one_resource_that_breaks_off_keeps_no_other_from_being_read() {
    let (double, mut meter) = playing(CDU, "", "").await;
    let metrics = "/redfish/v1/ThermalEquipment/CDUs/1/EnvironmentMetrics";
    double.set(metrics, Some("{\"@odata.type\": \"#Env"));
    let round = meter.read().await.unwrap();
    assert_eq!(values(&round)["supply_c"], 32.0);
    assert!(round.wrong[0].contains("EnvironmentMetrics"), "{:?}", round.wrong);
    // Nobody knows what it would have led to: no alarm is denied.
    assert!(!values(&round).contains_key("alarm"), "{round:?}");
    // It is asked again, and heard once it is whole.
    let whole = json!({
        "@odata.type": "#EnvironmentMetrics.v1_4_0.EnvironmentMetrics",
        "DewPointCelsius": {"Reading": 13.0}
    });
    double.set(metrics, Some(&whole.to_string()));
    let round = meter.read().await.unwrap();
    assert_eq!((values(&round)["dew_point_c"], values(&round)["alarm"]), (13.0, 0.0));
}

#[tokio::test]
async fn a_tree_without_end_is_walked_in_rounds_of_so_many_questions() {
    let (double, mut meter) = playing("{}", "", "").await;
    for at in 0..200 {
        let path = if at == 0 { "/redfish/v1/".to_owned() } else { format!("/c{at}") };
        let next = json!({
            "@odata.type": "#ChassisCollection.ChassisCollection",
            "Members": [{"@odata.id": format!("/c{}", at + 1)}]
        });
        double.set(&path, Some(&next.to_string()));
    }
    assert_eq!(meter.read().await.unwrap(), Round::default());
    assert_eq!(double.asked().len(), 64);
    assert_eq!(meter.read().await.unwrap(), Round::default());
    assert_eq!(double.asked().len(), 128);
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "[A-Za-z]{0,6}",
        Just("Reading".to_owned()),
        Just("PowerWatts".to_owned()),
        Just("@odata.id".to_owned()),
        Just("Members".to_owned()),
        Just("BreakerState".to_owned()),
        Just("DetectorState".to_owned()),
        Just("LeakDetectorGroups".to_owned()),
        Just("PowerSupplies".to_owned()),
        Just("Temperatures".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|list| json!(list)),
            proptest::collection::btree_map(word.clone(), inner, 0..5)
                .prop_map(|fields| json!(fields)),
        ]
    })
}

proptest! {
    #[test]
    fn resources_of_anybody_do_not_panic(
        mut resource in any_json(),
        kind in prop_oneof![
            Just("Circuit"), Just("Power"), Just("Thermal"), Just("LeakDetection"), Just("Sensor"),
            Just("CoolantConnector"), Just("ChassisCollection"), Just("PowerDistribution"),
        ],
    ) {
        if let Some(fields) = resource.as_object_mut() {
            fields.insert("@odata.type".to_owned(), json!(format!("#{kind}.v1_0_0.{kind}")));
        }
        drop(say(&resource, &Role::default()));
        drop(links(&resource, &Role::default(), true));
    }
}

#[tokio::test]
async fn a_device_whose_values_have_gone_is_told() {
    let path = "/redfish/v1/Chassis/1/EnvironmentMetrics";
    let (double, mut meter) = playing(BMC, path, "").await;
    assert_eq!(values(&meter.read().await.unwrap())["power_kw"], 9.85);
    let mut tree: Value = serde_json::from_str(BMC).unwrap();
    tree[path]["PowerWatts"]["Reading"] = Value::Null;
    double.set_all(&tree);
    // One round alone may have met the parts without a value.
    for _ in 1..BARREN_ROUNDS {
        assert_eq!(meter.read().await.unwrap().readings, []);
    }
    let nothing = "it answers, and none of its readings has a value".to_owned();
    assert_eq!(meter.read().await, Err(MeterError::Nonsense(nothing.clone())));
    assert_eq!(meter.read().await, Err(MeterError::Nonsense(nothing)));
    double.set_all(&serde_json::from_str(BMC).unwrap());
    assert_eq!(values(&meter.read().await.unwrap())["power_kw"], 9.85);
}
