//! `annulus sup term`: asks the local supervisor to leave and waits until it has. Never kills it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::convert::hook_text;
use crate::gateway::ctl::message::{ServiceStatus, SvcStatus};
use crate::host::lock;
use crate::host::root::SupDir;

/// Between two looks whether it has ended.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// What it waits for is said after this time …
const PROGRESS_FIRST: Duration = Duration::from_millis(800);
/// … and then so often.
const PROGRESS_PERIOD: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Give up waiting after so many seconds; the supervisor goes on leaving
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let sup = global.sup()?;
    let Some(pid) = holder(&sup)? else {
        let root = global.root()?.path().to_owned();
        return Err(CliError::NotRunning { root, name: global.name().to_owned() });
    };
    kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|source| CliError::Signal { pid, source })?;
    output::line(format_args!("process {pid} is told to end; it leaves the ring and stops its services"));
    block_on(wait(global, &sup, pid, args.wait))?;
    output::line("it has ended");
    Ok(0)
}

async fn wait(global: &Global, sup: &SupDir, pid: i32, seconds: u64) -> Result<(), CliError> {
    let waiting = async {
        let (mut waited, mut due) = (Duration::ZERO, PROGRESS_FIRST);
        while holder(sup)? == Some(pid) {
            tokio::time::sleep(LOOK_PERIOD).await;
            waited += LOOK_PERIOD;
            if waited >= due {
                due = waited + PROGRESS_PERIOD;
                say_progress(global).await;
            }
        }
        Ok(())
    };
    let late = Err(CliError::StillRunning { pid, seconds });
    tokio::time::timeout(Duration::from_secs(seconds), waiting).await.unwrap_or(late)
}

/// Says which services the supervisor waits for, as far as it still answers.
async fn say_progress(global: &Global) {
    let Ok(client) = target::connect(global, &Remote::default()).await else { return };
    let Ok(services) = client.query::<ServiceStatus>(&SvcStatus { ident: None }).await else { return };
    for status in services.iter().filter(|status| status.state.as_deref() != Some("down")) {
        let state = status.state.as_deref().unwrap_or("running");
        let hooks: String = status.hooks.iter().map(|hook| format!(", {}", hook_text(hook))).collect();
        output::line(format_args!("waiting: {} is {state}{hooks}", status.service_group.service));
    }
}

/// The process that holds the supervisor's lock.
fn holder(sup: &SupDir) -> Result<Option<i32>, CliError> {
    let path = sup.lock();
    let Some(text) = lock::held_by(sup).map_err(CliError::io(path.display().to_string()))? else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(pid) if pid > 1 => Ok(Some(pid)),
        _ => Err(CliError::LockFile { path, text }),
    }
}
