//! `loadbank local`: this machine burned in for real, with one command.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use agent::state_dir::default_state_dir;
use coordinator::{Config, Coordinator, Permission};
use proto::dial::Security;
use proto::v1;

use super::{run, serve};
use crate::client::connect;
use crate::failure::Failure;
use crate::follow;
use crate::options::{LocalOptions, Target};
use crate::plan_source;

/// Agents that were told to end get this long beyond their ramp.
const LEAVE_GRACE: Duration = Duration::from_secs(5);

/// Runs a plan on this machine's own hardware and exits with its code.
///
/// # Errors
/// Invalid input (2) or infrastructure (4).
pub async fn run(options: LocalOptions) -> Result<ExitCode, Failure> {
    let plan = plan_source::plan(&options.plan)?;
    let state_dir = options.state_dir.clone().unwrap_or_else(default_state_dir);
    let listener = serve::listen("--listen", "127.0.0.1:0", &Security::InsecureLoopback).await?;
    let config = Config { permission: Permission::OwnMachine, ..Config::new(state_dir.clone()) };
    let coordinator = Coordinator::start(config, listener).map_err(Failure::infrastructure)?;
    let address = coordinator.address.to_string();
    let web = serve::listen("--web", &options.web, &Security::InsecureLoopback).await?;
    serve::open_page(&coordinator, web, &Security::InsecureLoopback)?;
    let homes = state_dir.join("local").join(std::process::id().to_string());
    let agents = Agents::start(&address, &homes, options.agents)?;
    let target = Target { coordinator: address, tls_dir: None, insecure_loopback: true };
    let mut client = connect(&target).await?;
    let request = v1::SubmitRequest {
        plan_toml: plan.text,
        plan_file: plan.file,
        inject: options.inject,
        least_agents: options.agents,
        who: follow::who(),
        ..v1::SubmitRequest::default()
    };
    let outcome = run::submit_and_follow(&mut client, request, options.shape.format()).await;
    agents.end(outcome.is_ok()).await;
    coordinator.stop().await;
    outcome
}

/// The agents of this machine, with their folders.
struct Agents {
    processes: Vec<Child>,
    homes: PathBuf,
}

impl Agents {
    fn start(address: &str, homes: &Path, count: u32) -> Result<Self, Failure> {
        let shares = core_shares(count)?;
        let mut agents = Self { processes: Vec::new(), homes: homes.to_owned() };
        for (index, cores) in shares.iter().enumerate() {
            let node = format!("local-{index}");
            // One agent has this machine's GPUs: two would heat each of them twice.
            let devices = if index == 0 { "auto" } else { "cpu" };
            let process = spawn(address, &node, &homes.join(&node), cores, devices)
                .map_err(|error| Failure::infrastructure(format!("agent {node}: {error}")))?;
            agents.processes.push(process);
        }
        Ok(agents)
    }

    /// Ends the agents; their spools go when everything in them was taken (`whole`).
    async fn end(mut self, whole: bool) {
        for process in &self.processes {
            let pid = nix::unistd::Pid::from_raw(process.id() as i32);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        let deadline = Instant::now() + LEAVE_GRACE;
        while Instant::now() < deadline && !self.all_ended() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if whole && self.all_ended() {
            let _ = std::fs::remove_dir_all(&self.homes);
        }
    }

    fn all_ended(&mut self) -> bool {
        self.processes.iter_mut().all(|process| matches!(process.try_wait(), Ok(Some(_))))
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn spawn(
    address: &str,
    node: &str,
    home: &Path,
    cores: &str,
    devices: &str,
) -> std::io::Result<Child> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    let arguments: [OsString; 12] = [
        "agent-process".into(),
        "--coordinator".into(),
        address.into(),
        "--insecure-loopback".into(),
        "--node".into(),
        node.into(),
        "--state-dir".into(),
        home.into(),
        "--cores".into(),
        cores.into(),
        "--devices".into(),
        devices.into(),
    ];
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    // An agent is in a group of its own: Ctrl-C is for us, and we tell it what to do. When
    // we die it ramps down: its lease is not renewed any more, and this says so at once.
    command.process_group(0);
    // SAFETY: prctl is async-signal-safe and touches nothing of this process.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
            Ok(())
        });
    }
    command.spawn()
}

/// The cores that this process may use, dealt out as evenly as they go; with fewer cores
/// than agents some share one.
fn core_shares(agents: u32) -> Result<Vec<String>, Failure> {
    let facts = agent::node_facts::NodeFacts::read(Path::new("/"));
    let cores = facts
        .cores
        .value()
        .filter(|cores| !cores.is_empty())
        .ok_or_else(|| Failure::infrastructure("the cores of this machine can't be read"))?;
    Ok(deal(&cores, agents as usize))
}

fn deal(cores: &[u32], agents: usize) -> Vec<String> {
    let share = |agent: usize| -> Vec<String> {
        let from = agent * cores.len() / agents;
        let to = ((agent + 1) * cores.len() / agents).max(from + 1);
        cores[from..to.min(cores.len())].iter().map(ToString::to_string).collect()
    };
    (0..agents).map(|agent| share(agent).join(",")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_dealt_without_overlap_when_there_are_enough() {
        assert_eq!(deal(&[0, 1], 2), ["0", "1"]);
        assert_eq!(deal(&[0, 1, 2, 3, 4], 2), ["0,1", "2,3,4"]);
        assert_eq!(deal(&[7], 2), ["7", "7"]);
    }
}
