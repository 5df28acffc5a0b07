//! What a run waits for from a person, and the command that answers it.

use proto::v1;

/// A wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) what: String,
    pub(super) command: String,
}

/// Everything that a person is asked for. `options`: how a command reaches this coordinator.
pub(super) fn answers(status: &v1::RunStatus, options: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut ask = |what: String, command: String| {
        answers.push(Answer { what, command: format!("loadbank {command}{options}") });
    };
    if status.state == "suspended" {
        let what = "suspended: heat returns when a person says so".to_owned();
        ask(what, format!("resume {}", status.run_id));
    }
    for rule in &status.tripped {
        let what = format!("interlock {rule} tripped: nothing heats until a person ends it");
        ask(what, format!("resume --interlock {}", quoted(rule)));
    }
    if !status.act.is_empty() {
        ask(format!("NOW: {}, and mark it", status.act), format!("mark {}", quoted(&status.act)));
    }
    if let (Some(released), Some(next)) = (status.released, status.next_release) {
        let by = match status.releasers.as_slice() {
            [] => String::new(),
            names => format!(" by {}", names.join(" or ")),
        };
        let what = match released {
            0 => format!("no heat before a release to {next} %{by}"),
            _ => format!("released to {released} %: next {next} %{by}"),
        };
        let who = status.releasers.first().map_or("NAME", String::as_str);
        ask(what, format!("release --step {next} --who {}", quoted(who)));
    }
    answers
}

/// Whether a run is over for good: a suspended one says nothing more by itself, and waits.
pub(super) fn is_over(status: &v1::RunStatus) -> bool {
    status.ended && status.state != "suspended"
}

/// The command that prints the report of a run that is over.
pub(super) fn report(status: &v1::RunStatus, options: &str) -> Option<String> {
    // Without an address it would look on this machine's disk.
    let here = match options.contains("--coordinator") {
        true => String::new(),
        false => format!(" --coordinator {}", crate::options::COORDINATOR),
    };
    is_over(status).then(|| format!("loadbank report {}{here}{options}", status.run_id))
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:/%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_has_its_command_as_a_shell_takes_it() {
        let status = v1::RunStatus {
            run_id: "r1".to_owned(),
            state: "suspended".to_owned(),
            act: "open Q3 at Ada's desk".to_owned(),
            tripped: vec!["supply".to_owned()],
            released: Some(25),
            next_release: Some(50),
            releasers: vec!["Ada Lovelace".to_owned(), "bob".to_owned()],
            ..v1::RunStatus::default()
        };
        let answers = answers(&status, " --insecure-loopback");
        let commands: Vec<&str> = answers.iter().map(|answer| answer.command.as_str()).collect();
        assert_eq!(
            commands,
            [
                "loadbank resume r1 --insecure-loopback",
                "loadbank resume --interlock supply --insecure-loopback",
                r"loadbank mark 'open Q3 at Ada'\''s desk' --insecure-loopback",
                "loadbank release --step 50 --who 'Ada Lovelace' --insecure-loopback",
            ]
        );
        assert_eq!(answers[3].what, "released to 25 %: next 50 % by Ada Lovelace or bob");
    }

    #[test]
    fn a_report_is_asked_of_the_coordinator_that_was_watched() {
        let over = v1::RunStatus {
            run_id: "r1".to_owned(),
            state: "finished".to_owned(),
            ended: true,
            ..v1::RunStatus::default()
        };
        let told = |options| report(&over, options).unwrap();
        assert_eq!(
            told(" --tls-dir t"),
            "loadbank report r1 --coordinator 127.0.0.1:7733 --tls-dir t"
        );
        assert_eq!(told(" --coordinator h:1"), "loadbank report r1 --coordinator h:1");
        assert_eq!(report(&v1::RunStatus::default(), ""), None, "it goes on");
    }

    #[test]
    fn a_run_that_needs_nobody_asks_for_nothing() {
        assert_eq!(answers(&v1::RunStatus::default(), ""), []);
    }
}
