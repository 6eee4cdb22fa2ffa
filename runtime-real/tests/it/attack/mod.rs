//! Attacks of services on the host that runs them, each of which succeeded once. Those that need two users are for
//! root, and `.ci/run` runs them.

mod environment;
mod gateways;
mod links;
mod modes;
mod rights;
mod terminal;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::User;

use crate::host::Host;
use crate::support::{eventually, plan, text};

/// The user of the services, in tests that root runs.
pub(crate) const SERVICE_USER: &str = "nobody";

pub(crate) fn user(name: &str) -> User {
    User::from_name(name).expect("users").expect("every system has this user")
}

/// Has a command start below another one, with what is set for it already.
pub(crate) fn below(command: &mut Command, program: &str, args: &[&str]) {
    let inner: Vec<OsString> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsString::from).collect();
    let variables: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(OsString::from))).collect();
    let mut outer = Command::new(program);
    outer.args(args).args(inner).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    for (name, value) in variables {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    *command = outer;
}

/// Lets every user look into a directory that a test made for itself.
pub(crate) fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("set");
}

/// Loads a service of a user (of the tests' user without one) whose plan says `more`, and waits until its program has
/// written `var/said`, whose text it returns.
pub(crate) fn said_by(host: &Host, name: &str, run: &str, more: &str) -> String {
    host.load(&host.install_plan(&speaking_plan(host, name, run, more)));
    said(host, name)
}

/// The same, of the default user where `more` names none.
pub(crate) fn said_as_written(host: &Host, name: &str, run: &str, more: &str) -> String {
    host.load(&host.install_as_written(&speaking_plan(host, name, run, more)));
    said(host, name)
}

fn speaking_plan(host: &Host, name: &str, run: &str, more: &str) -> PathBuf {
    let run = format!("{{ {run}; }} > var/said.new 2>&1\nmv var/said.new var/said\nexec sleep 1000");
    let plan = plan(&host.root.path().join("plans"), name, &run);
    let file = plan.join("plan.toml");
    let toml = fs::read_to_string(&file).expect("a plan");
    fs::write(file, format!("{toml}\n{more}\n")).expect("written");
    plan
}

/// The text that the service has left in `var/said`.
pub(crate) fn said(host: &Host, name: &str) -> String {
    let path = host.root.path().join("svc").join(name).join("var/said");
    eventually(&format!("{} is there", text(&path)), || fs::read_to_string(&path).ok())
}
