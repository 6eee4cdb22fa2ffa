//! Guards with real processes, and the ways in which a tree tries to outlive its guard.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::*;
use crate::host::capabilities::Capabilities;
use crate::host::clock;
use crate::launcher::child::environment;
use crate::launcher::descend::children;
use crate::launcher::message::Lease;

/// Longest wait for news, which is enough on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(30);

struct Bed {
    dir: tempfile::TempDir,
    guard: Guard,
    next: u64,
}

impl Bed {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a directory"),
            guard: Guard::start(None, None).expect("a guard"),
            next: 1,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Has the guard start a shell script; the pipe says whether that could be.
    fn start(&mut self, script: &str, deadline_ms: Option<u64>) -> io::PipeReader {
        let path = self.path(&format!("script-{}", self.next));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        let dir = self.dir.path();
        let path_variable = [(OsString::from("PATH"), std::env::var_os("PATH").expect("set"))];
        let program = Program {
            path: &path,
            dir,
            env: environment(&path_variable),
            owner: None,
            capabilities: Capabilities::NONE,
            nofile: (256, 256),
        };
        let block = program.write().expect("a block");
        let null = fs::File::options().write(true).open("/dev/null").expect("it is there");
        let (reader, writer) = io::pipe().expect("a pipe");
        let order = Order::Start { id: self.next, joins: false, kills: false, deadline_ms };
        self.next += 1;
        let fds = [block.as_fd(), null.as_fd(), null.as_fd(), writer.as_fd()];
        self.guard.order(order, &fds).expect("taken");
        reader
    }

    fn news(&self) -> News {
        let start = clock::boot_ms();
        loop {
            if let Some(news) = self.guard.news() {
                return news;
            }
            assert!(clock::boot_ms() - start < 30_000, "no news within {DEADLINE:?}");
            let mut fds = [nix::poll::PollFd::new(self.guard.as_fd(), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut fds, 1_000_u16).expect("waited");
        }
    }

    fn started(&self) -> i32 {
        match self.news() {
            News::Started { pid, .. } => pid,
            other => panic!("{other:?}"),
        }
    }

    fn file(&self, name: &str) -> String {
        let start = clock::boot_ms();
        loop {
            match fs::read_to_string(self.path(name)) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => assert!(clock::boot_ms() - start < 30_000, "{name} did not appear"),
            }
            std::thread::yield_now();
        }
    }

    fn wait(&self) {
        nix::sys::wait::waitpid(self.guard.pid(), None).expect("it has ended");
    }
}

fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Leaves a child of a child in a session of its own whose parent has ended, and writes down its pid.
const ORPHAN: &str = "(setsid sh -c '(setsid sh -c \"echo \\$\\$ > orphan; exec sleep 1000\" &)' &)";

#[test]
fn a_crash_takes_orphans_in_other_sessions_with_it() {
    let mut bed = Bed::new();
    bed.start(&format!("{ORPHAN}\nuntil [ -s orphan ]; do sleep 0.01; done\nexit 7"), None);
    bed.started();
    assert_eq!(bed.news(), News::Empty { starts: 1 });
    assert!(!lives(&bed.file("orphan")));
    assert_eq!(bed.guard.page().status(), Some(7 << 8));
    assert!(bed.guard.page().is_killed());
}

#[test]
fn after_an_order_to_stop_the_tree_keeps_its_time() {
    let mut bed = Bed::new();
    bed.start(&format!("{ORPHAN}\nuntil [ -s orphan ]; do sleep 0.01; done\nexec sleep 1000"), None);
    let first = bed.started();
    let orphan = bed.file("orphan");
    bed.guard.page().set_stopping(true);
    bed.guard.order(Order::Signal { number: Signal::SIGTERM as i32 }, &[]).expect("taken");
    let gone = || children(bed.guard.pid()).iter().all(|pid| pid.as_raw() != first);
    let start = clock::boot_ms();
    while !gone() {
        assert!(clock::boot_ms() - start < 30_000, "the first process has not ended");
        std::thread::yield_now();
    }
    assert!(lives(&orphan), "it was not asked");
    bed.guard.order(Order::Kill, &[]).expect("taken");
    assert_eq!(bed.news(), News::Empty { starts: 1 });
    assert!(!lives(&orphan));
}

