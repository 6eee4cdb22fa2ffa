//! The user and the limits of a service's process.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{Group, User};

use crate::host::Host;
use crate::support::{eventually, plan, text};

const SAY: &str = "{ id -un; id -gn; id -G; umask; ulimit -n; echo $HOME $USER $LOGNAME; env; } > data/said.new\n\
                   mv data/said.new data/said\nexec sleep 1000";

fn add(plan: &Path, more: &str) {
    let file = plan.join("plan.toml");
    let toml = fs::read_to_string(&file).expect("a plan");
    fs::write(file, format!("{toml}\n{more}")).expect("written");
}

#[test]
fn limits_that_the_host_does_not_give_are_one_line() {
    let host = Host::start(|_| {});
    for name in ["first", "second"] {
        let plan = plan(&host.root.path().join("plans"), name, "ulimit -n > nofile; exec sleep 1000");
        add(&plan, "[service]\nnofile = 123\n[service.limits]\nmemory = \"64M\"\ncpu = 0.5\npids = 10\n");
        host.load(&host.install_plan(&plan));
        let said = host.root.path().join("svc").join(name).join("nofile");
        let nofile =
            eventually("it says so", || fs::read_to_string(&said).ok().filter(|text| !text.is_empty()));
        assert_eq!(nofile.trim(), "123");
    }
    let told = host.log().matches("limits of memory, cpu and pids are not in force").count();
    // If the tests run in a delegated control group, the limits are set.
    assert!(told <= 1, "{}", host.log());
}

#[test]
#[ignore = "starts processes of another user: for root, and run by .ci/run"]
fn a_service_is_its_packages_user_in_everything() {
    let nobody = User::from_name("nobody").expect("users").expect("the user nobody");
    let group = Group::from_gid(nobody.gid).expect("groups").expect("with a group");
    let host = Host::start(|_| {});
    fs::set_permissions(host.root.path(), fs::Permissions::from_mode(0o755)).expect("set");
    let plan = plan(&host.root.path().join("plans"), "who", SAY);
    add(&plan, &format!("[service]\nuser = \"nobody\"\ngroup = {:?}\nnofile = 321\n", group.name));
    host.load(&host.install_plan(&plan));
    let svc = host.root.path().join("svc/who");
    let said = eventually("it says so", || fs::read_to_string(svc.join("data/said")).ok());
    let mut lines = said.lines();
    let mut next = || lines.next().expect("a line");
    assert_eq!([next(), next(), next()], ["nobody", &group.name, &nobody.gid.to_string()]);
    assert_eq!([next(), next()], ["0022", "321"]);
    assert_eq!(next(), format!("{} nobody nobody", text(&nobody.dir)));
    assert!(!said.contains("ANNULUS_LAUNCHER"), "{said}");
    for (name, owner) in
        [("config", "nobody"), ("data", "nobody"), ("var", "nobody"), ("hooks", "root"), ("logs", "root")]
    {
        let uid = fs::metadata(svc.join(name)).expect("a directory").uid();
        assert_eq!(uid == nobody.uid.as_raw(), owner == "nobody", "{name}");
    }
    // It may not become another user.
    let pid = host.pid_of_service();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    assert!(
        status.contains("CapEff:\t0000000000000000") && status.contains("SigBlk:\t0000000000000000"),
        "{status}"
    );
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).expect("a line");
    let ignored = u64::from_str_radix(ignored, 16).expect("a number");
    // The C library keeps two signals above the common ones to itself.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{status}");
}

#[test]
#[ignore = "starts processes of another user: for root, and run by .ci/run"]
fn a_user_that_does_not_exist_is_named() {
    let host = Host::start(|_| {});
    let plan = plan(&host.root.path().join("plans"), "who", "exec sleep 1000");
    add(&plan, "[service]\nuser = \"no-such-user\"\n");
    host.load(&host.install_plan(&plan));
    let service = host.service("backoff");
    assert!(service.to_string().contains("no-such-user does not exist"), "{service}");
}
