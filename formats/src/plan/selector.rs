//! The selector of a phase: `all`, `rack=r1,r2`, `50%`, `50% of rack=r1`, or a hostlist.

use model::plan::Selector;
use model::site::DomainKind;

use super::mend_word;
use crate::document::{At, Table};
use crate::hostlist;

/// Reads a selector, for commands that take one as an argument.
///
/// # Errors
/// What is wrong, and how to mend it.
pub fn parse(text: &str) -> Result<Selector, (String, String)> {
    let text = text.trim();
    if text == "all" {
        return Ok(Selector::All);
    }
    if let Some(percent) = text.strip_suffix('%') {
        return share(text, percent).map(Selector::Percent);
    }
    if let Some((percent, of)) = text.split_once("% of ") {
        if of.contains("% of ") {
            let what = format!("\"{}\" takes a share of a share", text.escape_debug());
            return Err((what, "multiply the two".to_owned()));
        }
        return Ok(Selector::Share(share(text, percent)?, Box::new(parse(of)?)));
    }
    if text.contains('=') {
        return domains(text);
    }
    match hostlist::expand(text) {
        Ok(names) => Ok(Selector::Nodes(names)),
        Err(why) => {
            let what = format!("\"{}\" is no hostlist: {why}", text.escape_debug());
            let mend = "use all, rack=r1,r2, 50%, 50% of rack=r1, or names such as gpu[001-008]";
            Err((what, mend.to_owned()))
        }
    }
}

fn share(text: &str, percent: &str) -> Result<u8, (String, String)> {
    let share = percent.trim().parse().ok().filter(|share| (1..=100).contains(share));
    let wrong =
        || (format!("\"{}\" selects nothing", text.escape_debug()), "use 1% to 100%".to_owned());
    share.ok_or_else(wrong)
}

/// `rack=r1,r2,pdu=p1`: an id without a kind is of the kind before it.
fn domains(text: &str) -> Result<Selector, (String, String)> {
    let mut kind = None;
    let mut parts = Vec::new();
    for part in text.split(',') {
        let id = match part.split_once('=') {
            Some((word, id)) => {
                kind = Some(word.trim());
                id
            }
            None => part,
        };
        let Some(kind) = kind else {
            let what = format!("\"{}\" has no kind before it", part.trim().escape_debug());
            return Err((
                what,
                "write rack=r1,r2; node names stand in a selector of their own".to_owned(),
            ));
        };
        parts.push(domain(kind, id.trim())?);
    }
    match <[Selector; 1]>::try_from(parts) {
        Ok([one]) => Ok(one),
        Err(parts) => Ok(Selector::Any(parts)),
    }
}

fn domain(kind: &str, id: &str) -> Result<Selector, (String, String)> {
    let Some(known) = DomainKind::from_word(kind) else {
        let words = DomainKind::ALL.map(DomainKind::word);
        let what = format!("unknown domain kind \"{}\"", kind.escape_debug());
        return Err((what, mend_word(kind, &words)));
    };
    if id.is_empty() {
        return Err((format!("\"{kind}=\" names no domain"), format!("write {kind}=ID")));
    }
    Ok(Selector::Domain(known.word().to_owned(), id.to_owned()))
}

pub(super) fn selector(table: &Table<'_, '_>, at: &At<String>) -> Option<Selector> {
    match parse(&at.value) {
        Ok(selector) => Some(selector),
        Err((what, mend)) => {
            table.document.add(&at.span, what, mend);
            None
        }
    }
}
