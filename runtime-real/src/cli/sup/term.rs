//! `annulus sup term`: asks the local supervisor to leave and waits until it has. Never kills it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::host::lock;
use crate::host::root::SupDir;

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
    block_on(wait(&sup, pid, args.wait))?;
    output::line("it has ended");
    Ok(0)
}

async fn wait(sup: &SupDir, pid: i32, seconds: u64) -> Result<(), CliError> {
    let waiting = async {
        while holder(sup)? == Some(pid) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    let late = Err(CliError::StillRunning { pid, seconds });
    tokio::time::timeout(Duration::from_secs(seconds), waiting).await.unwrap_or(late)
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
