//! What may heat: permit, budgets, live control, release by a person, and the stop file.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coordinator::store::JournalEntry;
use system_tests::bank::RUN_PATIENCE;
use system_tests::process::spent_during;
use system_tests::{Bank, Done, Watch, plans, record, wait_until};

/// The coordinator's default.
const RAMP: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(20);

/// Two nodes of 1 kW on one PDU.
fn site(budget_kw: f64) -> String {
    format!(
        "schema = 1\nname = \"hall-t\"\n[[domain]]\nkind = \"pdu\"\nid = \"pdu-a1\"\n\
         budget_kw = {budget_kw}\n[[nodes]]\nnames = \"n[1-2]\"\ndomains = [\"pdu-a1\"]\n\
         max_kw = 1.0\n"
    )
}

/// A permit of today, with more clauses.
fn permit(more: &str) -> String {
    format!(
        "schema = 1\nissued_by = \"A. Meier\"\nsite = \"hall-t\"\ntotal_kw = 5\n{more}\n\
         [[window]]\nfrom = \"2020-01-01T00:00:00+01:00\"\nto = \"2120-01-01T00:00:00+01:00\"\n\
         [[waveform]]\nkind = \"hold\"\n"
    )
}

fn assert_refused(done: &Done, words: &str) {
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains(words), "{}\nexpected: {words}", done.stderr);
}

#[test]
fn what_is_not_permitted_is_refused_with_its_clause_and_numbers() {
    let mut bank = Bank::new();
    let file = bank.write("permit.toml", &permit(""));
    bank.serve_with(&["--permit", &file]);
    bank.agent("n1", 0, &[]);
    bank.agent("n2", 1, &[]);
    bank.wait_for_agents(2);
    let hold = bank.write("hold.toml", &plans::hold(2));
    let square = plans::hold(2).replace("kind = \"hold\"", "kind = \"square\"");
    let square = bank.write("square.toml", &square);
    let (small, large) =
        (bank.write("small.toml", &site(1.9)), bank.write("large.toml", &site(9.0)));
    let run = |plan: &str, site: &str| bank.verb(&["run", plan, "--site", site]);

    let budget = "pdu pdu-a1 may give 1.9 kW; its 2 nodes draw 2.0 kW in phase hold";
    assert_refused(&run(&hold, &small), budget);
    assert_refused(&run(&square, &large), "no [[waveform]] allows the square of phase hold");
    assert_refused(&bank.verb(&["run", &hold]), "permit.toml:3: the permit is for site hall-t");
    // The file is read anew for every run.
    let _ = bank.write("permit.toml", &permit("[[domain]]\non = \"pdu\"\nkw = 1.5"));
    let words = "permit.toml:6: pdu pdu-a1 may be given 1.5 kW; phase hold asks for 2.0 kW";
    assert_refused(&run(&hold, &large), words);
    let _ = bank.write("permit.toml", &permit("").replace("2120", "2021"));
    assert_refused(
        &run(&hold, &large),
        "is outside of the permit's window 2020-01-01T00:00:00+01:00",
    );
    let _ = bank.write("permit.toml", &permit("conditions = [\"CRAH 3 runs\"]"));
    assert_refused(&run(&hold, &large), "the condition \"CRAH 3 runs\" is not affirmed");
    let _ = bank.write("permit.toml", "schema = 1\nissued = 3\n");
    assert_refused(&run(&hold, &large), "unknown key \"issued\"");

    let _ = bank.write("permit.toml", &permit("conditions = [\"CRAH 3 runs\"]"));
    let done = bank.verb(&["run", &hold, "--site", &large, "--affirm", "CRAH 3 runs", "--json"]);
    assert_ne!(done.code, Some(2), "{done:?}");
    let id = done.json()["run"]["id"].as_str().unwrap().to_owned();
    let journal = record::journal(&bank.run_folder(&id));
    assert!(journal.iter().any(|entry| matches!(
        entry,
        JournalEntry::Permitted { issued_by, affirmed, .. }
            if issued_by == "A. Meier" && affirmed == &["CRAH 3 runs"]
    )));
}

