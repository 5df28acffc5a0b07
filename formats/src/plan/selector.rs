//! The selector of a phase: `all`, `rack=r1`, `50%`, or a hostlist.

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
        let share = percent.trim().parse().ok().filter(|share| (1..=100).contains(share));
        let wrong = || (format!("\"{text}\" selects nothing"), "use 1% to 100%".to_owned());
        return share.map(Selector::Percent).ok_or_else(wrong);
    }
    if let Some((kind, id)) = text.split_once('=') {
        return domain(kind.trim(), id.trim());
    }
    match hostlist::expand(text) {
        Ok(names) => Ok(Selector::Nodes(names)),
        Err(why) => {
            let what = format!("\"{}\" is no hostlist: {why}", text.escape_debug());
            Err((what, "use all, rack=r1, 50%, or names such as gpu[001-008]".to_owned()))
        }
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
