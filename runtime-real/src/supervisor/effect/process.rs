//! A service's process, which its guard holds: has it started, taken over, signalled, and given a lease. This process
//! never becomes the parent of a service.
//!
//! Processes are started and signalled through the launcher. A lease goes straight into the memory that this supervisor
//! shares with the guard: a launcher that stands still must not make a healthy leader's deadline pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annulus_core::{EffectId, EffectResult, ExitStatus, Health, Hook, ServiceGroup, ServiceName, StopSignal};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::host::clock;
use crate::launcher::client::Client;
use crate::launcher::message::{Answer, Launch, Lease, Request};

/// A hook that is still open for writing is tried so often …
pub(super) const BUSY_TRIES: u32 = 50;
/// … with this pause between two tries.
pub(super) const BUSY_RETRY: Duration = Duration::from_millis(10);
/// After a process has ended, its last output may take this long to reach the log.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(200);

/// The processes of this supervisor's services. They belong to the launcher and outlive this supervisor.
#[derive(Clone)]
pub struct Processes {
    launcher: Client,
    done: mpsc::Sender<(EffectId, EffectResult)>,
    /// Those that run, by service.
    running: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Processes {
    /// The processes of this launcher; results go to `done`.
    #[must_use]
    pub fn new(launcher: Client, done: mpsc::Sender<(EffectId, EffectResult)>) -> Self {
        Self { launcher, done, running: Arc::default() }
    }

    /// Starts a service's process, or says that it was not prepared: reports `Spawned` or `SpawnFailed`, and later
    /// `Exited` once.
    ///
    /// One that is `unchecked` is well while it runs.
    pub fn spawn(&self, id: EffectId, launch: Option<Launch>, unchecked: bool) {
        let this = self.clone();
        tokio::spawn(async move {
            let service = launch.as_ref().map(|launch| launch.service.clone()).unwrap_or_default();
            let started = match launch {
                Some(launch) => this.start(launch).await,
                None => Err("it has not been prepared".to_owned()),
            };
            if let (Ok((pid, _)), true) = (&started, unchecked) {
                this.checked(&service, *pid, Health::Ok);
            }
            this.watch(id, &service, started).await;
        });
    }

    /// Takes over a process that an earlier supervisor started: reports like [`Self::spawn`].
    pub fn adopt(&self, id: EffectId, service: ServiceName, pid: u32) {
        let this = self.clone();
        tokio::spawn(async move {
            let adopted = this.launcher.adopt(service.as_str().to_owned(), pid).await;
            this.watch(id, service.as_str(), adopted.map_err(|(_, reason)| reason)).await;
        });
    }

    async fn start(&self, launch: Launch) -> Result<(u32, oneshot::Receiver<ExitStatus>), String> {
        let mut tries = 1;
        let started = loop {
            match self.launcher.spawn(launch.clone()).await {
                // For a moment, another process that is being started may hold the hook open for writing.
                Err((true, _)) if tries < BUSY_TRIES => {
                    tries += 1;
                    sleep(BUSY_RETRY).await;
                }
                result => break result.map_err(|(_, reason)| reason)?,
            }
        };
        if let Some(lease) = launch.lease.filter(|_| !self.launcher.has_guards()) {
            // A launcher of an earlier version skips the lease of a start, and is told of the deadline before the node is
            // told that the process runs.
            let (service, deadline_ms) = (launch.service, Some(lease.kill_at_ms));
            let _ = self.launcher.request(&Request::Lease { service, pid: started.0, deadline_ms }).await;
        }
        Ok(started)
    }

    async fn watch(
        &self,
        id: EffectId,
        service: &str,
        started: Result<(u32, oneshot::Receiver<ExitStatus>), String>,
    ) {
        let (pid, ended) = match started {
            Ok(started) => started,
            Err(reason) => return self.report(id, EffectResult::SpawnFailed { reason }).await,
        };
        self.all_running().insert(service.to_owned(), pid);
        self.report(id, EffectResult::Spawned { pid }).await;
        // Without a launcher the end cannot be learned; this supervisor ends then.
        if let Ok(status) = ended.await {
            self.all_running().remove(service);
            self.report(id, EffectResult::Exited(status)).await;
        }
    }

    fn all_running(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process of a service that runs.
    pub(super) fn running(&self, service: &ServiceName) -> Option<u32> {
        self.all_running().get(service.as_str()).copied()
    }

    /// Has the launcher keep what was found of a process, for the supervisor that adopts it. What is lost on the way is
    /// found again.
    pub(super) fn checked(&self, service: &str, pid: u32, health: Health) {
        self.launcher.tell(&Request::Checked { service: service.to_owned(), pid, health });
    }

    async fn report(&self, id: EffectId, result: EffectResult) {
        // The driver may have ended.
        let _ = self.done.send((id, result)).await;
    }

    /// Signals the service's processes if its tree has not ended; reports `Signalled`.
    pub fn signal(&self, id: EffectId, service: &ServiceName, pid: u32, signal: StopSignal) {
        let request =
            Request::Signal { service: service.as_str().to_owned(), pid, kill: signal == StopSignal::Kill };
        self.ask(id, request, |_| EffectResult::Signalled);
    }

    /// Has the guard of this process, or of the hook that runs where there is none, kill its tree at a time since boot,
    /// unless another lease comes before; reports `Leased` or `LeaseFailed`. The guard has the lease when this returns.
    pub fn lease(&self, id: EffectId, service: &ServiceName, pid: Option<u32>, lease: Option<&Lease>) {
        let holder = match pid {
            Some(pid) => self.launcher.holder(pid),
            None => self.launcher.hook_holder(service.as_str()),
        };
        if let Some(holder) = holder {
            let result = match holder.hold(lease, clock::boot_ms()) {
                Ok(()) => EffectResult::Leased,
                Err(reason) => EffectResult::LeaseFailed { reason: format!("{service}: {reason}") },
            };
            let this = self.clone();
            tokio::spawn(async move { this.report(id, result).await });
        } else if let Some(pid) = pid.filter(|_| !self.launcher.has_guards()) {
            // A launcher of an earlier version holds the deadline itself, and no right to resume.
            let deadline_ms = lease.map(|lease| lease.kill_at_ms);
            let request = Request::Lease { service: service.as_str().to_owned(), pid, deadline_ms };
            self.ask(id, request, |answer| match answer {
                Some(Answer::Done) => EffectResult::Leased,
                other => EffectResult::LeaseFailed { reason: format!("the launcher answered {other:?}") },
            });
        } else {
            let this = self.clone();
            let what = pid.map_or_else(|| "hook".to_owned(), |pid| format!("process {pid}"));
            let reason = format!("{service} has no {what} any more that could be given time");
            tokio::spawn(async move { this.report(id, EffectResult::LeaseFailed { reason }).await });
        }
    }

    /// Sends a request, and reports its result; requests go out in the order of the calls.
    fn ask(&self, id: EffectId, request: Request, result: fn(Option<Answer>) -> EffectResult) {
        // Sent here and not in the task, which might run after the task of a later call.
        let asked = self.launcher.begin(&request);
        let this = self.clone();
        tokio::spawn(async move {
            let answer = match asked {
                Some(answered) => answered.await.ok(),
                // Without room in the queue the order of requests is not kept, but none is lost.
                None => this.launcher.request(&request).await.ok(),
            };
            this.report(id, result(answer)).await;
        });
    }

    /// The launcher, which runs hooks too.
    pub(super) fn launcher(&self) -> &Client {
        &self.launcher
    }

    /// Logs a line that a hook prints, and waits until the launcher has it: hooks that print much must not take the
    /// room of requests that cannot wait.
    pub async fn log(&self, service: &ServiceName, group: &ServiceGroup, hook: Hook, line: &str) {
        let line = format!("{hook}: {line}").into_bytes();
        let (service, group) = (service.as_str().to_owned(), group.as_str().to_owned());
        // Without a launcher this supervisor ends, so a lost line does not matter.
        let _ = self.launcher.request(&Request::Log { service, group, tag: b'H', line }).await;
    }

    /// Kills every service at once, and starts none any more.
    pub fn kill_all(&self) {
        self.launcher.kill_all();
    }
}

/// Has the system signal the process when the thread that started it ends.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(crate) fn die_with_parent(command: &mut Command, signal: Signal) {
    let parent = nix::unistd::getpid();
    let between_fork_and_exec = move || {
        nix::sys::prctl::set_pdeathsig(signal)?;
        // A parent that ended before the line above can no longer cause the signal.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: the closure makes two system calls and neither allocates nor takes a lock, which is all that
    // is allowed between fork and exec.
    unsafe { command.pre_exec(between_fork_and_exec) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_: &mut Command, _: Signal) {}

pub(super) fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().map(ExitStatus::Code);
    code.or_else(|| status.signal().map(ExitStatus::Signal)).unwrap_or(ExitStatus::Unknown)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    use tokio::time::timeout;

    use crate::host::capabilities::Capabilities;
    use crate::launcher::message::Limits;
    use crate::prepare::plan::RunPlan;

    use super::*;

    fn plan(program: PathBuf, dir: PathBuf) -> RunPlan {
        let pid_file = dir.join("PID");
        RunPlan {
            ident: "test/web/1.0.0/20260101000000".to_owned(),
            program,
            dir,
            env: Vec::new(),
            stop_signal: Signal::SIGTERM,
            stop_timeout_ms: 1_000,
            pid_file,
            owner: None,
            capabilities: Capabilities::NONE,
            nofile: None,
            limits: Limits::default(),
        }
    }

    struct Bed {
        dir: tempfile::TempDir,
        processes: Processes,
        results: mpsc::Receiver<(EffectId, EffectResult)>,
        service: ServiceName,
    }

    impl Bed {
        async fn new() -> Self {
            let (done, results) = mpsc::channel(8);
            let dir = tempfile::tempdir().expect("a directory");
            let service = "web".parse().expect("a name");
            let launcher = crate::launcher::in_thread(dir.path());
            let clock = crate::host::clock::Clock::host();
            let (launcher, running) = Client::over(launcher, &clock).await.expect("a launcher");
            assert!(running.is_empty());
            Self { dir, processes: Processes::new(launcher, done), results, service }
        }

        fn spawn(&self, script: &str) {
            let program = self.dir.path().join("run");
            fs::write(&program, script).expect("written");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made executable");
            let dir = self.dir.path().to_owned();
            let path = std::env::var_os("PATH").expect("set");
            let env = vec![("WHO".into(), "web".into()), ("PATH".into(), path)];
            let plan = RunPlan { env, ..plan(program, dir) };
            let group = "web.default".parse().expect("a group");
            self.processes.spawn(EffectId(1), Some(plan.launch(&self.service, &group, None)), false);
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

    /// Whether the process is alive, and not only waits for its parent to reap it.
    fn lives(pid: u32) -> bool {
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        status.is_ok_and(|s| !s.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']))
    }

    #[tokio::test]
    async fn runs_in_its_own_group_with_its_environment_and_reports_its_end() {
        let mut bed = Bed::new().await;
        bed.spawn("#!/bin/sh\necho \"$WHO $$\" > said\nwhile [ ! -e go ]; do sleep 0.02; done\nexit 7\n");
        let pid = bed.spawned().await;
        assert_eq!(bed.file("PID").await, pid.to_string());
        assert_eq!(bed.file("said").await, format!("web {pid}"));
        fs::write(bed.dir.path().join("go"), "").expect("written");
        assert_eq!(bed.result().await, EffectResult::Exited(ExitStatus::Code(7)));
        assert!(!bed.dir.path().join("PID").exists());
    }

    #[tokio::test]
    async fn stops_politely_and_leaves_no_process_of_its_group() {
        let mut bed = Bed::new().await;
        bed.spawn("#!/bin/sh\ntrap 'echo bye > end; exit 0' TERM\nsleep 1000 &\necho $! > child\nwait\n");
        let pid = bed.spawned().await;
        let child: u32 = bed.file("child").await.parse().expect("a pid");
        // Until it is that program, it is a copy of the shell with the shell's trap.
        while !fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "sleep\n") {
            sleep(Duration::from_millis(1)).await;
        }
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
        let mut bed = Bed::new().await;
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
        assert_eq!(bed.result().await, EffectResult::Signalled, "no process is left to receive it");
    }

    #[tokio::test]
    async fn what_cannot_start_says_why() {
        let mut bed = Bed::new().await;
        bed.spawn("#!/no/such/interpreter\n");
        let EffectResult::SpawnFailed { reason } = bed.result().await else { panic!("started") };
        assert!(reason.contains("interpreter"), "{reason}");
        fs::remove_file(bed.dir.path().join("run")).expect("removed");
        fs::create_dir(bed.dir.path().join("run")).expect("made");
        let (program, dir) = (bed.dir.path().join("run"), bed.dir.path().to_owned());
        let group = "web.default".parse().expect("a group");
        bed.processes.spawn(EffectId(2), Some(plan(program, dir).launch(&bed.service, &group, None)), false);
        let EffectResult::SpawnFailed { reason } = bed.result().await else { panic!("started") };
        assert!(reason.contains("denied"), "{reason}");
        bed.processes.spawn(EffectId(1), None, false);
        assert!(matches!(bed.result().await, EffectResult::SpawnFailed { .. }));
    }
}
