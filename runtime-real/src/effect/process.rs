//! A service's process: started in a group of its own, watched, signalled, never left behind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annulus_core::{EffectId, EffectResult, ExitStatus, Hook, ServiceGroup, ServiceName, StopSignal};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{leftover, output};
use crate::ctl::secret::{CTL_SECRET_ENV, GATEWAY_TOKEN_ENV};

/// Times that a hook which is still open for writing is tried again …
pub(super) const BUSY_TRIES: u32 = 50;
/// … and how long after.
pub(super) const BUSY_RETRY: Duration = Duration::from_millis(10);
/// After a process ended, what it printed last may take this long to reach the log.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(200);

/// How to run a service that has been prepared.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The rendered `run` hook.
    pub program: PathBuf,
    /// Its working directory.
    pub dir: PathBuf,
    /// Variables beside the supervisor's own, of which a service gets all but the secrets.
    pub env: Vec<(OsString, OsString)>,
    /// What the package wants to be stopped with.
    pub stop_signal: Signal,
    /// Holds the pid while the process runs, for people and scripts.
    pub pid_file: PathBuf,
}

struct Running {
    pid: Pid,
    stop_signal: Signal,
}

/// The processes of this supervisor's services.
///
/// Every process dies with the supervisor, also when that is killed: the system signals it when the thread
/// that started it ends. So a supervisor starts processes on the thread that it lives on, which means that
/// its runtime has one thread.
#[derive(Clone)]
pub struct Processes {
    running: Arc<Mutex<BTreeMap<ServiceName, Running>>>,
    done: mpsc::Sender<(EffectId, EffectResult)>,
}

impl Processes {
    /// None yet; results go to `done`.
    #[must_use]
    pub fn new(done: mpsc::Sender<(EffectId, EffectResult)>) -> Self {
        Self { running: Arc::default(), done }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a service: `Spawned` or `SpawnFailed`, then once `Exited`.
    pub fn spawn(&self, id: EffectId, plan: Option<RunPlan>, service: ServiceName, group: ServiceGroup) {
        let this = self.clone();
        tokio::spawn(async move {
            let started = match plan {
                Some(plan) => this.start(&plan, &service).await,
                None => Err("it has not been prepared".to_owned()),
            };
            let (child, pid, pid_file) = match started {
                Ok(started) => started,
                Err(reason) => return this.report(id, EffectResult::SpawnFailed { reason }).await,
            };
            this.report(id, EffectResult::Spawned { pid: pid.as_raw().unsigned_abs() }).await;
            let status = this.watch(child, pid, &service, &group).await;
            // It may have been removed already, or never written.
            let _ = std::fs::remove_file(pid_file);
            this.report(id, EffectResult::Exited(status)).await;
        });
    }

    async fn report(&self, id: EffectId, result: EffectResult) {
        // The driver may have ended.
        let _ = self.done.send((id, result)).await;
    }

    async fn start(&self, plan: &RunPlan, service: &ServiceName) -> Result<(Child, Pid, PathBuf), String> {
        if leftover::kill_leftovers(&plan.pid_file, &plan.dir) {
            tracing::warn!(
                service = service.as_str(),
                "processes of {service} outlived a supervisor that was killed; they are killed too"
            );
        }
        let child = launch(plan).await.map_err(|error| explain(plan, &error))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        let pid = pid.ok_or_else(|| "the system did not name its process".to_owned())?;
        self.running().insert(service.clone(), Running { pid, stop_signal: plan.stop_signal });
        if let Err(error) = write_pid(&plan.pid_file, pid) {
            tracing::warn!(service = service.as_str(), %error, "the pid file of {service} cannot be written");
        }
        Ok((child, pid, plan.pid_file.clone()))
    }

    /// Logs what the process prints until it ends, then ends what it left behind in its group.
    async fn watch(
        &self,
        mut child: Child,
        pid: Pid,
        service: &ServiceName,
        group: &ServiceGroup,
    ) -> ExitStatus {
        let mut printing = tokio::task::JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            printing.spawn(output::log(stdout, group.clone(), 'O'));
        }
        if let Some(stderr) = child.stderr.take() {
            printing.spawn(output::log(stderr, group.clone(), 'E'));
        }
        let status = child.wait().await;
        self.running().remove(service);
        // A helper that outlives its service would hold the ports that the next start needs. The group's
        // number cannot belong to anybody else while a member is alive.
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = timeout(LAST_WORDS, async { while printing.join_next().await.is_some() {} }).await;
        // Whoever left the group and still holds the pipe goes on printing.
        printing.detach_all();
        status.map_or(ExitStatus::Unknown, exit_status)
    }

