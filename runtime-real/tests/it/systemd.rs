//! What the supervisor tells a service manager, and that systemd accepts the unit files.

use std::io::IoSliceMut;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt};

use crate::support::{DEADLINE, Supervisor, eventually, plan, text};

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    dir: tempfile::TempDir,
    /// The process that the latest message is from, as the system says.
    sender: std::cell::Cell<i32>,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("bound");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        setsockopt(&socket, PassCred, &true).expect("set");
        Self { socket, dir, sender: std::cell::Cell::new(0) }
    }

    /// The lines of the next message.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let mut space = nix::cmsg_space!(UnixCredentials);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty());
        let message = message.expect("a message in time");
        for control in message.cmsgs().expect("whole") {
            if let ControlMessageOwned::ScmCredentials(who) = control {
                self.sender.set(who.pid());
            }
        }
        let bytes = message.bytes;
        String::from_utf8_lossy(&buffer[..bytes]).lines().map(str::to_owned).collect()
    }

    /// Reads messages until one holds a line that begins with this text; returns that line.
    #[track_caller]
    fn wait_for(&self, begins: &str) -> String {
        let start = std::time::Instant::now();
        while start.elapsed() < DEADLINE {
            if let Some(line) = self.next().into_iter().find(|line| line.starts_with(begins)) {
                return line;
            }
        }
        panic!("no {begins} within {DEADLINE:?}");
    }
}

#[test]
fn a_service_manager_hears_of_every_step() {
    let manager = Manager::new();
    let socket = manager.dir.path().join("notify");
    let watchdog_us = Duration::from_millis(400).as_micros().to_string();
    let env = [("NOTIFY_SOCKET", text(&socket)), ("WATCHDOG_USEC", &watchdog_us)];
    let mut supervisor = Supervisor::start_with(&[], &env);
    manager.wait_for("READY=1");
    // systemd hears its main process only: the launcher, which it started.
    let main = i32::try_from(supervisor.child.id()).expect("a pid");
    assert_eq!(manager.sender.get(), main, "the launcher passes on what the supervisor says");
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");

    let said = supervisor.root().join("said");
    let run = format!("env > {said}.new && mv {said}.new {said}\nexec sleep 1000", said = text(&said));
    supervisor.install(&plan(&supervisor.root().join("plans"), "teller", &run));
    assert_eq!(supervisor.run(&["svc", "load", "test/teller"]).0, 0);
    let env = eventually("the service runs", || std::fs::read_to_string(&said).ok());
    assert!(
        !env.contains("NOTIFY_SOCKET") && !env.contains("WATCHDOG"),
        "services do not speak for it: {env}"
    );
    eventually("the status tells of it", || {
        (manager.wait_for("STATUS=") == "STATUS=1 of 1 services up; 1 members in the ring").then_some(())
    });

    let (code, _, stderr) = supervisor.run(&["sup", "restart"]);
    assert_eq!(code, 0, "{stderr}");
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    assert_eq!(manager.sender.get(), main, "the next supervisor speaks through the same launcher");
    // A process that finds the launcher's socket is not heard, though it is of the same user.
    let own = UnixDatagram::unbound().expect("a socket");
    own.connect(supervisor.root().join("sup/default/notify.sock")).expect("the launcher listens");
    own.send(b"STATUS=stolen").expect("taken");
    for _ in 0..4 {
        let told = manager.next();
        assert!(!told.iter().any(|line| line == "STATUS=stolen"), "{told:?}");
    }

    assert_eq!(supervisor.run(&["sup", "term"]).0, 0);
    manager.wait_for("STOPPING=1");
    let extended = manager.wait_for("EXTEND_TIMEOUT_USEC=");
    assert!(
        extended.split_once('=').is_some_and(|(_, us)| us.parse::<u64>().is_ok_and(|us| us >= 1_000_000))
    );
    let status = eventually("the process is over", || supervisor.child.try_wait().expect("waited for"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_absent_manager_does_no_harm() {
    let env = [("NOTIFY_SOCKET", "/no/such/socket"), ("WATCHDOG_USEC", "much")];
    let supervisor = Supervisor::start_with(&[], &env);
    assert_eq!(supervisor.run(&["sup", "status"]).0, 0);
}

/// The units, as they would be installed, with this build's program.
fn units(dir: &Path) -> Vec<(&'static str, PathBuf)> {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let unit = |(name, place): (&str, &'static str)| {
        let unit = std::fs::read_to_string(packaging.join(name)).expect("the unit");
        // The program in the unit has to exist for the check, at any path.
        let unit = unit.replace("/usr/bin/annulus", env!("CARGO_BIN_EXE_annulus"));
        let path = dir.join(place);
        std::fs::write(&path, unit).expect("written");
        (place, path)
    };
    [("annulus.service", "annulus.service"), ("annulus@.service", "annulus@blue.service")].map(unit).to_vec()
}

fn has_systemd_analyze() -> bool {
    let found = Command::new("systemd-analyze").arg("--version").output().is_ok();
    if !found {
        println!("skipped: systemd-analyze is not installed (apt-get install systemd)");
    }
    found
}

#[test]
fn the_unit_files_are_understood() {
    if !has_systemd_analyze() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (place, path) in units(dir.path()) {
        let checked = Command::new("systemd-analyze").arg("verify").arg(&path).output().expect("it runs");
        let said = String::from_utf8_lossy(&checked.stderr);
        let about: Vec<_> = said.lines().filter(|line| line.contains(place)).collect();
        assert!(checked.status.success() && about.is_empty(), "{said}");
    }
}

/// The exposure that systemd 252 computes is 32, in tenths, from 0 to 100; it was 98 before the units gave anything up.
/// Another version weighs a little differently.
const EXPOSURE_MAX: u32 = 35;

#[test]
fn the_unit_files_give_up_what_a_supervisor_can_do_without() {
    if !has_systemd_analyze() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (place, path) in units(dir.path()) {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=true", "--no-pager", "--threshold", &EXPOSURE_MAX.to_string()]);
        let judged = command.arg(&path).output().expect("it runs");
        let said = String::from_utf8_lossy(&judged.stdout);
        if String::from_utf8_lossy(&judged.stderr).contains("--offline") {
            println!("skipped: this systemd-analyze judges no unit that is not loaded (250 and later does)");
            return;
        }
        assert!(judged.status.success(), "{place}: {said}");
        assert!(said.contains("Overall exposure level"), "{place}: {said}");
    }
}

#[test]
fn both_units_say_the_same() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let of = |name: &str| {
        let text = std::fs::read_to_string(packaging.join(name)).expect("the unit");
        let (_, service) = text.split_once("[Service]").expect("it is a service");
        service.replace(" --override-name %i", "")
    };
    assert_eq!(of("annulus.service"), of("annulus@.service"), "one of several is kept as one alone is");
}