#[test]
fn without_a_permit_only_a_small_load_is_heated() {
    let bank = Bank::with_agents(2);
    let hold = bank.write("hold.toml", &plans::hold(2));
    let site = bank.write("site.toml", &site(9.0));
    let done = bank.verb(&["run", &hold, "--site", &site]);
    let words = "pdu pdu-a1 may be given 1.0 kW; phase hold asks for 2.0 kW";
    assert_refused(&done, words);
    assert!(done.stderr.contains("no permit (serve --permit FILE gives one)"), "{}", done.stderr);
}

#[test]
fn a_stop_file_ramps_down_and_nothing_begins_while_it_is_there() {
    let bank = Bank::with_agents(2);
    let (mut run, watch, id) = bank.begin(&plans::hold(60));
    watch.wait_for_phase("hold", 1.5);
    let workers = bank.workers();
    let touched = Instant::now();
    let stop = bank.state_dir().join("STOP");
    std::fs::write(&stop, "").unwrap();
    wait_until("the run ramps down", Duration::from_secs(1), || {
        let journal = record::journal(&bank.run_folder(&id));
        let asked = journal.iter().any(|entry| match entry {
            JournalEntry::StopAsked { who, drop } => who.contains("STOP") && !drop,
            _ => false,
        });
        asked.then_some(())
    });
    println!("stop recorded {:.0} ms after the file", touched.elapsed().as_secs_f64() * 1e3);
    std::thread::sleep((RAMP + Duration::from_secs(1)).saturating_sub(touched.elapsed()));
    let spent = spent_during(&workers, Duration::from_secs(1));
    assert!(spent < Duration::from_millis(200), "{spent:?} of load after the ramp");
    assert_eq!(run.finish(RUN_PATIENCE).code, Some(130));
    let plan = bank.write("again.toml", &plans::hold(2));
    assert_refused(&bank.verb(&["run", &plan]), "the stop file");
    std::fs::remove_file(&stop).unwrap();
    assert_ne!(bank.verb(&["run", &plan]).code, Some(2));
}

#[test]
fn a_load_is_released_step_by_step_by_whom_the_permit_names() {
    let mut bank = Bank::new();
    let clause = |step, who: &str| format!("[[release]]\nstep = {step}\nwho = [\"{who}\"]\n");
    let clauses = [clause(25, "B. Schmidt"), clause(50, "C. Li"), clause(75, "C. Li")].concat();
    let file = bank.write("permit.toml", &permit(&clauses));
    bank.serve_with(&["--permit", &file]);
    bank.agent("n1", 0, &[]);
    bank.agent("n2", 1, &[]);
    bank.wait_for_agents(2);
    let site = bank.write("site.toml", &site(9.0));
    let (mut run, watch, id) = bank.begin_with(&plans::hold(14), &["--site", &site]);
    let release = |step: &str, who: &str| bank.verb(&["release", "--step", step, "--who", who]);
    std::thread::sleep(Duration::from_secs(4));
    let waits = watch.statuses().pop().unwrap();
    assert_eq!(
        (waits["released"].as_u64(), waits["phase"].as_str()),
        (Some(0), Some("")),
        "{waits}"
    );
    assert_refused(&release("50", "C. Li"), "the next step is 25 %, not 50 %");
    assert_refused(
        &release("25", "C. Li"),
        "step 25 may be released by B. Schmidt, not by \"C. Li\"",
    );
    assert_eq!(release("25", "B. Schmidt").code, Some(0));
    wait_for_level(&watch, 0.25);
    assert_eq!(release("50", "C. Li").code, Some(0));
    wait_for_level(&watch, 0.5);

    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(3), "{done:?}");
    let reasons = done.json()["reasons"].to_string();
    assert!(reasons.contains("50 % of the load was never released"), "{reasons}");
    assert!(reasons.contains("released the load to 25 %"), "{reasons}");
    let steps: Vec<(u8, String)> = record::journal(&bank.run_folder(&id))
        .into_iter()
        .filter_map(|entry| match entry {
            JournalEntry::Released { step, who, .. } => Some((step, who)),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [(25, "B. Schmidt".to_owned()), (50, "C. Li".to_owned())]);
}

