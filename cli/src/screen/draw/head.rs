//! The head: which run, how far it is, and what it waits for.

use std::time::Duration;

use proto::v1;
use ratatui::text::{Line, Span};

use super::super::answer::{Answer, answers, is_over, report};
use super::super::palette::Tone;
use super::super::state::{Link, Screen};
use super::time;

/// Lines of waits: more of them than this are counted only.
const WAITS_MAX: usize = 3;

/// Its lines: as many as there is something to say.
pub(super) fn lines(screen: &Screen, now: Duration, columns: u16) -> Vec<Line<'static>> {
    let columns = usize::from(columns);
    let mut lines = vec![title(screen, now, columns)];
    lines.extend(silence(screen, now));
    match (&screen.status, &screen.link) {
        (Some(status), _) => {
            lines.push(phase(screen, status));
            lines.extend(bar(status, columns));
            lines.extend(waits(screen, status, columns));
            if let Some(command) = report(status, &screen.options) {
                lines.push(Line::from("what was found:"));
                lines.extend(folded(&command, columns).into_iter().map(Line::from));
            }
        }
        (None, Link::NoRun) => {
            let words = "no run yet: `loadbank run PLAN` begins one, and it will be shown here";
            lines.push(Line::from(words));
        }
        (None, Link::Lost { .. }) => {}
        (None, _) => lines.push(Line::from("waiting for the first word of the run")),
    }
    if let Some(said) = screen.said(now) {
        lines.push(Line::styled(said.to_owned(), Tone::Mind.style(screen.colour)));
    }
    lines
}

fn title(screen: &Screen, now: Duration, columns: usize) -> Line<'static> {
    let status = screen.status.as_ref();
    let run = status.map_or_else(String::new, |status| {
        format!("  run {}  plan {}", status.run_id, status.plan)
    });
    let (link, tone) = match (screen.stale(now), &screen.link) {
        (Some(age), _) => (format!("NOT LIVE {}", time(age.as_secs_f64())), Tone::Bad),
        (None, Link::New) => ("connecting".to_owned(), Tone::Plain),
        (None, _) if status.is_some_and(is_over) => ("ENDED".to_owned(), Tone::Strong),
        (None, _) => ("LIVE".to_owned(), Tone::Good),
    };
    let left = super::cut(&format!("loadbank watch{run}"), columns - link.len() - 1);
    let gap = " ".repeat(columns.saturating_sub(left.chars().count() + link.len()));
    Line::from(vec![
        Span::styled(left, Tone::Strong.style(screen.colour)),
        Span::raw(gap),
        Span::styled(link, tone.style(screen.colour)),
    ])
}

/// The coordinator is not heard: since when, what that means for the picture, and why.
fn silence(screen: &Screen, now: Duration) -> Vec<Line<'static>> {
    let Some(age) = screen.stale(now) else { return Vec::new() };
    let age = time(age.as_secs_f64());
    let old = if screen.status.is_some() { "; this picture is of then" } else { "" };
    let words = format!("no word of the coordinator for {age}{old}; trying again");
    let mut lines = vec![Line::styled(words, Tone::Bad.style(screen.colour))];
    if let Link::Lost { why, .. } = &screen.link {
        lines.push(Line::from(format!("  {why}")));
    }
    lines
}

fn phase(screen: &Screen, status: &v1::RunStatus) -> Line<'static> {
    let tone = match status.state.as_str() {
        "running" | "finished" => Tone::Good,
        "preparing" | "closing" | "stopping" => Tone::Mind,
        _ => Tone::Bad,
    };
    let mut spans = vec![Span::styled(status.state.to_uppercase(), tone.style(screen.colour))];
    if status.phase.is_empty() {
        if !status.message.is_empty() {
            spans.push(Span::raw(format!("  {}", status.message)));
        }
        return Line::from(spans);
    }
    let phase_left = time(status.phase_seconds - status.phase_elapsed_s);
    spans.push(Span::raw(format!(
        "  phase {}/{} {}: {}, {phase_left} left",
        status.phase_index + 1,
        status.phase_count,
        status.phase,
        time(status.phase_elapsed_s),
    )));
    Line::from(spans)
}

/// How far the phase is, drawn, and the run, told.
fn bar(status: &v1::RunStatus, columns: usize) -> Option<Line<'static>> {
    if status.phase.is_empty() || status.phase_seconds <= 0.0 {
        return None;
    }
    let left = time(status.plan_seconds - status.elapsed_s);
    let run = format!(" run: {}, {left} left", time(status.elapsed_s));
    let share = (status.phase_elapsed_s / status.phase_seconds).clamp(0.0, 1.0);
    let width = columns.saturating_sub(run.len() + 2);
    let done = (share * width as f64) as usize;
    Some(Line::from(format!("[{}{}]{run}", "#".repeat(done), "-".repeat(width - done))))
}

fn waits(screen: &Screen, status: &v1::RunStatus, columns: usize) -> Vec<Line<'static>> {
    let waits = answers(status, &screen.options);
    let style = Tone::Mind.style(screen.colour);
    let mut lines = Vec::new();
    for Answer { what, command } in waits.iter().take(WAITS_MAX) {
        let one = format!("WAITS {what}: {command}");
        if one.chars().count() <= columns {
            lines.push(Line::styled(one, style));
        } else {
            lines.push(Line::styled(format!("WAITS {what}:"), style));
            lines.extend(folded(command, columns).into_iter().map(Line::from));
        }
    }
    if waits.len() > WAITS_MAX {
        lines.push(Line::styled(format!("WAITS for {} more", waits.len() - WAITS_MAX), style));
    }
    lines
}

/// A command over several lines, each but the last with the sign by which a shell reads on: one
/// that is cut is no command.
fn folded(command: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::from(" ")];
    for word in command.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        let begins = line <= 2;
        // Room for a blank, the word, and the sign.
        if !begins && line + 1 + word.chars().count() + 2 > columns {
            lines.iter_mut().last().into_iter().for_each(|line| line.push_str(" \\"));
            lines.push(String::from("   "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_command_is_the_command_to_a_shell() {
        let command = "loadbank release --step 50 --who 'Ada Lovelace' --coordinator hall:7733";
        let lines = folded(command, 40);
        assert!(
            lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= 40),
            "{lines:?}"
        );
        let joined = lines.join("\n").replace("\\\n", " ");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&joined), command);
        assert_eq!(folded(command, 80), [format!("  {command}")]);
    }
}
