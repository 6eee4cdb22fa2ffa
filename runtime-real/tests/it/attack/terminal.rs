//! A service that types into the terminal in which the supervisor was started.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use super::{said, said_by};
use crate::host::Host;
use crate::support::plan;

/// Tries to open the terminal of its session, and to put a line into its input (ioctl TIOCSTI) where Perl is there.
const TYPE: &str = "if (: <>/dev/tty) 2>/dev/null; then echo opened; else echo refused; fi\n\
    perl -e 'open(T, \"+<\", \"/dev/tty\") or exit 1; ioctl(T, 0x5412, my $c = $_) for split(//, \"evil\\n\");' || true\n\
    cat /proc/$$/stat";

/// A pair of terminal ends: the person's, and the program's.
fn terminal() -> (File, OwnedFd) {
    let (mut master, mut slave) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: two places for numbers, and nothing else is asked for.
    let opened = unsafe { libc::openpty(&raw mut master, &raw mut slave, null, null.cast(), null.cast()) };
    assert_eq!(opened, 0, "{}", io::Error::last_os_error());
    // SAFETY: both are new and have no other owner.
    let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    for fd in [master.as_fd(), slave.as_fd()] {
        fcntl(fd, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).expect("set");
    }
    (master, slave)
}

#[test]
fn neither_a_service_nor_a_hook_has_the_operators_terminal() {
    let (mut person, program) = terminal();
    let host = Host::start(|command| {
        command.stdin(Stdio::from(program.try_clone().expect("a descriptor")));
        let becomes_its_terminal = || {
            nix::unistd::setsid()?;
            // SAFETY: the call takes numbers only.
            nix::errno::Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })?;
            Ok(())
        };
        // SAFETY: two system calls, and no memory is taken.
        unsafe { command.pre_exec(becomes_its_terminal) };
    });
    let launcher = fs::read_to_string(format!("/proc/{}/stat", host.launcher.id())).expect("it runs");
    assert_ne!(numbers(&launcher)[4], "0", "the launcher has a terminal: {launcher}");
    let service = said_by(&host, "typist", TYPE, "");
    let plan = plan(&host.root.path().join("plans"), "hooked", "exec sleep 1000");
    let init = format!("#!/bin/sh\n{{ {TYPE}; }} > var/said.new\nmv var/said.new var/said\n");
    fs::write(plan.join("hooks/init"), init).expect("written");
    host.load(&host.install_plan(&plan));
    for said in [service, said(&host, "hooked")] {
        assert!(said.starts_with("refused\n"), "{said}");
        let stat = said.lines().last().expect("a line");
        let (pid, _) = stat.split_once(' ').expect("a pid");
        let numbers = numbers(stat);
        // Process group, session, terminal.
        assert_eq!(numbers[2..5], [pid, pid, "0"], "{stat}");
    }
    // What was typed would be echoed to the person.
    fcntl(&person, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("set");
    let mut seen = [0; 256];
    match person.read(&mut seen) {
        Ok(count) => panic!("typed: {:?}", String::from_utf8_lossy(&seen[..count])),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
    }
}

/// The words of a line of `/proc/PID/stat` behind the name.
fn numbers(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').expect("a name").1.split_whitespace().collect()
}
