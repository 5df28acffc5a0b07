//! Devices that tests play: the same that the system's tests use.

#![allow(unreachable_pub, dead_code, reason = "each test uses a part of what they can do")]

#[path = "../../../tests/src/building/broker.rs"]
pub(crate) mod broker;
#[path = "../../../tests/src/building/http.rs"]
pub(crate) mod http;

use formats::sources::{Source, SourceKind};

/// The one source of a document.
pub(crate) fn source(text: &str) -> Source {
    let read = formats::sources::parse("meters.toml", text).expect("a document");
    read.sources.into_iter().next().expect("a source")
}

/// The text of a source: its name, its kind and what else it has.
pub(crate) fn document(kind: &str, rest: &str) -> String {
    format!("schema = 1\n[[source]]\nname = \"test\"\nkind = \"{kind}\"\n{rest}")
}

/// What is particular to the one source of a document.
pub(crate) fn kind_of(kind: &str, rest: &str) -> SourceKind {
    source(&document(kind, rest)).kind
}
