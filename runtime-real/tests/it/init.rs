//! The launcher as the first process of a container.

use std::process::{Command, Stdio};

use crate::host::{Host, status_field};
use crate::support::{eventually, finish};

#[test]
#[ignore = "makes a namespace of processes: for root, and run by .ci/run"]
fn the_first_process_of_a_namespace_waits_for_every_process_and_ends_in_order() {
    let binary = env!("CARGO_BIN_EXE_annulus");
    let mut host = Host::start(|command| {
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let envs: Vec<_> =
            command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
        let log = std::mem::replace(command, Command::new("unshare"));
        drop(log);
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", binary]).args(args);
        for (name, value) in envs {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
    });
    let inside = |args: &[&str]| {
        let launcher = child_of(host.launcher.id());
        let mut command = Command::new("nsenter");
        command.args(["--pid", "--mount", "--target", &launcher.to_string()]).args(args);
        finish(&mut command)
    };
    let ident = host.install("daemon", "(setsid sh -c 'sleep 0.3' &)\nexec sleep 1000");
    host.load(&ident);
    host.service("up");
    let (code, stdout, _) = inside(&["ps", "-o", "args=", "-p", "1"]);
    assert!(code == 0 && stdout.contains("--launch"), "it is process 1: {stdout}");
    eventually("no process is left unwaited for", || {
        let (_, stdout, _) = inside(&["ps", "-eo", "stat="]);
        (!stdout.contains('Z')).then_some(())
    });
    // The first process of a namespace receives only signals that it has a handler for.
    let launcher = child_of(host.launcher.id());
    assert!(status_field(launcher, "NSpid").is_some());
    let (code, _, stderr) = finish(Command::new("kill").args(["-TERM", &launcher.to_string()]));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(host.end(), Some(0));
}

fn child_of(pid: u32) -> u32 {
    eventually("the launcher is there", || {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}
