//! `annulus sup term`: asks the local supervisor to leave and waits until it has. Never kills it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::timeout;

use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::convert::hook_text;
use crate::gateway::ctl::message::{ServiceStatus, SvcStatus};
use crate::host::lock;
use crate::host::root::SupDir;
use crate::launcher::identity::why_silent;
use crate::sup_run;

/// Between two looks whether it has ended.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// What it waits for is said after this time …
const PROGRESS_FIRST: Duration = Duration::from_millis(800);
/// … and then so often.
const PROGRESS_PERIOD: Duration = Duration::from_secs(5);
/// For what it waits the supervisor says within this, or it does not answer.
const ANSWER_MAX: Duration = Duration::from_millis(500);

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
                say_progress(global, sup).await;
            }
        }
        Ok(())
    };
    let late = Err(CliError::StillRunning { pid, seconds });
    timeout(Duration::from_secs(seconds), waiting).await.unwrap_or(late)
}

/// Says what the supervisor waits for, as far as it answers, and why it may not.
async fn say_progress(global: &Global, sup: &SupDir) {
    let asked = async {
        let client = target::connect(global, &Remote::default()).await?;
        Ok::<_, CliError>(client.query::<ServiceStatus>(&SvcStatus { ident: None }).await?)
    };
    let services = match timeout(ANSWER_MAX, asked).await {
        Ok(Ok(services)) => services,
        Ok(Err(_)) => {
            return output::line("waiting: the supervisor takes no more orders, and has not ended yet");
        }
        Err(_) => {
            let why = sup_run::pid(sup).map_or_else(String::new, |pid| format!(": {}", why_silent(pid)));
            return output::line(format_args!("waiting: the supervisor does not answer{why}"));
        }
    };
    let running: Vec<&ServiceStatus> =
        services.iter().filter(|status| status.state.as_deref() != Some("down")).collect();
    if running.is_empty() {
        output::line(
            "waiting: no service runs; the disk has yet to take that this supervisor leaves, and the ring to hear it",
        );
    }
    for status in running {
        let state = status.state.as_deref().unwrap_or("running");
        let hooks: String = status.hooks.iter().map(|hook| format!(", {}", hook_text(hook))).collect();
        // The order to leave stops it as soon as it counts.
        let disk = if state == "up" { "; the supervisor's disk has yet to take the order" } else { "" };
        output::line(format_args!("waiting: {} is {state}{hooks}{disk}", status.service_group.service));
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
