//! A fleet in one process against a real coordinator in another: `bench-swarm`.
//!
//! Every simulated agent has its own certificate, its own TLS connections, a clock that is
//! wrong and drifts, and says what a real one says: status and records once a second. What
//! the coordinator spends on it, how late its acknowledgements are and whether anything was
//! lost is measured; `--bare` measures a server that throws everything away beside it.

mod agent;
mod args;
mod bare;
mod credentials;
mod figures;
mod judge;
mod plant;
mod server;

use anyhow::{Result, bail};

use args::Args;

const USAGE: &str = "\
bench-swarm [--agents N] [--seconds S] [--bytes B] [--connections 1|2] [--bare true]
            [--pdus N] [--cdus N] [--json true]
  --agents       simulated agents                                      [default: 1000]
  --seconds      how long they say something once a second             [default: 30]
  --bytes        length of a batch of records                          [default: 500]
  --connections  of each agent: session and upload together, or apart  [default: 1]
  --bare         a server that throws everything away, for comparison  [default: false]
  --pdus         PDUs that the coordinator asks over SNMP once a second [default: 0]
  --cdus         coolant units that it asks over Modbus; with either, one of each never answers";

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if_eq("bare-server").is_some() {
        return bare::serve(words.next().as_deref().unwrap_or_default());
    }
    if words.peek().is_some_and(|word| word == "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(why) => bail!("{why}\nusage:\n{USAGE}"),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let figures = runtime.block_on(judge::run(&args))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&figures.json(&args))?);
    } else {
        print!("{}", figures.table(&args));
    }
    Ok(())
}
