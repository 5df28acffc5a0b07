//! Processes: started, waited for with a deadline, killed with all that came from them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Distance of looks at something that is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// A library that is nowhere.
const NO_NVML: &str = "/nonexistent/libnvidia-ml.so.1";

/// TCP_LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A process with its output in files. Killed when dropped, grandchildren first.
pub struct Process {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
    status: Option<ExitStatus>,
}

/// A process that ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Standard output as one JSON document.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON document ({error}): {self:?}"))
    }
}

impl Process {
    /// Starts a program with its output in `folder`.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(program: &Path, arguments: &[String], folder: &Path, name: &str) -> Self {
        Self::start_with(program, arguments, &[], folder, name)
    }

    /// Starts a program with its output in `folder` and more variables around it.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start_with(
        program: &Path,
        arguments: &[String],
        env: &[(String, String)],
        folder: &Path,
        name: &str,
    ) -> Self {
        Self::start_in(None, program, arguments, env, folder, name)
    }

    /// The same with the links of a network namespace.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start_in(
        namespace: Option<File>,
        program: &Path,
        arguments: &[String],
        env: &[(String, String)],
        folder: &Path,
        name: &str,
    ) -> Self {
        let unique = std::fs::read_dir(folder).map_or(0, Iterator::count);
        let file = |ending: &str| folder.join(format!("{unique:03}-{name}.{ending}"));
        let (out, err) = (file("out"), file("err"));
        let create = |path: &Path| File::create(path).expect("the test's folder takes files");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(create(&out)).stderr(create(&err));
        command.env("LOADBANK_LOG", "info").process_group(0);
        // Tests say which GPUs there are: none, or those of a script.
        command.env("LOADBANK_NVML_LIBRARY", NO_NVML);
        command.envs(env.iter().map(|(name, value)| (name, value)));
        // SAFETY: prctl, setns and their arguments touch no memory of this process.
        unsafe {
            command.pre_exec(move || {
                // A test that is killed takes what it started with it.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                let Some(namespace) = &namespace else { return Ok(()) };
                match libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self { child, name: name.to_owned(), out, err, status: None }
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to this process alone.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill has no memory effects; the process is ours and not yet waited for.
        unsafe { libc::kill(self.pid() as i32, signal) };
    }

    /// `kill -9`, as a machine's out-of-memory killer would: this process alone.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.status = self.child.wait().ok();
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn finish(&mut self, patience: Duration) -> Done {
        let deadline = Instant::now() + patience;
        while self.runs() {
            let late = Instant::now() >= deadline;
            assert!(!late, "{} did not end in {patience:?}: {}", self.name, self.stderr());
            std::thread::sleep(LOOK);
        }
        let code = self.status.and_then(|status| status.code());
        Done { code, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.out)
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.err)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let was_alive = self.runs();
        for pid in descendants(self.pid()) {
            // SAFETY: kill has no memory effects; the process descends from ours.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        }
        if was_alive {
            self.kill();
        }
        if std::thread::panicking() {
            let ended = if was_alive { "killed" } else { "ended before" };
            eprintln!("--- {} ({ended}), standard error:\n{}", self.name, tail(&self.stderr()));
        }
    }
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of a log: enough to see what went wrong.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Clock ticks spent, user and system.
    ticks: u64,
    /// Tells this process from a later one with the same number.
    started: u64,
}

/// A process as it was when looked at. Dead (and zombie) ones give `None`.
fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; what follows its last bracket does not.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    if fields.first() == Some(&"Z") || fields.first() == Some(&"X") {
        return None;
    }
    Some(Stat { parent: number(1)? as u32, ticks: number(11)? + number(12)?, started: number(19)? })
}

fn all() -> BTreeMap<u32, Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

/// Children, their children, and so on.
fn descendants(pid: u32) -> Vec<u32> {
    let known = all();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(known.iter().filter(|(_, s)| s.parent == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// A worker process of an agent, remembered beyond its agent's death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    pid: u32,
    started: u64,
}

impl Worker {
    /// Whether it still lives.
    #[must_use]
    pub fn lives(self) -> bool {
        self.now().is_some()
    }

    /// Whether it runs and was started with this word, such as `--nccl`.
    #[must_use]
    pub fn was_told(self, word: &str) -> bool {
        self.lives() && was_told(self.pid, word)
    }

    /// `kill -9`, unless it is gone already.
    pub fn kill(self) {
        if self.lives() {
            // SAFETY: kill has no memory effects; the process descends from ours.
            unsafe { libc::kill(self.pid as i32, libc::SIGKILL) };
        }
    }

    /// Processor time it has spent; nothing for a dead one.
    #[must_use]
    pub fn spent(self) -> Duration {
        // SAFETY: sysconf reads a constant of the system.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        Duration::from_secs_f64(self.now().map_or(0, |stat| stat.ticks) as f64 / per_second)
    }

    /// Ports on which it listens.
    #[must_use]
    pub fn listens(self) -> Vec<u16> {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.pid));
        let links =
            folder.into_iter().flatten().flatten().filter_map(|e| e.path().read_link().ok());
        let sockets: Vec<String> = links
            .filter_map(|link| {
                let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(inode.to_owned())
            })
            .collect();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let listening = table.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            let mine = *state == LISTEN && sockets.iter().any(|socket| socket == inode);
            let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
            mine.then_some(port)
        });
        listening.collect()
    }

    fn now(self) -> Option<Stat> {
        stat(self.pid).filter(|stat| stat.started == self.started)
    }
}

/// Whether a process was started with this word; what ended has none any more, even while its
/// parent has not taken note of it.
fn was_told(pid: u32, told: &str) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == told.as_bytes())
}

/// The worker processes of an agent.
#[must_use]
pub fn workers(agent: u32) -> Vec<Worker> {
    let is_worker = |pid: &u32| was_told(*pid, "worker");
    let children = all().into_iter().filter(|(pid, s)| s.parent == agent && is_worker(pid));
    children.map(|(pid, stat)| Worker { pid, started: stat.started }).collect()
}

/// Processor time that these workers spend while we look on.
#[must_use]
pub fn spent_during(workers: &[Worker], look: Duration) -> Duration {
    let total = || workers.iter().map(|worker| worker.spent()).collect::<Vec<_>>();
    let before = total();
    std::thread::sleep(look);
    // One that died meanwhile spends nothing any more.
    total().iter().zip(&before).map(|(after, before)| after.saturating_sub(*before)).sum()
}
