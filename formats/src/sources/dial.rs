//! How a device is called: by which URL, with which certificate, and who we say we are.

use std::path::{Path, PathBuf};

use super::{Secret, secret};
use crate::document::Table;

/// Keys of those who are called over TCP with TLS.
pub(super) const KEYS: [&str; 8] = [
    "plain_text",
    "ca_file",
    "fingerprint_sha256",
    "user",
    "password_file",
    "password_env",
    "token_file",
    "token_env",
];
/// Bytes of SHA-256.
const FINGERPRINT_BYTES: usize = 32;

/// Whom we believe to be the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Anybody who answers: everything is readable on the way, passwords too.
    PlainText,
    /// Whoever shows a certificate of one of these authorities for the name that was called.
    Authorities(PathBuf),
    /// Whoever shows one of these certificates: SHA-256 of each, as a BMC that signs for itself
    /// needs.
    Certificates(Vec<[u8; FINGERPRINT_BYTES]>),
}

/// Who we say we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    Nobody,
    Password {
        user: String,
        password: Secret,
    },
    /// A bearer's token.
    Token(Secret),
}

/// Reads whom to believe; nothing is a problem, since a guess would be one.
pub(super) fn trust(table: &Table<'_, '_>, folder: &Path) -> Option<Trust> {
    let given = ["ca_file", "fingerprint_sha256"].into_iter().find(|key| table.has(key));
    if table.flag("plain_text").unwrap_or(false) {
        if let Some(key) = given {
            let what = format!("{key} beside plain_text = true");
            table.wrong(key, what, "remove plain_text: with a certificate it is not plain");
        }
        return Some(Trust::PlainText);
    }
    if table.has("ca_file") && table.has("fingerprint_sha256") {
        let what = "both ca_file and fingerprint_sha256 are given";
        table.wrong("fingerprint_sha256", what, "keep one of them");
    }
    if let Some(path) = table.text("ca_file") {
        return Some(Trust::Authorities(folder.join(path)));
    }
    if table.has("fingerprint_sha256") {
        return fingerprints(table).map(Trust::Certificates);
    }
    let mend = "add ca_file = \"ca.pem\", fingerprint_sha256 = [\"...\"] or plain_text = true";
    table.wrong("kind", "nothing says whose certificate is believed", mend);
    None
}

fn fingerprints(table: &Table<'_, '_>) -> Option<Vec<[u8; FINGERPRINT_BYTES]>> {
    let mut prints = Vec::new();
    for text in table.texts("fingerprint_sha256")? {
        let Some(print) = fingerprint(&text.value) else {
            let what = format!("\"{}\" is no SHA-256", text.value.escape_debug());
            let mend = "use 64 hexadecimal digits, with or without colons";
            table.document.add(&text.span, what, mend);
            return None;
        };
        prints.push(print);
    }
    if prints.is_empty() {
        table.wrong("fingerprint_sha256", "an empty list", "name at least one certificate");
    }
    Some(prints)
}

fn fingerprint(text: &str) -> Option<[u8; FINGERPRINT_BYTES]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut print = [0; FINGERPRINT_BYTES];
    if digits.len() != 2 * FINGERPRINT_BYTES {
        return None;
    }
    for (byte, pair) in print.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? * 16 + low?).ok()?;
    }
    Some(print)
}

/// Reads who we say we are.
pub(super) fn login(table: &Table<'_, '_>, folder: &Path) -> Login {
    let token = secret::read(table, "token", folder);
    let password = secret::read(table, "password", folder);
    match (table.text("user"), password, token) {
        (Some(user), Some(password), None) => Login::Password { user, password },
        (None, None, Some(token)) => Login::Token(token),
        (None, None, None) => Login::Nobody,
        (_, _, Some(_)) => {
            let key = if table.has("token_file") { "token_file" } else { "token_env" };
            table.wrong(key, "a token beside a user", "keep one of them");
            Login::Nobody
        }
        (Some(_), None, None) => {
            table.wrong("user", "a user without a password", "add password_file = \"...\"");
            Login::Nobody
        }
        (None, Some(_), None) => {
            let key = if table.has("password_file") { "password_file" } else { "password_env" };
            table.wrong(key, "a password without a user", "add user = \"...\"");
            Login::Nobody
        }
    }
}

/// Reports an address that is no URL, or whose scheme is not what is believed.
pub(super) fn check_url(table: &Table<'_, '_>, address: &str, trust: Option<&Trust>) {
    let plain = trust == Some(&Trust::PlainText);
    let rest = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
        (Some(_), _) if plain => {
            let mend = "write http://, or name a certificate in place of plain_text";
            table.wrong("address", "https:// with plain_text = true", mend);
            return;
        }
        (_, Some(_)) if trust.is_some() && !plain => {
            let mend = "write https://, or plain_text = true";
            table.wrong("address", "http:// is readable by everybody on the way", mend);
            return;
        }
        (Some(rest), _) | (_, Some(rest)) => rest,
        (None, None) => "",
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let bad = |c: char| c.is_whitespace() || c.is_control() || "?#@".contains(c);
    if authority.is_empty() || authority.starts_with(':') || rest.contains(bad) {
        let what = format!("\"{}\" is no URL of a server", address.escape_debug());
        table.wrong("address", what, "use https://HOST, with :PORT and /PATH where needed");
    }
}
