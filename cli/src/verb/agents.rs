//! `loadbank agents`: who is connected, and how well its clock is known.

use std::collections::BTreeMap;
use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::ListOptions;
use crate::output;

/// Lists agents by node name.
///
/// # Errors
/// When no coordinator answers.
pub async fn run(options: ListOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let reply = client.agents(v1::AgentsRequest {}).await?.into_inner();
    let (agents, refused) = (reply.agents, BTreeMap::from_iter(reply.refused));
    if options.json {
        let agents: Vec<_> = agents.iter().map(json).collect();
        output::line(&serde_json::json!({ "agents": agents, "refused": refused }).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!(
        "{:<20} {:<10} {:>7} {:>16} {:<24} RUN",
        "NODE", "STATE", "DEVICES", "CLOCK OFFSET", "MODEL"
    ))?;
    for agent in &agents {
        let state = match agent.connected {
            true => "connected".to_owned(),
            false => format!("gone {:.0} s", agent.last_seen_s),
        };
        let clock = match (agent.offset_us, agent.offset_error_us) {
            (Some(offset), Some(error)) => format!("{offset:.0} +- {error:.0} us"),
            _ => "not known".to_owned(),
        };
        output::line(&format!(
            "{:<20} {state:<10} {:>7} {clock:>16} {:<24} {}",
            agent.node, agent.devices, agent.device_model, agent.run_id
        ))?;
    }
    if !refused.is_empty() {
        let counts: Vec<_> =
            refused.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        output::line(&format!("refused: {}", counts.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn json(agent: &v1::AgentEntry) -> serde_json::Value {
    serde_json::json!({
        "node": agent.node, "instance": agent.instance, "boot_id": agent.boot_id,
        "version": agent.agent_version, "connected": agent.connected,
        "last_seen_s": agent.last_seen_s, "devices": agent.devices,
        "device_model": agent.device_model, "offset_us": agent.offset_us,
        "offset_error_us": agent.offset_error_us,
        "run": (!agent.run_id.is_empty()).then(|| agent.run_id.clone()),
    })
}
