//! Runs a hook as a child of this supervisor, below a launcher of an earlier version, which has no guards. A process that
//! leaves the hook's process group outlives it then.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use annulus_core::{ExitStatus, HookExit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::{Heard, HookRun, KILLED, Say, heard, listen, say_timed_out};
use crate::launcher::confine::confine_command;
use crate::supervisor::effect::process::{BUSY_RETRY, BUSY_TRIES, die_with_parent, exit_status};

/// Kills a process group when it goes out of scope, also when the task that waits for the hook is dropped.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // No other group gets this number while one of its processes is alive.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// Runs a hook to its end or to its deadline, and then kills the processes that are left in its process group.
pub(super) async fn run(run: HookRun, limit: Duration, say: Say) -> Heard {
    let mut deadline = std::pin::pin!(sleep(limit));
    let mut child = match start(&run).await {
        Ok(child) => child,
        Err(error) => return Heard::failed(explain(&run, &error)),
    };
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw) else {
        return Heard::failed("the system did not name its process".to_owned());
    };
    let group = Group(pid);
    let stdout = tokio::spawn(listen(child.stdout.take(), Arc::clone(&say)));
    let stderr = tokio::spawn(listen(child.stderr.take(), Arc::clone(&say)));
    let mut ended = run.ended.clone();
    let exit = tokio::select! {
        biased;
        status = child.wait() => HookExit::Ended(status.map_or(ExitStatus::Unknown, exit_status)),
        () = &mut deadline => HookExit::TimedOut,
        () = ended.ordered() => KILLED,
    };
    drop(group);
    if exit == HookExit::TimedOut {
        say_timed_out(&run, limit, &say);
    }
    let _ = child.wait().await;
    heard(exit, stdout, stderr).await
}

async fn start(run: &HookRun) -> io::Result<Child> {
    let mut command = Command::new(&run.program);
    command
        .current_dir(&run.dir)
        .env_clear()
        .envs(run.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    confine_command(command.as_std_mut(), run.account.as_ref());
    die_with_parent(&mut command, Signal::SIGKILL);
    let mut tries = 1;
    loop {
        match command.spawn() {
            // For a moment, another process that is being started may hold the hook open for writing.
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                tries += 1;
                sleep(BUSY_RETRY).await;
            }
            result => return result,
        }
    }
}

fn explain(run: &HookRun, error: &io::Error) -> String {
    let program = run.program.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{program} cannot be started: it or the interpreter in its first line does not exist")
        }
        _ => format!("{program} cannot be started: {error}"),
    }
}
