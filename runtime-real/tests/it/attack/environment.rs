//! What a service finds of its supervisor's environment and open files: nothing that is not listed.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::said_by;
use crate::host::Host;
use crate::support::{eventually, finish, plan, text};

/// Variables that a supervisor may have and no service is to see.
const SECRETS: [&str; 8] = [
    "HAB_OTHER",
    "HAB_RING_KEY",
    "HAB_AUTH_TOKEN",
    "HAB_CTL_SECRET",
    "HAB_SUP_GATEWAY_AUTH_TOKEN",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "AWS_SECRET_ACCESS_KEY",
];
/// The value of each but the ring's key.
const VALUE: &str = "hunter2-of-the-supervisor";
/// That has a form: a supervisor does not start with another text.
const RING_KEY: &str = "SYM-SEC-1\nblue-20260101000000\n\n0VDUuLDTfuFpwGY+j0kssC0oOLHxkjifFfpPgaY+zOM=";

/// The names of the variables in the output of `env`.
fn names(env: &str) -> Vec<&str> {
    let mut names: Vec<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // The shell sets these itself.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    names
}

#[test]
fn services_and_hooks_see_the_listed_variables_and_no_secret() {
    let host = Host::start(|command| {
        for name in SECRETS {
            command.env(name, if name == "HAB_RING_KEY" { RING_KEY } else { VALUE });
        }
        command.env("LC_ALL", "C.UTF-8").env("HTTP_PROXY", "http://proxy.example").env("HOME", "/");
        command.args(["--pass-env", "HTTP_PROXY"]);
    });
    let plan = plan(
        &host.root.path().join("plans"),
        "web",
        "env > var/run.new; mv var/run.new var/run; exec sleep 1000",
    );
    let file = plan.join("plan.toml");
    let toml = fs::read_to_string(&file).expect("a plan");
    fs::write(file, format!("{toml}\n[service.environment]\nOPTS = \"-x y\"\n")).expect("written");
    fs::write(plan.join("hooks/init"), "#!/bin/sh\nenv > var/init\n").expect("written");
    host.load(&host.install_plan(&plan));
    let var = host.root.path().join("svc/web/var");
    for who in ["run", "init"] {
        let env = eventually("it says so", || fs::read_to_string(var.join(who)).ok());
        assert!(!env.contains(VALUE) && !env.contains("SYM-SEC"), "{who}: {env}");
        let mut own =
            vec!["HOME", "HTTP_PROXY", "LANG", "LC_ALL", "LOGNAME", "OPTS", "PATH", "TMPDIR", "TZ", "USER"];
        // Those of the list that this test's own environment does not have.
        let may_lack = ["LANG", "LANGUAGE", "LOGNAME", "TMPDIR", "TZ", "USER"];
        let found = names(&env);
        own.retain(|name| !may_lack.contains(name) || found.contains(name));
        let listed = |name: &&str| name.starts_with("LC_") || *name == "LANGUAGE" || own.contains(name);
        assert!(found.iter().all(listed) && own.iter().all(|name| found.contains(name)), "{who}: {env}");
        assert!(
            env.contains("OPTS=-x y\n") && env.contains("HTTP_PROXY=http://proxy.example\n"),
            "{who}: {env}"
        );
    }
}

#[test]
fn an_install_hook_sees_no_secret_of_the_command_that_runs_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let plan = plan(dir.path(), "tool", "exec sleep 1000");
    fs::remove_file(plan.join("hooks/run")).expect("removed");
    fs::write(plan.join("hooks/install"), "#!/bin/sh\nenv\n").expect("written");
    let annulus = |args: &[&str]| {
        let mut command = crate::support::annulus();
        command.args(["--root", text(dir.path())]).args(args).env("HAB_AUTH_TOKEN", VALUE);
        let (code, out, err) = finish(&mut command);
        assert_eq!(code, 0, "{err}");
        out + &err
    };
    let out = dir.path().join("built");
    annulus(&["pkg", "build", text(&plan), "--output", text(&out)]);
    let hart = fs::read_dir(&out).expect("built").next().expect("a file").expect("readable").path();
    let said = annulus(&["pkg", "install", text(&hart)]);
    assert!(said.contains("PATH=") && !said.contains(VALUE), "{said}");
}

#[test]
fn a_variable_of_the_supervisor_alone_cannot_be_passed_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = crate::support::annulus();
    command.args(["--root", text(dir.path()), "sup", "run", "--pass-env", "HAB_CTL_SECRET"]);
    let (code, _, stderr) = finish(&mut command);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--pass-env \"HAB_CTL_SECRET\": it is the supervisor's own"), "{stderr}");
}

#[test]
fn a_file_that_is_open_where_the_supervisor_is_started_is_closed_for_services() {
    let dir = tempfile::tempdir().expect("a directory");
    let secret = dir.path().join("secret-of-root");
    fs::write(&secret, VALUE).expect("written");
    let secret = File::open(&secret).expect("it is there");
    fcntl(&secret, FcntlArg::F_SETFD(FdFlag::empty())).expect("set");
    let host = Host::start(|_| {});
    let launcher = fs::read_dir(format!("/proc/{}/fd", host.launcher.id())).expect("its files");
    let open: Vec<_> = launcher.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    assert!(!open.iter().any(|path| text(path).contains("secret-of-root")), "{open:?}");
    let number = secret.as_raw_fd();
    let look = format!("for at in /proc/$$/fd/*; do readlink $at; done; cat <&{number}");
    let said = said_by(&host, "web", &look, "");
    assert!(!said.contains("secret-of-root") && !said.contains(VALUE), "{said}");
    // Output and errors, the null device, and the script that the shell reads.
    assert!(said.contains("pipe:") || said.contains("/var/said"), "{said}");
}
