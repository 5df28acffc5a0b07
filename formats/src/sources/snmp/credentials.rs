//! Who asks: a community of v2c, or a user of v3.

use std::path::Path;

use super::super::secret::{self, Secret};
use crate::document::Table;
use crate::nearest::nearest;

pub(super) const KEYS: [&str; 13] = [
    "version",
    "community_file",
    "community_env",
    "user",
    "context",
    "auth",
    "auth_password_file",
    "auth_password_env",
    "privacy",
    "privacy_password_file",
    "privacy_password_env",
    "unauthenticated",
    "community",
];

/// Longest name of a user, by RFC 3414.
const USER_BYTES_MAX: usize = 32;

/// How agents know who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Version 2c: a word that travels in the clear.
    Community(Secret),
    /// Version 3.
    User(User),
}

/// A user of version 3's user-based security model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// Empty unless the device has several.
    pub context: String,
    /// `None` only where the document asks for it: anybody may answer then.
    pub auth: Option<(Auth, Secret)>,
    pub privacy: Option<(Privacy, Secret)>,
}

/// Hash that proves who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Broken for signatures; old devices have nothing else.
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// Cipher that hides what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Old devices have nothing else.
    Des,
    Aes128,
}

const AUTHS: [(&str, Auth); 6] = [
    ("sha256", Auth::Sha256),
    ("sha1", Auth::Sha1),
    ("md5", Auth::Md5),
    ("sha224", Auth::Sha224),
    ("sha384", Auth::Sha384),
    ("sha512", Auth::Sha512),
];
const PRIVACIES: [(&str, Privacy); 2] = [("aes128", Privacy::Aes128), ("des", Privacy::Des)];

pub(super) fn read(table: &Table<'_, '_>, folder: &Path) -> Option<Credentials> {
    table.need("version", "version = \"3\", or \"2c\" for a device that has no other");
    let version = table.text_at("version")?;
    match version.value.as_str() {
        "2c" => {
            refuse(table, |key| !key.starts_with("community") && key != "version", "2c");
            Some(Credentials::Community(secret_of(table, "community", folder)?))
        }
        "3" => {
            refuse(table, |key| key.starts_with("community"), "3");
            user(table, folder).map(Credentials::User)
        }
        other => {
            let what = format!("unknown version \"{}\"", other.escape_debug());
            table.document.add(&version.span, what, "use \"3\" or \"2c\"");
            None
        }
    }
}

/// Reports keys that the version has no use for.
fn refuse(table: &Table<'_, '_>, stranger: impl Fn(&str) -> bool, version: &str) {
    for key in KEYS.into_iter().filter(|key| stranger(key) && table.has(key)) {
        table.wrong(key, format!("{key} is not for version {version}"), format!("remove {key}"));
    }
}

/// A secret that must be there, as `KEY_file` or `KEY_env`.
fn secret_of(table: &Table<'_, '_>, key: &str, folder: &Path) -> Option<Secret> {
    let file = format!("{key}_file");
    if table.has(key) {
        let what = format!("a {key} in a document that travels with runs");
        table.wrong(key, what, format!("write it into a file, and {file} = \"FILE\""));
        return None;
    }
    let found = secret::read(table, key, folder);
    if found.is_none() && !table.has(&file) && !table.has(&format!("{key}_env")) {
        table.need(&file, &format!("{file} = \"FILE\", or {key}_env = \"NAME\""));
    }
    found
}

fn user(table: &Table<'_, '_>, folder: &Path) -> Option<User> {
    table.need("user", "user = \"loadbank\"");
    let open = table.flag("unauthenticated") == Some(true);
    if open && table.has("auth") {
        table.wrong("unauthenticated", "auth is given as well", "remove unauthenticated");
    }
    if !open && !table.has("auth") {
        let what = "a user without auth: anybody on the way could answer in the device's place";
        let mend = "add auth = \"sha256\" and auth_password_file, or unauthenticated = true";
        table.wrong("auth", what, mend);
    }
    let auth = table.has("auth").then(|| chosen(table, "auth", &AUTHS, folder));
    let privacy = table.has("privacy").then(|| chosen(table, "privacy", &PRIVACIES, folder));
    if privacy.is_some() && auth.is_none() {
        table.wrong("privacy", "privacy without auth does not exist", "add auth = \"sha256\"");
    }
    let name = table.text("user")?;
    if name.is_empty() || name.len() > USER_BYTES_MAX {
        let what = format!("user has {} bytes", name.len());
        table.wrong("user", what, format!("use 1 to {USER_BYTES_MAX}"));
    }
    let context = table.text("context").unwrap_or_default();
    // A choice that was given and is wrong has been told; it must not count as none.
    Some(User { name, context, auth: held(auth)?, privacy: held(privacy)? })
}

fn held<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(None) => None,
        Some(read) => Some(read),
    }
}

fn chosen<T: Copy>(
    table: &Table<'_, '_>,
    key: &str,
    known: &[(&'static str, T)],
    folder: &Path,
) -> Option<(T, Secret)> {
    let secret = secret_of(table, &format!("{key}_password"), folder);
    let at = table.text_at(key)?;
    let found = known.iter().find(|(word, _)| *word == at.value);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let mend = match nearest(&at.value, &words) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("use one of {}", words.join(", ")),
        };
        table.document.add(&at.span, format!("unknown {key} \"{}\"", at.value), mend);
    }
    Some((found?.1, secret?))
}
