//! Where runs and spools are kept when nobody says otherwise: one place for both binaries.

use std::path::PathBuf;

/// As root `/var/lib/loadbank`, else `$XDG_STATE_HOME/loadbank` or `~/.local/state/loadbank`.
#[must_use]
pub fn default_state_dir() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let base = match (nix::unistd::geteuid().is_root(), state, home) {
        (_, Some(state), _) => state,
        (true, None, _) => PathBuf::from("/var/lib"),
        (false, None, Some(home)) => home.join(".local/state"),
        (false, None, None) => std::env::temp_dir(),
    };
    base.join("loadbank")
}
