//! The units under a real systemd: the first process of a container whose file system is this host's, with every change
//! of it in memory. systemd, the processes and their files are asked, not the supervisor.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{DEADLINE, eventually, finish, plan, text};

/// Longest time until systemd answers in its container.
const BOOT: Duration = Duration::from_secs(60);

/// Mounts what the container needs in a name space of its own, so that it goes with it, and becomes the container.
/// `$1` an empty folder, `$2` the program, `$3` the folder of the units, `$4` a folder that both sides see.
const BOOT_SCRIPT: &str = r#"
set -e
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
rm -rf "$1/root/hab" "$1/root/etc/machine-id"
touch "$1/root/usr/bin/annulus"
units="$1/root/etc/systemd/system"
cp "$3/annulus.service" "$3/annulus@.service" "$units"
ln -sf /dev/null "$units/systemd-networkd-wait-online.service"
exec systemd-nspawn --quiet --directory="$1/root" --private-network --register=no --keep-unit \
    --machine="annulus-$$" --bind-ro="$2:/usr/bin/annulus" --bind="$4:/mnt" --boot systemd.unit=basic.target
"#;

/// A running container; it ends with this value, and every process and mount of it.
struct Container {
    nspawn: Child,
    first: u32,
    shared: TempDir,
    _base: TempDir,
}