#[test]
fn the_deadline_ends_the_tree_and_its_hooks_and_a_later_renewal_fails() {
    let mut bed = Bed::new();
    let holder = Holder::new(&bed.guard.file, bed.guard.wake.try_clone().expect("a copy")).expect("mapped");
    bed.start(&format!("{ORPHAN}\nexec sleep 1000"), None);
    bed.started();
    let orphan = bed.file("orphan");
    bed.start("echo $$ > hook; exec sleep 1000", Some(u64::MAX - 2));
    bed.started();
    let hook = bed.file("hook");
    let now_ms = clock::boot_ms();
    let lease = |left_ms| Lease { kill_at_ms: now_ms + left_ms, resume: None };
    holder.hold(Some(&lease(3_600_000)), now_ms).expect("given");
    holder.hold(Some(&lease(200)), now_ms).expect("given");
    assert_eq!(bed.news(), News::Expired);
    assert!(clock::boot_ms() >= now_ms + 200, "not before its time");
    let mut last = bed.news();
    while let News::HookEnded { .. } = last {
        last = bed.news();
    }
    assert_eq!(last, News::Empty { starts: 2 });
    assert!(!lives(&orphan) && !lives(&hook));
    let late = holder.hold(Some(&lease(3_600_000)), now_ms).expect_err("too late, whatever its clock says");
    assert!(late.contains("is over"), "{late}");
}

#[test]
fn a_hook_ends_with_all_that_it_started_and_the_service_goes_on() {
    let mut bed = Bed::new();
    bed.start("exec sleep 1000", None);
    let first = bed.started();
    for (script, deadline_ms, ends) in
        [("exit 3", u64::MAX - 2, (3 << 8, false)), ("exec sleep 1000", clock::boot_ms() + 200, (9, true))]
    {
        fs::remove_file(bed.path("orphan")).unwrap_or_default();
        bed.start(&format!("{ORPHAN}\nuntil [ -s orphan ]; do :; done\n{script}"), Some(deadline_ms));
        bed.started();
        let News::HookEnded { status, timed_out, .. } = bed.news() else { panic!("other news") };
        assert_eq!((status, timed_out), ends);
        let orphan = fs::read_to_string(bed.path("orphan")).unwrap_or_default();
        assert!(!lives(orphan.trim()), "{orphan}");
    }
    assert!(lives(&first.to_string()) && bed.guard.news().is_none());
}

#[test]
fn a_guard_without_a_launcher_ends_everything() {
    let mut bed = Bed::new();
    bed.start(&format!("{ORPHAN}\nexec sleep 1000"), None);
    let first = bed.started().to_string();
    let orphan = bed.file("orphan");
    let (ours, _theirs) = io::pipe().expect("a pipe");
    bed.guard.socket = ours.into();
    bed.wait();
    assert!(!lives(&first) && !lives(&orphan));
}

#[test]
fn a_signal_to_end_is_not_taken_for_the_launchers_death() {
    let mut bed = Bed::new();
    bed.start("exec sleep 1000", None);
    let first = bed.started().to_string();
    kill(bed.guard.pid(), Signal::SIGTERM).expect("signalled");
    bed.start("true", Some(u64::MAX - 2));
    bed.started();
    assert_eq!(bed.news(), News::HookEnded { id: 2, status: 0, timed_out: false });
    assert!(lives(&first));
}

#[test]
fn what_cannot_be_started_says_why() {
    let mut bed = Bed::new();
    fs::create_dir(bed.path("dir")).expect("made");
    let mut fault = bed.start("\n", None);
    bed.started();
    let mut bytes = Vec::new();
    fault.read_to_end(&mut bytes).expect("read");
    assert_eq!(bytes, [0; 0], "it runs");
    assert_eq!(bed.news(), News::Empty { starts: 1 });
    bed.start("true", None);
    let refused = News::Refused { id: 2, errno: nix::errno::Errno::ECANCELED as i32 };
    assert_eq!(bed.news(), refused, "its tree has ended");
}

#[test]
fn a_guard_has_nothing_of_its_launcher_but_what_it_needs() {
    let mut bed = Bed::new();
    bed.start("exec sleep 1000", None);
    bed.started();
    let proc = PathBuf::from(format!("/proc/{}", bed.guard.pid()));
    assert_eq!(fs::read_to_string(proc.join("comm")).expect("it runs"), "annulus-guard\n");
    // Only the superuser may look further into a process that is not to be looked into.
    let Ok(fds) = fs::read_dir(proc.join("fd")) else { return };
    let mut names: Vec<String> = fds
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
        .map(|at| at.to_string_lossy().split(':').next().expect("a part").to_owned())
        .collect();
    names.sort();
    names.retain(|name| name != "anon_inode" && name != "socket" && name != "/dev/null");
    assert_eq!(names, [format!("{}/task/{}/children", proc.display(), bed.guard.pid())]);
    let grown = fs::read_to_string(proc.join("status")).expect("it runs");
    assert!(grown.lines().any(|line| line == "Threads:\t1"), "{grown}");
}
