//! Passwords and communities: where they lie, never what they are.

use std::path::{Path, PathBuf};

use crate::document::Table;

/// Where a secret is read, anew at each connection, so that it can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// First line of a file.
    File(PathBuf),
    /// A variable of the coordinator's environment.
    Env(String),
}

/// Reads `KEY_file` or `KEY_env`. A secret in the document itself is refused: the document
/// travels with the run.
pub(super) fn read(table: &Table<'_, '_>, key: &str, folder: &Path) -> Option<Secret> {
    let (file_key, env_key) = (format!("{key}_file"), format!("{key}_env"));
    if table.has(&file_key) && table.has(&env_key) {
        let what = format!("both {file_key} and {env_key} are given");
        table.wrong(&env_key, what, "keep one of them");
    }
    if let Some(path) = table.text(&file_key) {
        return Some(Secret::File(folder.join(path)));
    }
    table.text(&env_key).map(Secret::Env)
}

impl Secret {
    /// The secret, without the end of its line.
    ///
    /// # Errors
    /// When file or variable can't be read; the words name it and never the secret.
    pub fn get(&self) -> Result<String, String> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?,
            Self::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment has no usable variable {name}"))?,
        };
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(match self {
                Self::File(path) => format!("{}: its first line is empty", path.display()),
                Self::Env(name) => format!("the variable {name} is empty"),
            });
        }
        Ok(line.to_owned())
    }
}
