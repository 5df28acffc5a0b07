use formats::sources::SourceKind;

use super::super::doubles::http::{HttpDouble, Manner};
use super::super::doubles::kind_of;
use super::*;

async fn playing(series: &str) -> (HttpDouble, Prometheus) {
    let double = HttpDouble::start(None).await;
    let address = double.address;
    let rest = format!(
        "plain_text = true\nstale_seconds = 30\n[[source.target]]\naddress = \"http://{address}/prom/\"\n\
         domain = \"hall\"\n{series}"
    );
    let SourceKind::Prometheus(source) = kind_of("prometheus", &rest) else { panic!() };
    let meter = Prometheus::new(&source, &source.targets[0]).unwrap();
    (double, meter)
}

fn matrix(result: &str) -> String {
    format!(
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{result}]}}}}"
    )
}

fn told(round: &Round) -> Vec<(&str, &str, f64, Option<i64>)> {
    let row = |reading: &'_ Reading| (reading.value, reading.stamp_ns);
    let readings = round.readings.iter();
    readings.map(|r| (r.domain.as_str(), r.point.as_str(), row(r).0, row(r).1)).collect()
}

const POWER: &str = "[[source.series]]\nquery = 'pdu_power_watts{site=\"x\"}'\npoint = \"power_kw\"\n\
                     unit = \"W\"\ndomain_label = \"pdu\"\n";
const POWER_ASKED: &str = "pdu_power_watts{site=\"x\"}[30000ms]";

#[tokio::test]
async fn samples_become_readings_of_their_domain_with_their_own_stamps() {
    let (double, mut meter) = playing(POWER).await;
    double.set_query(
        POWER_ASKED,
        &matrix(
            "{\"metric\":{\"pdu\":\"a1\"},\"values\":[[100,\"1500\"],[101,\"1600\"]]},\
             {\"metric\":{\"pdu\":\"b1\"},\"values\":[[100.5,\"NaN\"]]}",
        ),
    );
    let round = meter.read().await.unwrap();
    let second = 1_000_000_000;
    assert_eq!(
        told(&round),
        [("a1", "power_kw", 1.5, Some(100 * second)), ("a1", "power_kw", 1.6, Some(101 * second)),]
    );
    // What is no number is said, and is no zero.
    assert_eq!(round.wrong.len(), 1, "{:?}", round.wrong);
    assert!(double.asked()[0].path.starts_with("/prom/api/v1/query?query="));
    // Asked again, only what is new comes, and the newest as a sign of life.
    double.set_query(
        POWER_ASKED,
        &matrix("{\"metric\":{\"pdu\":\"a1\"},\"values\":[[101,\"1600\"],[102,\"1700\"]]}"),
    );
    assert_eq!(told(&meter.read().await.unwrap()).len(), 1);
    assert_eq!(told(&meter.read().await.unwrap())[0].2, 1.7);
}

#[tokio::test]
async fn lines_come_from_a_label_and_expressions_are_asked_as_they_are() {
    let series = "[[source.series]]\nquery = \"max by (phase) (amps)\"\npoint = \"current_a\"\n\
                  domain = \"pdu-a\"\nline_label = \"phase\"\n";
    let (double, mut meter) = playing(series).await;
    double.set_query(
        "max by (phase) (amps)",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[\
         {\"metric\":{\"phase\":\"L2\"},\"value\":[7,\"31\"]},\
         {\"metric\":{\"phase\":\"N\"},\"value\":[7,\"1\"]},{\"metric\":{},\"value\":[7,\"2\"]}]}}",
    );
    let round = meter.read().await.unwrap();
    assert_eq!(told(&round), [("pdu-a", "current_a.l2", 31.0, Some(7_000_000_000))]);
    assert_eq!(round.wrong.len(), 2, "{:?}", round.wrong);
}

#[tokio::test]
async fn a_wrong_or_empty_question_is_said_and_keeps_no_other_from_being_asked() {
    let series = format!("[[source.series]]\nquery = \"sum(\"\npoint = \"alarm\"\n{POWER}{POWER}");
    let (double, mut meter) = playing(&series).await;
    double.set_query(
        POWER_ASKED,
        &matrix("{\"metric\":{\"pdu\":\"a1\"},\"values\":[[101,\"1600\"]]}"),
    );
    double.set_query("sum(", "{\"status\":\"error\",\"error\":\"parse error\"}");
    let round = meter.read().await.unwrap_err();
    // As 200 it would be no Prometheus; as it really is, with 400, it is told below.
    assert!(matches!(round, MeterError::Nonsense(_)), "{round}");
    double.set("query:sum(", None);
    let round = meter.read().await.unwrap();
    assert_eq!(told(&round).len(), 1);
    let all = round.wrong.join("\n");
    assert!(all.contains("sum(") && all.contains("a second series is power_kw of a1"), "{all}");
}

#[tokio::test]
async fn a_server_that_is_none_is_told() {
    let (double, mut meter) = playing(POWER).await;
    double.set_query(POWER_ASKED, "<html>");
    assert!(matches!(meter.read().await, Err(MeterError::Nonsense(_))));
    double.manner(Manner::Status(503));
    assert!(matches!(meter.read().await, Err(MeterError::Silent(_))));
}
