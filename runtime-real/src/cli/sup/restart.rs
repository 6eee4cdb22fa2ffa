//! `annulus sup restart`: has the launcher replace the supervisor, while services go on. Never starts a supervisor
//! that does not run.

use std::time::Duration;

use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::message::SupRestart;
use crate::sup_run;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    remote: Remote,
    /// Give up waiting for the local supervisor after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    block_on(async {
        let sup = global.sup()?;
        let before = sup_run::pid(&sup);
        let client = target::connect(global, &args.remote).await?;
        client.request(&SupRestart {}, |line| output::line(line)).await?;
        // Only a local supervisor leaves its pid where this command can read it.
        let Some(before) = before.filter(|_| !args.remote.is_named()) else { return Ok(0) };
        let waiting = async {
            loop {
                match sup_run::pid(&sup) {
                    Some(pid) if pid != before => return pid,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        match tokio::time::timeout(Duration::from_secs(args.wait), waiting).await {
            Ok(pid) => output::line(format_args!(
                "the supervisor runs as process {pid}; before, it was process {before}"
            )),
            Err(_) => return Err(CliError::NotRestarted { pid: before, seconds: args.wait }),
        }
        Ok(0)
    })
}
