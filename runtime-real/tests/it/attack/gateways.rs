//! Another user of the host, at the gateways of a supervisor that runs as root.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::{SERVICE_USER, open_to_all, user};
use crate::support::{Supervisor, annulus, eventually, finish, plan, text};

/// A command that another user types at this supervisor.
fn as_another(supervisor: &Supervisor, args: &[&str]) -> Command {
    let other = user(SERVICE_USER);
    let mut command = annulus();
    command.arg("--root").arg(supervisor.root()).args(args).uid(other.uid.as_raw()).gid(other.gid.as_raw());
    command
}

#[test]
#[ignore = "needs root, for two users"]
fn another_user_gives_no_commands() {
    let supervisor = Supervisor::start(&[]);
    for dir in ["", "sup", "sup/default"] {
        open_to_all(&supervisor.root().join(dir));
    }
    let (code, _, stderr) = finish(&mut as_another(&supervisor, &["svc", "status"]));
    assert_eq!(code, 7, "{stderr}");
    assert!(stderr.contains("ctl.sock") && stderr.contains("HAB_CTL_SECRET"), "{stderr}");
    // With the secret, which was given to this user, the address is the way.
    let mut given = as_another(&supervisor, &["svc", "status"]);
    let (code, _, stderr) = finish(given.env("HAB_CTL_SECRET", supervisor.secret()));
    assert_eq!(code, 0, "{stderr}");
    // Where the socket's mode was changed, the kernel's word about the user still counts.
    let socket = supervisor.root().join("sup/default/ctl.sock");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).expect("set");
    let (code, _, stderr) = finish(&mut as_another(&supervisor, &["svc", "status"]));
    assert_eq!(code, 7, "{stderr}");
    assert!(stderr.contains("may not give this supervisor commands"), "{stderr} {}", text(&socket));
}

/// The answer that a user of this host gets from the HTTP gateway.
fn answer_to(uid: u32, supervisor: &Supervisor, path: &str) -> String {
    let ask = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3",
        supervisor.http.port()
    );
    finish(Command::new("bash").args(["-c", &ask]).uid(uid)).1
}

#[test]
#[ignore = "needs root, for two users"]
fn another_user_reads_no_configuration() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "sleeper", "exec sleep 1000"));
    assert_eq!(supervisor.run(&["svc", "load", "test/sleeper"]).0, 0);
    let path = "/services/sleeper/default/config";
    eventually("the service is prepared", || (supervisor.get(path).status == 200).then_some(()));
    assert!(answer_to(0, &supervisor, path).contains("hunter2"));
    let other = user(SERVICE_USER).uid.as_raw();
    let refused = answer_to(other, &supervisor, path);
    assert!(refused.starts_with("HTTP/1.0 403") && refused.contains("only root"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    let services = answer_to(other, &supervisor, "/services");
    assert!(services.contains("sleeper.default") && !services.contains("hunter2"), "{services}");
}
