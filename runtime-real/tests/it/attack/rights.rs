//! Capabilities that a service could take from its supervisor. All for root, because they need two users.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use super::{SERVICE_USER, below, open_to_all, said_by, user};
use crate::host::Host;
use crate::support::eventually;

/// The user of a supervisor that is not root, in tests that root runs.
const SUPERVISOR_USER: &str = "daemon";
/// Says what rights the service has, and tries to become root.
const LOOK: &str =
    "cat /proc/self/status; setpriv --reuid 0 --clear-groups id -u; su -s /bin/sh root -c 'id -u' </dev/null";
const NONE: &str = "0000000000000000";
/// CAP_NET_BIND_SERVICE.
const ONE: &str = "0000000000000400";

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).to_owned()
}

fn as_user(more: &str) -> String {
    format!("[service]\nuser = {SERVICE_USER:?}\ngroup = \"nogroup\"\n{more}")
}

/// Starts a supervisor of a user that is not root and has only these capabilities.
fn start_with(capabilities: &str) -> Host {
    let owner = user(SUPERVISOR_USER);
    Host::start(|command| {
        let root = root_of(command);
        open_to_all(&root);
        chown(&root, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).expect("given away");
        // The build may lie where that user may not look.
        let program = root.join("annulus");
        fs::copy(command.get_program(), &program).expect("copied");
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut copy = Command::new(program);
        copy.args(args);
        *command = copy;
        let (uid, gid) = (owner.uid.to_string(), owner.gid.to_string());
        let sets = [format!("--inh-caps=-all,{capabilities}"), format!("--ambient-caps=-all,{capabilities}")];
        let bounding = format!("--bounding-set=-all,{capabilities}");
        // It writes into the services' folders as a member of their group.
        let groups = user(SERVICE_USER).gid.to_string();
        let args = ["--reuid", &uid, "--regid", &gid, "--groups", &groups, &sets[0], &sets[1], &bounding];
        below(command, "setpriv", &args);
    })
}

/// The root directory that a command of `Host` names.
fn root_of(command: &Command) -> std::path::PathBuf {
    let mut args = command.get_args().skip_while(|arg| *arg != "--root");
    args.nth(1).map(Path::new).expect("a root").to_owned()
}

#[test]
#[ignore = "starts processes of other users: for root, and run by .ci/run"]
fn a_service_has_none_of_the_supervisors_capabilities_and_cannot_become_root() {
    let hosts =
        [Host::start(|command| open_to_all(&root_of(command))), start_with("+chown,+setuid,+setgid,+kill")];
    for (host, is_root) in hosts.iter().zip([true, false]) {
        let said = said_by(host, "thief", LOOK, &as_user(""));
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(&said, set), NONE, "{set}: {said}");
        }
        if is_root {
            // Another supervisor has not the right to take these away, and they give nothing to a process without
            // new rights.
            assert_eq!(field(&said, "CapBnd"), NONE, "{said}");
        }
        assert_eq!(field(&said, "NoNewPrivs"), "1", "{said}");
        assert!(!said.lines().any(|line| line == "0"), "it became root: {said}");
        assert_eq!(field(&said, "Uid").split_whitespace().next(), Some("65534"), "{said}");
    }
}

#[test]
#[ignore = "starts processes of other users: for root, and run by .ci/run"]
fn a_plan_gets_the_capability_that_it_asks_for_and_no_other() {
    let host = Host::start(|command| open_to_all(&root_of(command)));
    let said = said_by(&host, "web", LOOK, &as_user("capabilities = [\"net_bind_service\"]"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&said, set), ONE, "{set}: {said}");
    }
    assert_eq!(field(&said, "NoNewPrivs"), "1", "{said}");
    let status = host.service("up");
    assert_eq!(
        (&status["user"], &status["capabilities"][0]),
        (&SERVICE_USER.into(), &"net_bind_service".into())
    );
    let (_, table, _) = host.run(&["svc", "status"]);
    assert!(
        table.contains("test/web/1.0.0/") && table.contains("runs as nobody with net_bind_service"),
        "{table}"
    );
}

#[test]
#[ignore = "starts processes of other users: for root, and run by .ci/run"]
fn a_supervisor_of_its_own_user_stops_the_services_of_others_or_starts_none() {
    let host = start_with("+chown,+setuid,+setgid,+kill");
    let said = said_by(&host, "web", "id -un", &as_user(""));
    assert_eq!(said.trim(), SERVICE_USER);
    let (code, _, stderr) = host.run(&["svc", "unload", "test/web"]);
    assert_eq!(code, 0, "{stderr}");
    let services = eventually("the service is gone", || {
        let (_, services, _) = host.run(&["svc", "status", "--json"]);
        (services.trim() == "[]").then_some(services)
    });
    assert_eq!(services.trim(), "[]");
    // Without the right to signal what it started, it starts nothing that it could not stop.
    let host = start_with("+chown,+setuid,+setgid");
    let said = said_by(&host, "web", "id -un", &as_user(""));
    assert_eq!(said.trim(), SUPERVISOR_USER);
    assert!(
        host.log().contains("it lacks what it takes to start and stop processes of other users: kill"),
        "{}",
        host.log()
    );
}

#[test]
#[ignore = "starts processes of other users: for root, and run by .ci/run"]
fn a_capability_that_the_supervisor_has_not_is_refused_by_name() {
    let host = start_with("+chown,+setuid,+setgid,+kill");
    let plan = crate::support::plan(&host.root.path().join("plans"), "web", "exec sleep 1000");
    let file = plan.join("plan.toml");
    let toml = fs::read_to_string(&file).expect("a plan");
    let more = as_user("capabilities = [\"net_bind_service\"]");
    fs::write(file, format!("{toml}\n{more}")).expect("written");
    host.load(&host.install_plan(&plan));
    let service = host.service("backoff").to_string();
    assert!(
        service.contains("asks for net_bind_service, which this supervisor does not have itself"),
        "{service}"
    );
}
