//! A launcher with its supervisors, for tests that outlive a supervisor.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{DEADLINE, annulus, eventually, finish, plan, run_as_this_user, text};

/// A launcher whose supervisors come and go, with a root of its own. At the end it is told to leave, and killed if it
/// does not.
pub(crate) struct Host {
    pub(crate) launcher: Child,
    heard: Arc<Mutex<String>>,
    pub(crate) root: TempDir,
}

pub(crate) fn number(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().expect("a pid"))
}

/// A field of `/proc/PID/status`: its number in KiB, or its text.
pub(crate) fn status_field(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.to_owned())
}

pub(crate) fn lives(pid: u32) -> bool {
    status_field(pid, "State").is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
}

pub(crate) fn number_in(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl Host {
    /// Starts a launcher whose lines go into a file.
    pub(crate) fn start(configure: impl FnOnce(&mut Command)) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let log = fs::File::create(root.path().join("log")).expect("a file");
        Self::start_in(root, Stdio::from(log), configure)
    }

    /// Starts a launcher whose lines are read as they come.
    pub(crate) fn start_heard(configure: impl FnOnce(&mut Command)) -> Self {
        Self::start_heard_in(tempfile::tempdir().expect("a directory"), configure)
    }

    pub(crate) fn start_heard_in(root: TempDir, configure: impl FnOnce(&mut Command)) -> Self {
        let mut host = Self::start_in(root, Stdio::piped(), configure);
        let stderr = host.launcher.stderr.take().expect("piped");
        let heard = Arc::clone(&host.heard);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut heard = heard.lock().expect("no panic");
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        host
    }

    fn start_in(root: TempDir, log: Stdio, configure: impl FnOnce(&mut Command)) -> Self {
        let mut command = annulus();
        command.arg("--root").arg(root.path()).args(["sup", "run", "--profile", "local"]);
        for option in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
            command.args([option, "127.0.0.1:0"]);
        }
        command.stdout(Stdio::null());
        configure(&mut command);
        let launcher = command.stderr(log).spawn().expect("the binary runs");
        let host = Self { launcher, heard: Arc::default(), root };
        host.supervisor();
        host
    }

    /// The supervisor that is ready now.
    pub(crate) fn supervisor(&self) -> u32 {
        self.supervisor_after(0)
    }

    /// A supervisor that is ready and has another pid than `before`.
    pub(crate) fn supervisor_after(&self, before: u32) -> u32 {
        let dir = self.root.path().join("sup/default");
        eventually("a supervisor is ready", || {
            let pid = number_in(&dir.join("PID")).filter(|pid| *pid != before && lives(*pid))?;
            (self.run(&["svc", "status", "--json"]).0 == 0).then_some(pid)
        })
    }

    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        finish(annulus().arg("--root").arg(self.root.path()).args(args))
    }

    pub(crate) fn install(&self, name: &str, run: &str) -> String {
        self.install_plan(&plan(&self.root.path().join("plans"), name, run))
    }

    /// Installs a package whose service runs as the user of the tests, where its plan names none.
    pub(crate) fn install_plan(&self, plan: &Path) -> String {
        run_as_this_user(plan);
        self.install_as_written(plan)
    }

    /// Installs a package of exactly this plan.
    pub(crate) fn install_as_written(&self, plan: &Path) -> String {
        let out = self.root.path().join("built").join(plan.file_name().expect("a name"));
        let (code, _, stderr) = self.run(&["pkg", "build", text(plan), "--output", text(&out)]);
        assert_eq!(code, 0, "{stderr}");
        let file = fs::read_dir(&out).expect("built").next().expect("a file").expect("readable").path();
        let (code, _, stderr) = self.run(&["pkg", "install", text(&file)]);
        assert_eq!(code, 0, "{stderr}");
        format!("test/{}", plan.file_name().expect("a name").to_str().expect("text"))
    }

    pub(crate) fn load(&self, ident: &str) {
        let (code, _, stderr) = self.run(&["svc", "load", ident]);
        assert_eq!(code, 0, "{stderr}");
    }

    pub(crate) fn services(&self) -> Option<Value> {
        let (code, stdout, _) = self.run(&["svc", "status", "--json"]);
        (code == 0).then(|| serde_json::from_str(&stdout).expect("JSON"))
    }

    /// The only service, as soon as it is in this state.
    pub(crate) fn service(&self, state: &str) -> Value {
        eventually(&format!("the service is {state}"), || {
            let service = self.services()?.get(0)?.clone();
            (service["state"] == state).then_some(service)
        })
    }

    pub(crate) fn pid_of_service(&self) -> u32 {
        let pid = self.service("up")["process"]["pid"].as_u64().expect("a pid");
        pid.try_into().expect("a pid")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(number(self.launcher.id()), signal).expect("signalled");
    }

    pub(crate) fn end(&mut self) -> Option<i32> {
        eventually("the launcher ends", || self.launcher.try_wait().expect("waited for")).code()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).expect("a log")
    }

    /// The address of the HTTP gateway, as the log says last; for one whose lines go into a file.
    pub(crate) fn http(&self) -> Option<SocketAddr> {
        let log = self.log();
        let at = log.lines().rev().find_map(|line| line.split("HTTP on http://").nth(1))?;
        at.split(',').next()?.parse().ok()
    }

    /// The lines that were read so far.
    pub(crate) fn log_shown(&self) -> String {
        self.heard.lock().expect("no panic").clone()
    }

    pub(crate) fn service_log(&self, name: &str) -> String {
        let path = self.root.path().join(format!("svc/{name}/logs/{name}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    pub(crate) fn said(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The third signal ends it at once.
        for _ in 0..3 {
            let _ = kill(number(self.launcher.id()), Signal::SIGTERM);
        }
        let start = Instant::now();
        while start.elapsed() < DEADLINE && self.launcher.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

/// Loads the example service on a port of its own; returns its address.
pub(crate) fn responder(host: &Host) -> SocketAddr {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let program = env!("CARGO_BIN_EXE_annulus");
    let ident = host.install("responder", &format!("exec {program} responder --listen {port}"));
    host.load(&ident);
    eventually("it answers", || std::net::TcpStream::connect(port).ok());
    port
}
