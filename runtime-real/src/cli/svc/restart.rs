//! `annulus svc restart IDENT…`: stops services in order and starts them again. Changes no spec.

use std::time::Duration;

use annulus_core::PackageIdent;

use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::message::{ServiceStatus, SvcStatus};
use crate::gateway::ctl::ring_message::SvcRestart;
use crate::host::clock::Clock;

/// Pause between two looks with `--wait`.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 done · 1 failed · 2 not loaded · 3 no supervisor runs · 7 wrong or no ctl secret · \
                        9 (--wait) not all of them run again in time"
)]
pub(in crate::cli) struct Args {
    /// The services' packages, origin/name; they are restarted one after the other with --wait, at once without
    #[arg(value_name = "IDENT", required = true)]
    idents: Vec<PackageIdent>,
    /// Return once each runs again as another process, and is not sick
    #[arg(long)]
    wait: bool,
    /// Longest wait for each
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
    timeout: u64,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    block_on(async {
        // All of them are known before the first is stopped.
        let mut before = Vec::new();
        for ident in &args.idents {
            before.push(pid(&status(global, args, ident).await?));
        }
        for (ident, before) in args.idents.iter().zip(before) {
            let request = SvcRestart { ident: Some(ident.into()) };
            target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
            if args.wait {
                wait(global, args, ident, before).await?;
            }
        }
        Ok(0)
    })
}

async fn status(global: &Global, args: &Args, ident: &PackageIdent) -> Result<ServiceStatus, CliError> {
    let request = SvcStatus { ident: Some(ident.into()) };
    let list: Vec<ServiceStatus> = target::connect(global, &args.remote).await?.query(&request).await?;
    Ok(list.into_iter().next().unwrap_or_default())
}

fn pid(status: &ServiceStatus) -> Option<u32> {
    status.process.and_then(|process| process.pid)
}

/// Whether the service runs as another process than `before`, and is not known to be sick.
fn runs_again(status: &ServiceStatus, before: Option<u32>) -> bool {
    let is_new = pid(status).is_some_and(|pid| Some(pid) != before);
    is_new && status.state.as_deref() == Some("up") && status.health.as_deref() != Some("critical")
}

async fn wait(
    global: &Global,
    args: &Args,
    ident: &PackageIdent,
    before: Option<u32>,
) -> Result<(), CliError> {
    let clock = Clock::host();
    let (start, limit) = (clock.now(), Duration::from_secs(args.timeout));
    loop {
        let status = status(global, args, ident).await?;
        let waited = clock.now().saturating_since(start);
        if runs_again(&status, before) {
            let pid = pid(&status).unwrap_or_default();
            output::line(format_args!(
                "{ident} runs again as process {pid} after {:.1} s",
                waited.as_secs_f64()
            ));
            return Ok(());
        }
        if waited >= limit {
            let state = status.state.unwrap_or_default();
            let why = status.last_error.or(status.last_exit).or(status.waiting_for);
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            return Err(CliError::NotRunningAgain {
                ident: ident.to_string(),
                seconds: args.timeout,
                state,
                why,
            });
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ctl::message::ProcessStatus;

    #[test]
    fn another_process_that_is_not_sick_runs_again() {
        let status = |pid, state: &str, health: &str| ServiceStatus {
            process: Some(ProcessStatus { elapsed: None, pid, state: 1 }),
            state: Some(state.into()),
            health: Some(health.into()),
            ..ServiceStatus::default()
        };
        assert!(runs_again(&status(Some(8), "up", "ok"), Some(7)));
        assert!(runs_again(&status(Some(8), "up", "unknown"), None));
        for other in [
            status(Some(7), "up", "ok"),
            status(Some(8), "stopping", "ok"),
            status(Some(8), "up", "critical"),
            status(None, "backoff", "unknown"),
        ] {
            assert!(!runs_again(&other, Some(7)), "{other:?}");
        }
    }
}
