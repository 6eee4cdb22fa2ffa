//! The hosts that the guides' commands are typed at: three with a root and a supervisor each, and a folder to work in.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use annulus_tests::{KillOnDrop, binary, repository, temp_root};
use serde_json::Value;
use tempfile::TempDir;

/// A root with the supervisor that holds it.
struct Host {
    root: PathBuf,
    supervisor: Option<KillOnDrop>,
    gossip: String,
    ctl: String,
}

/// Three hosts and a folder with what an operator has at hand.
pub(super) struct World {
    hosts: Vec<Host>,
    /// Supervisors beside those of the three hosts.
    others: Vec<KillOnDrop>,
    folder: TempDir,
}

/// The packages that the guides speak of.
const PACKAGES: [(&str, &str); 3] = [("core", "web"), ("core", "redis"), ("core", "pg")];

impl World {
    pub(super) fn new() -> Self {
        let folder = temp_root().expect("a folder");
        let host = |name: &str| {
            let root = folder.path().join(name);
            fs::create_dir(&root).expect("made");
            Host { root, supervisor: None, gossip: String::new(), ctl: String::new() }
        };
        let world = Self { hosts: ["one", "two", "three"].map(host).into(), others: Vec::new(), folder };
        fs::write(world.folder().join("users.acl"), "user default on\n").expect("written");
        for (origin, name) in PACKAGES {
            write_plan(&world.folder().join(name), origin, name);
            world.pack(&world.folder().join(name));
        }
        world.pack(&repository().join("scenarios/plans/responder"));
        std::os::unix::fs::symlink(repository().join("scenarios"), world.folder().join("scenarios"))
            .expect("linked");
        world
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A package file of the example service.
    pub(super) fn hart(&self) -> PathBuf {
        let harts = fs::read_dir(self.folder().join("built/responder")).expect("built");
        let is_hart = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "hart");
        harts.map(|entry| entry.expect("an entry").path()).find(is_hart).expect("a package file")
    }

    /// Builds a package once and installs it on every host.
    fn pack(&self, plan: &Path) {
        let name = plan.file_name().expect("a plan has a name").to_string_lossy().into_owned();
        let out = self.folder().join("built").join(&name);
        let build = format!("annulus pkg build '{}' --output '{}'", plan.display(), out.display());
        succeed(&self.shell(0, &build), &build);
        let key = format!("cp -r '{}/cache' '{{}}'", self.hosts[0].root.display());
        for host in 1..self.hosts.len() {
            let to = self.hosts[host].root.display().to_string();
            succeed(&self.shell(0, &key.replace("{}", &to)), &key);
        }
        for host in 0..self.hosts.len() {
            let install = format!("annulus pkg install '{}'/*.hart", out.display());
            succeed(&self.shell(host, &install), &install);
        }
    }

    /// Runs a line of shell at a host, to its end.
    pub(super) fn shell(&self, host: usize, line: &str) -> Output {
        let mut command = Command::new("sh");
        command.arg("-ec").arg(line).stdin(Stdio::null());
        self.environment(&mut command, host);
        command.output().expect("there is a shell")
    }

    fn environment(&self, command: &mut Command, host: usize) {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("HAB_") || text.starts_with("ANNULUS_") {
                command.env_remove(&name);
            }
        }
        let tools = binary("annulus");
        assert!(binary("annulus-sim").is_file());
        let tools = tools.parent().expect("a binary lies in a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{tools}:{path}")).env("ANNULUS_ROOT", &self.hosts[host].root);
        // A machine for tests has no users for services.
        command.env("ANNULUS_ALLOW_ROOT", "1");
        command.env("HAB_RESPONDER", "port = 0").env("SLURM_ARRAY_TASK_ID", "0");
        command.current_dir(self.folder());
    }

    /// Starts what runs until it is told to end: on the first host without a supervisor, or beside them all.
    pub(super) fn start(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let is_plain = line.starts_with("annulus sup run") && !line.contains("--override-name");
        let free = self.hosts.iter().position(|host| host.supervisor.is_none());
        let host = if is_plain { free.expect("a host without a supervisor") } else { 0 };
        let mut command = Command::new(binary("annulus"));
        self.environment(&mut command, host);
        if words[0] == "start" {
            // At a host of its own: where a supervisor runs, `start` only loads.
            let root = self.folder().join("four");
            succeed(&self.shell(0, "cp -r \"$ANNULUS_ROOT\" four && rm -rf four/sup four/svc"), line);
            command.env("ANNULUS_ROOT", root);
        }
        command.args(words).args(["--log-format", "json"]);
        for option in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
            command.args([option, "127.0.0.1:0"]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = KillOnDrop(child.expect("the supervisor can be started"));
        let ready = until_ready(&mut child, line);
        if is_plain {
            let addr = |name: &str| ready[name].as_str().expect(name).to_owned();
            let (gossip, ctl) = (addr("gossip"), addr("ctl"));
            let host = &mut self.hosts[host];
            (host.supervisor, host.gossip, host.ctl) = (Some(child), gossip, ctl);
        } else {
            self.others.push(child);
        }
    }

    /// Waits for the end of a supervisor that was told to leave, and starts the next one.
    pub(super) fn ended(&mut self, host: usize) {
        let mut supervisor = self.hosts[host].supervisor.take().expect("it ran");
        let status = supervisor.wait().expect("waited for");
        assert!(status.success(), "a supervisor that was told to leave ended with {status}");
        let peer = self.hosts[host + 1].gossip.clone();
        self.start(&format!("annulus sup run --peer {peer}"));
    }

    pub(super) fn gossip(&self, host: usize) -> &str {
        &self.hosts[host].gossip
    }

    pub(super) fn ctl(&self, host: usize) -> &str {
        &self.hosts[host].ctl
    }

    pub(super) const fn size(&self) -> usize {
        self.hosts.len()
    }
}

/// Reads the log up to the line that says that the supervisor is ready, and lets it go on.
fn until_ready(child: &mut KillOnDrop, line: &str) -> Value {
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut seen = String::new();
    loop {
        let begin = seen.len();
        let read = log.read_line(&mut seen).expect("log lines are text");
        assert_ne!(read, 0, "`{line}` ended before it was ready:\n{seen}");
        let ready = serde_json::from_str::<Value>(&seen[begin..]).ok().filter(|value| value["ready"] == true);
        if let Some(ready) = ready {
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return ready;
        }
    }
}

pub(super) fn succeed(output: &Output, line: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "`{line}`: {}\n{stdout}{stderr}", output.status);
}

/// A service that sleeps, with a bind that it may have, and the least configuration.
fn write_plan(plan: &Path, origin: &str, name: &str) {
    fs::create_dir_all(plan.join("hooks")).expect("made");
    let toml = format!(
        "origin = \"{origin}\"\nname = \"{name}\"\nversion = \"1.0.0\"\n\n[exports]\nport = \"port\"\n\n\
         [binds_optional]\ndb = [\"port\"]\n"
    );
    fs::write(plan.join("plan.toml"), toml).expect("written");
    fs::write(plan.join("default.toml"), "port = 0\n").expect("written");
    fs::write(plan.join("hooks/run"), "#!/bin/sh\nexec sleep 1000 # {{cfg.port}}\n").expect("written");
    fs::write(plan.join("hooks/reconfigure"), "#!/bin/sh\nexit 0\n").expect("written");
}
