//! One real supervisor: a child process with a root directory of its own. It touches nothing outside that directory
//! and its place, and ends with this program.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use annulus_core::Timings;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{BedError, Place, tree};

/// Lines of a supervisor's log that are shown when it fails.
const LOG_LINES: usize = 8;
/// A killed launcher's children are waited for this long.
const GONE_MAX: Duration = Duration::from_secs(5);

/// The `annulus` binary: the one beside this program.
pub(crate) fn program() -> Result<PathBuf, BedError> {
    let own = std::env::current_exe().map_err(BedError::io("this program's own path"))?;
    let path = own.with_file_name("annulus");
    if path.is_file() {
        return Ok(path);
    }
    Err(BedError::Failed(format!(
        "{} is not there; build it with `cargo build --bin annulus`",
        path.display()
    )))
}

/// Runs `work` in a network namespace. Sockets and processes made there stay there.
pub(crate) fn inside<T>(netns: Option<&Path>, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(path) = netns else { return work() };
    let home = File::open("/proc/thread-self/ns/net")?;
    setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
    let result = work();
    setns(home, CloneFlags::CLONE_NEWNET)?;
    result
}

/// The settings that a supervisor is started with, each time.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) program: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) place: Place,
    pub(crate) peers: Vec<std::net::SocketAddr>,
    pub(crate) permanent: bool,
    pub(crate) timings: Timings,
    /// The contents of the key of the ring, where it has one.
    pub(crate) ring_key: Option<&'static str>,
}

/// A ring key for measurements, which protects nothing: it stands here.
pub(crate) const BENCH_KEY: &str =
    "SYM-SEC-1\nbench-20260101000000\n\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl Settings {
    /// A command of the `annulus` program that is about this root.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Settings of the user's real supervisor must not reach this one.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("HAB_") || text.starts_with("ANNULUS_") {
                command.env_remove(&name);
            }
        }
        command.arg("--root").arg(&self.root).stdin(Stdio::null());
        command
    }

    /// Runs such a command to its end, where the supervisor runs.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Output, BedError> {
        let mut command = self.command();
        command.args(arguments);
        let words = arguments.join(" ");
        let output = inside(self.place.netns.as_deref(), || command.output())
            .map_err(BedError::io(format!("annulus {words}")))?;
        if output.status.success() {
            return Ok(output);
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(BedError::Failed(format!("annulus {words}: {}", why.trim())))
    }

    /// The file that its log goes to.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("supervisor.log")
    }

    /// The directory of its state.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("sup")
    }

    /// The command that starts a supervisor.
    pub(crate) fn run(&self) -> Command {
        let mut command = self.command();
        // Services of a bed are harmless, and a machine for tests has no users for services.
        command.args(["sup", "run", "--log-format", "json", "--allow-root"]);
        for (option, address) in [
            ("--listen-gossip", self.place.gossip),
            ("--listen-http", self.place.http),
            ("--listen-ctl", self.place.ctl),
        ] {
            command.arg(option).arg(address.to_string());
        }
        for peer in &self.peers {
            command.arg("--peer").arg(peer.to_string());
        }
        if let Some(key) = self.ring_key {
            command.env("HAB_RING_KEY", key);
        }
        if self.permanent {
            command.arg("--permanent-peer");
        }
        let usual = options(&Timings::lan());
        for (option, value) in options(&self.timings).into_iter().filter(|option| !usual.contains(option)) {
            command.arg(format!("--{}", option.replace('_', "-"))).arg(value.to_string());
        }
        // A group of its own, so that Ctrl-C reaches this program alone, which then cleans up.
        command.process_group(0);
        command
    }

    /// Starts a supervisor.
    pub(crate) fn start(&self) -> Result<Daemon, BedError> {
        let what = || format!("{}", self.log().display());
        fs::create_dir_all(&self.root).map_err(BedError::io(self.root.display()))?;
        let log = File::options().create(true).append(true).open(self.log()).map_err(BedError::io(what()))?;
        let errors = log.try_clone().map_err(BedError::io(what()))?;
        let mut command = self.run();
        command.stdout(log).stderr(errors);
        end_with_parent(&mut command);
        let child = inside(self.place.netns.as_deref(), || command.spawn())
            .map_err(BedError::io(self.program.display()))?;
        Ok(Daemon { child, log: self.log() })
    }
}

/// Has the system end a child when the thread that starts it is gone.
#[allow(unsafe_code)]
pub(crate) fn end_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec, this makes one system call and neither allocates nor takes a lock.
    unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) };
}

/// A supervisor's process. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Sends it a signal. A signal that stops or continues goes to its launcher, supervisor and services, as a
    /// suspension of the machine would reach them. The supervisor may just have ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let below = match signal {
            Signal::SIGSTOP | Signal::SIGCONT => tree::below(self.child.id()),
            _ => BTreeSet::new(),
        };
        for pid in std::iter::once(self.child.id()).chain(below) {
            if let Ok(pid) = i32::try_from(pid) {
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
    }

    /// Kills it and waits until it is gone, and every process that ends with it.
    pub(crate) fn kill(&mut self) {
        let below = tree::below(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        let begin = Instant::now();
        while begin.elapsed() < GONE_MAX && below.iter().any(|pid| tree::lives(*pid)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its exit code, once it has ended; -1 for a signal.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().ok()??;
        Some(status.code().unwrap_or(-1))
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Every timing by the name of its option; a timing that is missing here does not compile.
fn options(timings: &Timings) -> [(&'static str, u64); 31] {
    macro_rules! list {
        ($($name:ident),+) => {{
            let Timings { $($name),+ } = timings;
            [$((stringify!($name), u64::from(*$name))),+]
        }};
    }
    list!(
        probe_period_ms,
        probe_timeout_ms,
        probe_verdict_ms,
        indirect_probes,
        suspicion_timeout_ms_min,
        suspicion_max_factor,
        suspicion_confirmations,
        corroborators,
        local_health_max,
        gossip_period_ms,
        gossip_fanout,
        retransmit_factor,
        datagram_bytes_max,
        sync_period_ms,
        sync_period_ms_min,
        reconnect_period_ms,
        departed_after_ms,
        forget_after_ms,
        leave_delay_ms,
        persist_period_ms,
        stall_ms,
        restart_backoff_ms_min,
        restart_backoff_ms_max,
        restart_cooldown_ms,
        restart_failures_max,
        lease_ms,
        lease_renew_ms,
        lease_margin_ms,
        election_window_ms,
        election_answer_ms,
        election_backoff_ms_max
    )
}