    /// Signals the service's group if that very process still runs: `Signalled`.
    pub fn signal(&self, id: EffectId, service: &ServiceName, pid: u32, signal: StopSignal) {
        if let Some(running) = self.running().get(service)
            && running.pid.as_raw().unsigned_abs() == pid
        {
            let signal = match signal {
                StopSignal::Stop => running.stop_signal,
                StopSignal::Kill => Signal::SIGKILL,
            };
            if let Err(error) = killpg(running.pid, signal)
                && error != Errno::ESRCH
            {
                tracing::warn!(service = service.as_str(), pid, %error, "{service} cannot be signalled");
            }
        }
        let this = self.clone();
        tokio::spawn(async move { this.report(id, EffectResult::Signalled).await });
    }

    /// Logs a line that a hook says.
    pub fn log(&self, service: &ServiceName, group: &ServiceGroup, hook: Hook, line: &str) {
        tracing::info!(group = group.as_str(), service = service.as_str(), "{group} {hook}(H): {line}");
    }

    /// Kills every service at once.
    pub fn kill_all(&self) {
        for running in self.running().values() {
            let _ = killpg(running.pid, Signal::SIGKILL);
        }
    }
}

/// Whole or not at all for its readers. It need not survive a power failure, which the process does not either.
fn write_pid(path: &Path, pid: Pid) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, format!("{pid}\n"))?;
    std::fs::rename(unfinished, path)
}

async fn launch(plan: &RunPlan) -> io::Result<Child> {
    let mut command = Command::new(&plan.program);
    command
        .current_dir(&plan.dir)
        .env_remove(CTL_SECRET_ENV)
        .env_remove(GATEWAY_TOKEN_ENV)
        .envs(plan.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    die_with_parent(&mut command, Signal::SIGKILL);
    let mut tries = 1;
    loop {
        match command.spawn() {
            // Another process that is just being started may hold the hook open for a moment.
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                tries += 1;
                sleep(BUSY_RETRY).await;
            }
            result => return result,
        }
    }
}

/// Has the system signal the process when the thread that starts it ends.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(crate) fn die_with_parent(command: &mut Command, signal: Signal) {
    let parent = nix::unistd::getpid();
    let between_fork_and_exec = move || {
        nix::sys::prctl::set_pdeathsig(signal)?;
        // The parent may have ended before the line above; nobody would signal us then.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: the closure makes two system calls and neither allocates nor takes a lock, which is all that
    // is allowed between fork and exec.
    unsafe { command.pre_exec(between_fork_and_exec) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_: &mut Command, _: Signal) {}

fn explain(plan: &RunPlan, error: &io::Error) -> String {
    let program = plan.program.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "{program} cannot be started: it, its interpreter or {} does not exist",
                plan.dir.display()
            )
        }
        _ => format!("{program} cannot be started: {error}"),
    }
}