impl Container {
    /// None where a container cannot be had; the reason is printed.
    fn boot() -> Option<Self> {
        if Command::new("systemd-nspawn").arg("--version").output().is_err() {
            println!("skipped: systemd-nspawn is not installed (apt-get install systemd-container)");
            return None;
        }
        let (base, shared) = (tempfile::tempdir().expect("made"), tempfile::tempdir().expect("made"));
        let said = shared.path().join("boot.log");
        let log = || Stdio::from(fs::File::options().append(true).create(true).open(&said).expect("opened"));
        let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--kill-child", "--fork"]);
        command.args(["sh", "-c", BOOT_SCRIPT, "boot", text(base.path()), env!("CARGO_BIN_EXE_annulus")]);
        command.args([&packaging, shared.path()]).stdin(Stdio::null()).stdout(log()).stderr(log());
        let mut nspawn = command.spawn().expect("unshare runs");
        let start = Instant::now();
        let first = loop {
            if let Some(first) = systemd_below(nspawn.id()) {
                break first;
            }
            if nspawn.try_wait().expect("waited for").is_some() || start.elapsed() > BOOT {
                let (_ignore, said) = (nspawn.kill(), fs::read_to_string(&said).expect("read"));
                println!(
                    "skipped: there is no container here: {}",
                    said.lines().last().unwrap_or("no reason")
                );
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let container = Self { nspawn, first, shared, _base: base };
        while container.run(&["systemctl", "is-active", "basic.target"]).1 != "active\n" {
            assert!(start.elapsed() < BOOT, "{}", fs::read_to_string(&said).expect("read"));
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(container)
    }

    /// Runs a command inside.
    fn run(&self, command: &[&str]) -> (i32, String, String) {
        let mut inside = Command::new("nsenter");
        inside.args(["--all", "--root", "--wd", "--target", &self.first.to_string()]);
        finish(inside.args(command).stdin(Stdio::null()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    /// Runs a command inside that has to succeed; returns what it printed.
    #[track_caller]
    fn must(&self, command: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(command);
        assert_eq!(code, 0, "{command:?}: {stdout}{stderr}{}", self.journal());
        stdout
    }

    fn journal(&self) -> String {
        self.run(&["journalctl", "--no-pager", "-u", "annulus*", "-n", "60"]).1
    }

    /// A property of a unit, as systemd has it.
    fn show(&self, unit: &str, property: &str) -> String {
        self.must(&["systemctl", "show", unit, "--value", "-p", property]).trim().to_owned()
    }

    /// Puts a drop-in of the unit in place, or removes it.
    fn drop_in(&self, content: Option<&str>) {
        let file = "/etc/systemd/system/annulus.service.d/test.conf";
        if let Some(content) = content {
            fs::write(self.shared.path().join("drop-in"), content).expect("written");
            self.must(&["mkdir", "-p", "/etc/systemd/system/annulus.service.d"]);
            self.must(&["cp", "/mnt/drop-in", file]);
        } else {
            self.must(&["rm", file]);
        }
        self.must(&["systemctl", "daemon-reload"]);
    }

    /// Builds and installs a package whose run hook is this.
    fn install(&self, name: &str, run: &str) {
        let dir = plan(&self.shared.path().join("plans"), name, run);
        let inside = PathBuf::from("/mnt").join(dir.strip_prefix(self.shared.path()).expect("below"));
        let built = self.must(&["annulus", "pkg", "build", text(&inside)]);
        let file = built.lines().find_map(|line| line.split_once(" is built: ")).expect("a package").1;
        self.must(&["annulus", "pkg", "install", file]);
    }

    /// The processes inside with exactly this command line.
    fn processes(&self, command: &str) -> Vec<u32> {
        let (_, found, _) = self.run(&["pgrep", "-xf", command]);
        found.lines().map(|pid| pid.parse().expect("a pid")).collect()
    }

    /// The only process with this command line, once it is another than this.
    #[track_caller]
    fn one_other(&self, command: &str, than: u32) -> u32 {
        let start = Instant::now();
        loop {
            let found = self.processes(command);
            if let [pid] = *found
                && pid != than
            {
                return pid;
            }
            assert!(start.elapsed() < DEADLINE, "{command}: {found:?}, was {than}: {}", self.journal());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&self, signal: &str, pid: u32) {
        self.must(&["kill", signal, &pid.to_string()]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // With the first process of their name space all others end.
        let first = nix::unistd::Pid::from_raw(self.first.cast_signed());
        let _ignore = nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGKILL);
        let _ignore = self.nspawn.wait();
    }
}

/// The first process of the container that this process starts.
fn systemd_below(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().filter_map(|child| child.parse().ok()).find_map(|child| {
        let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        if name == "systemd\n" { Some(child) } else { systemd_below(child) }
    })
}

const SUPERVISOR: &str = "/usr/bin/annulus sup run";
const WEB: &str = "sleep 4711";

#[test]
#[ignore = "boots systemd in a container: for root, and run by .ci/run"]
fn systemd_keeps_the_supervisor_and_it_keeps_the_services() {
    let Some(host) = Container::boot() else { return };
    host.must(&["useradd", "--system", "--user-group", "hab"]);
    host.must(&["systemctl", "start", "annulus"]);
    assert_eq!(host.show("annulus", "ActiveState"), "active", "it is ready when `start` ends");
    let launcher = host.show("annulus", "MainPID");
    host.must(&["annulus", "origin", "key", "generate", "test"]);
    // A child of its own, and words for systemd that it must not believe.
    let run = "export NOTIFY_SOCKET=/run/systemd/notify\nsystemd-notify STATUS=stolen WATCHDOG=trigger\n\
               sleep 4712 &\nexec sleep 4711";
    host.install("web", run);
    host.must(&["annulus", "svc", "load", "test/web"]);
    let web = host.one_other(WEB, 0);
    let told = eventually("systemd is told", || {
        Some(host.show("annulus", "StatusText")).filter(|told| told.starts_with("1 of 1 services up"))
    });
    assert!(!told.contains("stolen"), "{told}");
    is_confined(&host, web);

    // What replaces or ends the supervisor costs the service nothing.
    let first = host.one_other(SUPERVISOR, 0);
    host.must(&["systemctl", "reload", "annulus"]);
    let second = host.one_other(SUPERVISOR, first);
    host.kill("-KILL", second);
    host.one_other(SUPERVISOR, second);
    assert_eq!(host.processes(WEB), [web]);
    assert_eq!(
        (host.show("annulus", "MainPID"), host.show("annulus", "NRestarts")),
        (launcher, "0".to_owned())
    );

    a_watchdog_bites(&host, web);
    a_killed_launcher_comes_back(&host);
    several_stand_side_by_side(&host);

    let stopping = Instant::now();
    host.must(&["systemctl", "stop", "annulus", "annulus@blue"]);
    assert!(stopping.elapsed() < Duration::from_secs(20), "by its own means, not by systemd's at the end");
    assert_eq!(host.show("annulus", "Result"), "success", "{}", host.journal());
    assert_eq!(host.run(&["pgrep", "-u", "hab"]).1, "", "nothing of a service is left");

    a_wrong_option_is_not_tried_again(&host);
}

/// What a process of a service cannot do, as the kernel has it.
fn is_confined(host: &Container, web: u32) {
    let status = host.must(&["cat", &format!("/proc/{web}/status")]);
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect(name).trim().to_owned()
    };
    assert_ne!(field("Uid").split_whitespace().next(), Some("0"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set).trim_start_matches('0'), "", "{set}: {status}");
    }
    assert_eq!((field("NoNewPrivs").as_str(), field("Seccomp").as_str()), ("1", "2"), "{status}");
    let group = host.must(&["cat", &format!("/proc/{web}/cgroup")]);
    assert!(group.contains("annulus.service"), "systemd counts it as the unit's: {group}");
    let (code, ..) = host.run(&["nsenter", "--mount", "--target", &web.to_string(), "touch", "/usr/written"]);
    assert_ne!(code, 0, "/usr cannot be written");
}

/// A supervisor that stands still is replaced, with everything below it.
fn a_watchdog_bites(host: &Container, web: u32) {
    host.drop_in(Some("[Service]\nWatchdogSec=2\n"));
    host.must(&["systemctl", "restart", "annulus"]);
    let web = host.one_other(WEB, web);
    let supervisor = host.one_other(SUPERVISOR, 0);
    host.kill("-STOP", supervisor);
    let next = host.one_other(WEB, web);
    assert_eq!(host.show("annulus", "NRestarts"), "1");
    assert_ne!(host.one_other(SUPERVISOR, supervisor), 0);
    assert_eq!((host.processes(WEB), host.processes("sleep 4712").len()), (vec![next], 1), "once each");
    host.drop_in(None);
}

/// A launcher that is killed takes its services with it; systemd starts a new one, and that starts each of them once.
fn a_killed_launcher_comes_back(host: &Container) {
    let [web] = *host.processes(WEB) else { panic!("one service runs: {}", host.journal()) };
    let launcher = host.show("annulus", "MainPID");
    host.kill("-KILL", launcher.parse().expect("a pid"));
    host.one_other(WEB, web);
    assert_eq!(host.processes("sleep 4712").len(), 1, "and no child of the last life");
    assert_ne!(host.show("annulus", "MainPID"), launcher);
}

/// `annulus@blue` is one more, with an own state and own addresses.
fn several_stand_side_by_side(host: &Container) {
    let addresses = "listen_gossip = \"127.0.0.1:19638\"\nlisten_http = \"127.0.0.1:19631\"\n\
                     listen_ctl = \"127.0.0.1:19632\"\n";
    fs::write(host.shared.path().join("sup.toml"), addresses).expect("written");
    host.must(&["install", "-D", "-m", "600", "/mnt/sup.toml", "/hab/sup/blue/config/sup.toml"]);
    host.must(&["systemctl", "start", "annulus@blue"]);
    assert_ne!(host.show("annulus@blue", "MainPID"), host.show("annulus", "MainPID"));
    assert_eq!(host.show("annulus", "ActiveState"), "active");
    let (code, _, stderr) = host.run(&["annulus", "--override-name", "blue", "svc", "load", "test/web"]);
    assert!(code != 0 && stderr.contains("default"), "the other's service is the other's: {code} {stderr}");
}

/// What an operator has to put right first is not tried for ever.
fn a_wrong_option_is_not_tried_again(host: &Container) {
    host.drop_in(Some("[Service]\nExecStart=\nExecStart=/usr/bin/annulus sup run --no-such-option\n"));
    assert_ne!(host.run(&["systemctl", "start", "annulus"]).0, 0);
    assert_eq!(host.show("annulus", "ActiveState"), "failed");
    assert_eq!(
        (host.show("annulus", "ExecMainStatus"), host.show("annulus", "NRestarts")),
        ("2".into(), "0".into())
    );
}
