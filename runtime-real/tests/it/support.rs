//! A supervisor as a child process, and the small HTTP client that tests need.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for a condition, which is enough on a busy machine too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn annulus() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annulus"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("HAB_") || text.starts_with("ANNULUS_") {
            command.env_remove(&name);
        }
    }
    // These tests run on machines that have no user for services.
    command.env("ANNULUS_ALLOW_ROOT", "1").stdin(Stdio::null());
    command
}

/// Runs a command to its end: exit code, standard output, standard error.
pub(crate) fn finish(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running supervisor with a root of its own; killed when it goes out of scope.
pub(crate) struct Supervisor {
    pub(crate) child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) ctl: SocketAddr,
    pub(crate) gossip: SocketAddr,
    pub(crate) agent_check: Option<SocketAddr>,
    pub(crate) member: String,
    root: TempDir,
}

impl Supervisor {
    pub(crate) fn start(extra: &[&str]) -> Self {
        Self::start_with(extra, &[])
    }

    pub(crate) fn start_with(extra: &[&str], env: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        Self::start_in(root, &[&["sup", "run"], extra].concat(), env)
    }

    /// Runs a command that becomes a supervisor.
    pub(crate) fn start_in(root: TempDir, command: &[&str], env: &[(&str, &str)]) -> Self {
        let (child, ready) = spawn(root.path(), command, env);
        let addr = |name: &str| ready[name].as_str().expect(name).parse().expect("an address");
        let member = ready["member"].as_str().expect("member").to_owned();
        let agent_check = ready["agent_check"].as_str().map(|addr| addr.parse().expect("an address"));
        Self {
            child,
            http: addr("http"),
            ctl: addr("ctl"),
            gossip: addr("gossip"),
            agent_check,
            member,
            root,
        }
    }

    /// Starts it again in the same root, after it has ended.
    pub(crate) fn restart(&mut self, extra: &[&str]) {
        self.restart_as(&[&["sup", "run"], extra].concat());
    }

    /// Starts it again with another command.
    pub(crate) fn restart_as(&mut self, command: &[&str]) {
        self.again(command, "127.0.0.1");
    }

    /// Starts it again with an HTTP gateway at this address.
    pub(crate) fn restart_at(&mut self, http: &str) {
        self.again(&["sup", "run"], http);
    }

    fn again(&mut self, command: &[&str], http: &str) {
        eventually("the one before has ended", || self.child.try_wait().expect("waited for"));
        let (child, ready) = spawn_at(self.root.path(), command, &[], http);
        let addr = |name: &str| ready[name].as_str().expect(name).parse().expect("an address");
        (self.http, self.ctl, self.gossip) = (addr("http"), addr("ctl"), addr("gossip"));
        ready["member"].as_str().expect("member").clone_into(&mut self.member);
        self.child = child;
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn secret(&self) -> String {
        std::fs::read_to_string(self.root().join("sup/default/CTL_SECRET")).expect("a secret")
    }

    /// Runs a command against this supervisor.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        finish(annulus().arg("--root").arg(self.root()).args(args))
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        get(self.http, path, &[])
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        self.get(path).json()
    }

    /// Builds a plan and installs the package; returns the file.
    pub(crate) fn install(&self, plan: &Path) -> PathBuf {
        let out = self.root().join("built").join(plan.file_name().expect("a plan has a name"));
        run_as_this_user(plan);
        let (code, _, stderr) = self.run(&["pkg", "build", text(plan), "--output", text(&out)]);
        assert_eq!(code, 0, "{stderr}");
        let hart = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "hart");
        let mut files = std::fs::read_dir(&out).expect("built").map(|entry| entry.expect("entry").path());
        let file = files.find(hart).expect("a package file");
        let (code, _, stderr) = self.run(&["pkg", "install", text(&file)]);
        assert_eq!(code, 0, "{stderr}");
        file
    }
}

/// Runs a supervisor and waits until it says that it is ready.
fn spawn(root: &Path, run: &[&str], env: &[(&str, &str)]) -> (Child, Value) {
    spawn_at(root, run, env, "127.0.0.1")
}

/// The same, with the HTTP gateway at this address.
fn spawn_at(root: &Path, run: &[&str], env: &[(&str, &str)], http: &str) -> (Child, Value) {
    let http = format!("{http}:0");
    let mut command = annulus();
    command.arg("--root").arg(root).args(run).args(["--log-format", "json"]);
    command.args(["--listen-gossip", "127.0.0.1:0", "--listen-http", &http, "--listen-ctl", "127.0.0.1:0"]);
    command.envs(env.iter().copied()).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("the binary runs");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let ready = loop {
        let mut line = String::new();
        let read = log.read_line(&mut line).expect("log lines are text");
        assert_ne!(read, 0, "the supervisor ended before it was ready");
        let line: Value =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("log lines are JSON: {e}: {line}"));
        if line["ready"] == true {
            break line;
        }
    };
    // The pipe has to be read on, or the supervisor would wait for a full one.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (child, ready)
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Services end with their launcher, which is the process that is killed here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// Has the service of a plan that names no user run as the user of this test: the tests' folders are closed to all others,
/// and so to the user `hab` of a host that has one.
pub(crate) fn run_as_this_user(plan: &Path) {
    const SECTION: &str = "[service]";
    let file = plan.join("plan.toml");
    let Ok(toml) = std::fs::read_to_string(&file) else { return };
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let own = format!("{SECTION}\nuser = \"root\"\ngroup = \"root\"");
    let (head, rest) = toml.split_once(SECTION).unwrap_or((&toml, ""));
    let section = rest.split("\n[").next().unwrap_or_default();
    if !section.lines().any(|line| line.starts_with("user")) {
        std::fs::write(file, format!("{head}\n{own}{rest}\n")).expect("written");
    }
}

/// A plan whose service is this shell script.
pub(crate) fn plan(dir: &Path, name: &str, run: &str) -> PathBuf {
    let plan = dir.join(name);
    std::fs::create_dir_all(plan.join("hooks")).expect("made");
    let toml = format!(
        "origin = \"test\"\nname = \"{name}\"\nversion = \"1.0.0\"\n\n[exports]\ncolour = \"colour\"\n"
    );
    std::fs::write(plan.join("plan.toml"), toml).expect("written");
    std::fs::write(plan.join("default.toml"), "colour = \"blue\"\npassword = \"hunter2\"\n")
        .expect("written");
    std::fs::write(plan.join("hooks/run"), format!("#!/bin/sh\n{run}\n")).expect("written");
    plan
}

/// An HTTP answer.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn parse(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub(crate) fn send(addr: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).expect("the gateway listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

pub(crate) fn get(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    request(addr, "GET", path, headers)
}

pub(crate) fn request(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let is_host = |(name, _): &&(&str, &str)| *name == "host";
    let host = if headers.iter().any(|header| is_host(&header)) { "" } else { "host: localhost\r\n" };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut stream =
        send(addr, &format!("{method} {path} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n"));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    Response::parse(&answer)
}
