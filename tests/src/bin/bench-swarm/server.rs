//! The process that is measured: its processor time and its memory.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A server comes up in well under a second; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

/// What a process has taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) cpu: Duration,
    /// Largest resident set so far, in bytes.
    pub(crate) peak_bytes: u64,
}

impl Server {
    /// Starts a program with a free address in place of `{}`.
    pub(crate) fn start(program: &Path, words: &[&str], log: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let words = words.iter().map(|word| word.replace("{}", &address));
        let log = std::fs::File::create(log)?;
        let child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .env("LOADBANK_LOG", "warn")
            .spawn()
            .with_context(|| format!("{} can't be started", program.display()))?;
        let mut server = Self { child, address };
        server.wait_until_it_listens()?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(&self.address).is_err() {
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("the server did not come up");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it has taken until now.
    pub(crate) fn taken(&self) -> Result<Taken> {
        let pid = self.child.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit_once(')').context("a process has a name")?.1;
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap_or(0))
            .sum();
        // SAFETY: sysconf reads a constant of the system.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak_kib: u64 = peak
            .and_then(|words| words.trim().trim_end_matches("kB").trim().parse().ok())
            .context("the kernel says how much memory a process has")?;
        Ok(Taken {
            cpu: Duration::from_secs_f64(ticks as f64 / per_second),
            peak_bytes: peak_kib * 1024,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