#[test]
fn a_domain_stays_below_its_budget_when_its_nodes_draw_a_fifth_more_than_expected() {
    const BUDGET_KW: f64 = 2.0;
    let mut bank = Bank::new();
    let file = bank.write("permit.toml", &permit(""));
    bank.serve_with(&["--permit", &file]);
    let meters: Vec<FalsePower> = ["n1", "n2"]
        .iter()
        .enumerate()
        .map(|(core, node)| {
            let root = bank.folder().join(format!("{node}-sensors"));
            let meter = FalsePower::new(&root);
            bank.agent(node, core, &["--sensor-root", &root.display().to_string()]);
            meter
        })
        .collect();
    bank.wait_for_agents(2);
    let site = bank.write("site.toml", &site(BUDGET_KW));
    let (mut run, watch, _) = bank.begin_with(&plans::hold(30), &["--site", &site]);
    // 1.2 kW where the site says 1.0, three tenths of it at idle.
    let draw_w = |level: f64| 1.2e3 * (0.3 + 0.7 * level);
    let began = Instant::now();
    let mut last = Instant::now();
    let (mut worst_kw, mut capped) = (0.0_f64, false);
    while run.runs() {
        std::thread::sleep(Duration::from_millis(100));
        let status = watch.statuses().pop().unwrap_or_default();
        let levels: Vec<f64> =
            (0..2).map(|n| status["nodes"][n]["level"].as_f64().unwrap_or(0.0)).collect();
        let seconds = last.elapsed().as_secs_f64();
        last = Instant::now();
        for (meter, level) in meters.iter().zip(&levels) {
            meter.spend(draw_w(*level) * seconds);
        }
        let kw = levels.iter().map(|level| draw_w(*level)).sum::<f64>() / 1e3;
        let heats = status["phase"] == "hold";
        capped |= status["message"]
            .as_str()
            .is_some_and(|m| m.contains("to keep pdu pdu-a1 under 2.0 kW"));
        worst_kw = worst_kw.max(kw);
        println!(
            "{:6.2} s level {:.3} {:.3} draws {kw:.3} kW of {BUDGET_KW:.1} heats {heats} scale {}",
            began.elapsed().as_secs_f64(),
            levels[0],
            levels[1],
            status["nodes"][0]["scale"]
        );
    }
    let done = run.finish(SOON);
    assert!(worst_kw > 1.7, "the load came: {worst_kw:.3} kW");
    assert!(worst_kw <= BUDGET_KW, "{worst_kw:.3} kW of {BUDGET_KW}");
    assert!(capped, "the operator was told");
    let reasons = done.json()["reasons"].to_string();
    assert!(reasons.contains("% to keep pdu pdu-a1 under 2.0 kW"), "{reasons}");
}

fn wait_for_level(watch: &Watch, level: f64) {
    wait_until(&format!("level {level}"), SOON, || {
        let status = watch.statuses().pop()?;
        let near = |node: usize| {
            status["nodes"][node]["level"].as_f64().is_some_and(|now| (now - level).abs() < 1e-6)
        };
        (near(0) && near(1)).then_some(())
    });
}

/// An energy counter of a false processor package.
struct FalsePower {
    zone: PathBuf,
    spent_uj: AtomicU64,
}

impl FalsePower {
    fn new(root: &std::path::Path) -> Self {
        let zone = root.join("sys/class/powercap/intel-rapl:0");
        std::fs::create_dir_all(&zone).unwrap();
        std::fs::write(zone.join("name"), "package-0").unwrap();
        std::fs::write(zone.join("max_energy_range_uj"), "262143328850").unwrap();
        let power = Self { zone, spent_uj: AtomicU64::new(0) };
        power.spend(0.0);
        power
    }

    /// Adds joules. Whoever reads meanwhile finds the counter as it was.
    fn spend(&self, joules: f64) {
        let spent = (joules * 1e6) as u64;
        let now = self.spent_uj.fetch_add(spent, Ordering::Relaxed) + spent;
        let next = self.zone.join("next");
        std::fs::write(&next, now.to_string()).unwrap();
        std::fs::rename(next, self.zone.join("energy_uj")).unwrap();
    }
}