pub(super) fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().map(ExitStatus::Code);
    code.or_else(|| status.signal().map(ExitStatus::Signal)).unwrap_or(ExitStatus::Unknown)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn plan(program: PathBuf, dir: PathBuf) -> RunPlan {
        let pid_file = dir.join("PID");
        RunPlan { program, dir, env: Vec::new(), stop_signal: Signal::SIGTERM, pid_file }
    }

    struct Bed {
        dir: tempfile::TempDir,
        processes: Processes,
        results: mpsc::Receiver<(EffectId, EffectResult)>,
        service: ServiceName,
    }

    impl Bed {
        fn new() -> Self {
            let (done, results) = mpsc::channel(8);
            let dir = tempfile::tempdir().expect("a directory");
            let service = "web".parse().expect("a name");
            Self { dir, processes: Processes::new(done), results, service }
        }

        fn spawn(&self, script: &str) {
            let program = self.dir.path().join("run");
            fs::write(&program, script).expect("written");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made executable");
            let dir = self.dir.path().to_owned();
            let plan = RunPlan { env: vec![("WHO".into(), "web".into())], ..plan(program, dir) };
            let group = "web.default".parse().expect("a group");
            self.processes.spawn(EffectId(1), Some(plan), self.service.clone(), group);
        }

        async fn result(&mut self) -> EffectResult {
            let result = timeout(Duration::from_secs(20), self.results.recv()).await;
            result.expect("in time").expect("open").1
        }

        async fn spawned(&mut self) -> u32 {
            match self.result().await {
                EffectResult::Spawned { pid } => pid,
                other => panic!("{other:?}"),
            }
        }

        async fn file(&self, name: &str) -> String {
            let path = self.dir.path().join(name);
            for _ in 0..2_000 {
                match fs::read_to_string(&path) {
                    Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                    _ => sleep(Duration::from_millis(10)).await,
                }
            }
            panic!("{name} did not appear");
        }
    }

    /// Whether the process is there and not only waits to be reaped by somebody else.
    fn lives(pid: u32) -> bool {
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        status.is_ok_and(|s| !s.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']))
    }

    #[tokio::test]
    async fn runs_in_its_own_group_with_its_environment_and_reports_its_end() {
        let mut bed = Bed::new();
        bed.spawn("#!/bin/sh\necho \"$WHO $$\" > said\nwhile [ ! -e go ]; do sleep 0.02; done\nexit 7\n");
        let pid = bed.spawned().await;
        assert_eq!(bed.file("PID").await, pid.to_string());
        assert_eq!(bed.file("said").await, format!("web {pid}"));
        fs::write(bed.dir.path().join("go"), "").expect("written");
        assert_eq!(bed.result().await, EffectResult::Exited(ExitStatus::Code(7)));
        assert!(!bed.dir.path().join("PID").exists());
    }

    #[tokio::test]
    async fn stops_politely_and_leaves_nobody_of_its_group() {
        let mut bed = Bed::new();
        bed.spawn("#!/bin/sh\ntrap 'echo bye > end; exit 0' TERM\nsleep 1000 &\necho $! > child\nwait\n");
        let pid = bed.spawned().await;
        let child: u32 = bed.file("child").await.parse().expect("a pid");
        bed.processes.signal(EffectId(2), &bed.service.clone(), pid, StopSignal::Stop);
        assert_eq!(bed.result().await, EffectResult::Signalled);
        assert_eq!(bed.result().await, EffectResult::Exited(ExitStatus::Code(0)));
        assert_eq!(bed.file("end").await, "bye");
        for _ in 0..1_000 {
            if !lives(child) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{child} was left behind");
    }

    #[tokio::test]
    async fn kill_ends_who_ignores_the_polite_signal() {
        let mut bed = Bed::new();
        bed.spawn("#!/bin/sh\ntrap '' TERM\necho ready > ready\nwhile :; do sleep 1; done\n");
        let pid = bed.spawned().await;
        bed.file("ready").await;
        let service = bed.service.clone();
        bed.processes.signal(EffectId(2), &service, pid + 1, StopSignal::Kill);
        assert_eq!(bed.result().await, EffectResult::Signalled, "another process is left alone");
        assert!(lives(pid));
        bed.processes.signal(EffectId(3), &service, pid, StopSignal::Kill);
        assert_eq!(bed.result().await, EffectResult::Signalled);
        assert_eq!(bed.result().await, EffectResult::Exited(ExitStatus::Signal(9)));
        bed.processes.signal(EffectId(4), &service, pid, StopSignal::Kill);
        assert_eq!(bed.result().await, EffectResult::Signalled, "nobody left to receive it");
    }

    #[tokio::test]
    async fn what_cannot_start_says_why() {
        let mut bed = Bed::new();
        bed.spawn("#!/no/such/interpreter\n");
        let EffectResult::SpawnFailed { reason } = bed.result().await else { panic!("started") };
        assert!(reason.contains("interpreter"), "{reason}");
        fs::remove_file(bed.dir.path().join("run")).expect("removed");
        fs::create_dir(bed.dir.path().join("run")).expect("made");
        let (program, dir) = (bed.dir.path().join("run"), bed.dir.path().to_owned());
        let plan = plan(program, dir);
        bed.processes.spawn(
            EffectId(2),
            Some(plan),
            bed.service.clone(),
            "web.default".parse().expect("a group"),
        );
        let EffectResult::SpawnFailed { reason } = bed.result().await else { panic!("started") };
        assert!(reason.contains("denied"), "{reason}");
        bed.processes.spawn(EffectId(1), None, bed.service.clone(), "web.default".parse().expect("a group"));
        assert!(matches!(bed.result().await, EffectResult::SpawnFailed { .. }));
    }
}
