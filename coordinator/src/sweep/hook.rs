//! Commands before and after a sweep's run: programs of one folder, without a shell, with a bound
//! on their time and on what they say.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// What a hook may say: a line for each of ten thousand nodes.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;

/// A hook that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Why it counts as failed.
    pub(crate) failed: Option<String>,
    pub(crate) output: String,
}

/// Where a hook lies: a plain name in the folder that `serve` was given.
///
/// # Errors
/// A sentence that says what to do.
pub(crate) fn place(folder: Option<&Path>, name: &str) -> Result<PathBuf, String> {
    let Some(folder) = folder else {
        return Err(format!(
            "hook {name}: this coordinator runs no hooks: start it with `serve --sweep-hooks DIR`"
        ));
    };
    let plain = !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let path = folder.join(name);
    if name.is_empty() || !plain {
        return Err(format!(
            "{name:?} is no hook: write the plain name of a program in {}",
            folder.display()
        ));
    }
    if !path.is_file() {
        return Err(format!("{}: no such program", path.display()));
    }
    Ok(path)
}

/// Runs a hook to its end or for so long; then its whole process group is killed.
pub(crate) async fn run(
    program: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
    lasts: Duration,
) -> Ended {
    let spawned = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let failed = |why: String| Ended { failed: Some(why), output: String::new() };
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return failed(format!("{}: {error}", program.display())),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let ended = tokio::time::timeout(lasts, listen(&mut child)).await;
    // Whatever it left behind in its group has no business any more.
    if let Some(group) = group {
        let _ = killpg(group, Signal::SIGKILL);
    }
    match ended {
        Ok(Ok((output, status))) => {
            let failed = (!status.success()).then(|| format!("{}: {status}", program.display()));
            Ended { failed, output }
        }
        Ok(Err(error)) => failed(format!("{}: {error}", program.display())),
        Err(_) => {
            failed(format!("{}: did not end within {} s", program.display(), lasts.as_secs()))
        }
    }
}

async fn listen(child: &mut Child) -> std::io::Result<(String, std::process::ExitStatus)> {
    let mut said = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(OUTPUT_BYTES_MAX).read_to_end(&mut said).await?;
    }
    let status = child.wait().await?;
    Ok((String::from_utf8_lossy(&said).into_owned(), status))
}

/// Nodes that a hook wants left out, with why: lines `skip NODE why`.
pub(crate) fn skipped(output: &str) -> Vec<(String, String)> {
    let skip = |line: &str| {
        let rest = line.trim().strip_prefix("skip ")?.trim();
        let (node, why) = rest.split_once(char::is_whitespace).unwrap_or((rest, "no reason said"));
        (!node.is_empty()).then(|| (node.to_owned(), why.trim().to_owned()))
    };
    output.lines().filter_map(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_of_programs_in_the_folder_are_hooks() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("drain"), "").unwrap();
        assert!(place(Some(folder.path()), "drain").is_ok());
        assert!(place(None, "drain").unwrap_err().contains("--sweep-hooks DIR"));
        for wrong in ["", "../drain", "/bin/sh", ".hidden", "drain now", "a/b"] {
            assert!(
                place(Some(folder.path()), wrong).unwrap_err().contains("plain name"),
                "{wrong}"
            );
        }
        assert!(place(Some(folder.path()), "gone").unwrap_err().contains("no such program"));
    }

    #[test]
    fn lines_that_skip_are_read_and_others_are_not() {
        let output = "draining\nskip n3 running job 42\nskip n4\n  skip  n5  down \nskipper\n";
        let skip = |node: &str, why: &str| (node.to_owned(), why.to_owned());
        let wanted =
            [skip("n3", "running job 42"), skip("n4", "no reason said"), skip("n5", "down")];
        assert_eq!(skipped(output), wanted);
    }

    #[tokio::test]
    async fn a_hook_that_does_not_end_is_killed_with_its_children() {
        let began = std::time::Instant::now();
        let arguments = ["-c", "echo skip n1 slow; sleep 60 & sleep 60"];
        let ended = run(Path::new("/bin/sh"), &arguments, &[], Duration::from_millis(300)).await;
        assert!(ended.failed.unwrap().contains("did not end within"));
        assert!(began.elapsed() < Duration::from_secs(20));
        let fine = run(
            Path::new("/bin/sh"),
            &["-c", "echo $WHO"],
            &[("WHO", "us")],
            Duration::from_secs(20),
        );
        assert_eq!(fine.await, Ended { failed: None, output: "us\n".to_owned() });
    }
}
