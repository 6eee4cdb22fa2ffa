//! What users of the host may read of services, and as whom services run where their user is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::User;

use super::{SERVICE_USER, below, open_to_all, said_as_written, said_by, user};
use crate::host::Host;
use crate::support::{annulus, finish, plan, text};

/// A user of the host that has nothing to do with services.
const STRANGER: &str = "daemon";
const ALLOW_ROOT: &str = "ANNULUS_ALLOW_ROOT";

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", text(path))).permissions().mode()
        & 0o7777
}

#[test]
fn hooks_logs_and_specs_are_not_for_every_user() {
    let host = Host::start(|_| {});
    said_by(&host, "web", "echo a line >&2", "");
    let svc = host.root.path().join("svc/web");
    for name in ["hooks", "hooks/run", "run", "logs"] {
        assert_eq!(mode(&svc.join(name)), 0o750, "{name}");
    }
    let sup = host.root.path().join("sup/default");
    for (name, wanted) in
        [("specs", 0o750), ("specs/web.spec", 0o640), ("logs", 0o750), ("logs/sup.log", 0o640)]
    {
        assert_eq!(mode(&sup.join(name)), wanted, "{name}");
    }
    for name in ["config", "data", "files", "var"] {
        assert_eq!(mode(&svc.join(name)), 0o770, "{name}");
    }
    // Who may open a file may lock it, and keep out those who need the lock.
    let root = host.root.path();
    for name in ["sup/default/LOCK", "svc/.owners/web", "cache/locks/all", "cache/keys/.lock"] {
        assert_eq!(mode(&root.join(name)), 0o600, "{name}");
    }
}

#[test]
#[ignore = "starts processes of other users: for root, and run by .ci/run"]
fn a_stranger_reads_nothing_of_a_service_that_reads_its_own() {
    let host = Host::start(|_| {});
    open_to_all(host.root.path());
    let more = format!("[service]\nuser = {SERVICE_USER:?}\ngroup = \"nogroup\"\n");
    let read =
        "cat hooks/run >/dev/null && cat run >/dev/null && ls config hooks >/dev/null && echo all read";
    let said = said_by(&host, "web", read, &more);
    assert!(said.contains("all read"), "{said}");
    assert!(fs::write(host.root.path().join("svc/web/config/secret.conf"), "x").is_ok());
    let stranger = user(STRANGER);
    let (uid, gid) = (stranger.uid.to_string(), stranger.gid.to_string());
    let look = "for what in run hooks/run hooks logs logs/web.log config config/secret.conf data var/said; do \
                head -c 1 $what >/dev/null && echo read $what; ls $what/ >/dev/null && echo listed $what; done; true";
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups", "sh", "-c", look]);
    let output = command.current_dir(host.root.path().join("svc/web")).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
#[ignore = "a supervisor that is root: for root, and run by .ci/run"]
fn root_runs_no_service_as_root_unless_it_is_told_to() {
    let has_user = User::from_name("hab").expect("users").is_some();
    let host = Host::start(|command| {
        command.env_remove(ALLOW_ROOT);
    });
    open_to_all(host.root.path());
    let ident = host.install_as_written(&plan(&host.root.path().join("plans"), "web", "exec sleep 1000"));
    host.load(&ident);
    if has_user {
        assert_eq!(host.service("up")["user"], "hab");
    } else {
        let service = host.service("backoff").to_string();
        for part in ["no user hab", "groupadd --system hab", "useradd --system --gid hab", "--allow-root"] {
            assert!(service.contains(part), "{part}: {service}");
        }
    }
    // A plan that says so is believed.
    assert_eq!(host.run(&["svc", "unload", &ident]).0, 0);
    let said = said_by(&host, "root", "id -un", "[service]\nuser = \"root\"\n");
    assert_eq!(said.trim(), "root");
    drop(host);
    let host = Host::start(|command| {
        command.env_remove(ALLOW_ROOT).arg("--allow-root");
    });
    open_to_all(host.root.path());
    assert_eq!(said_as_written(&host, "web", "id -un", "").trim(), if has_user { "hab" } else { "root" });
}

#[test]
#[ignore = "a supervisor that is root: for root, and run by .ci/run"]
fn root_without_its_capabilities_runs_no_service_as_root_either() {
    let host = Host::start(|command| {
        command.env_remove(ALLOW_ROOT);
        below(command, "setpriv", &["--bounding-set=-setuid"]);
    });
    let plan = plan(&host.root.path().join("plans"), "web", "exec sleep 1000");
    host.load(&host.install_as_written(&plan));
    let service = host.service("backoff").to_string();
    assert!(service.contains("this supervisor is root and lacks") && service.contains("setuid"), "{service}");
}

#[test]
#[ignore = "mounts a file system: for root, and run by .ci/run"]
fn a_key_that_others_can_read_is_refused_where_its_mode_can_be_mended() {
    let root = tempfile::tempdir().expect("a directory");
    let run = |args: &[&str]| finish(annulus().arg("--root").arg(root.path()).args(args));
    let keys = root.path().join("cache/keys");
    let mount = |args: &[&str]| {
        assert!(Command::new("mount").args(args).arg(&keys).status().expect("mount runs").success());
    };
    fs::create_dir_all(&keys).expect("made");
    mount(&["-t", "tmpfs", "none"]);
    let _unmounted = Unmounted(keys.clone());
    assert_eq!(run(&["ring", "key", "generate", "blue"]).0, 0);
    let file = fs::read_dir(&keys).expect("keys").next().expect("one").expect("an entry").path();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
    let (code, key, stderr) = run(&["ring", "key", "export", "blue"]);
    assert!(code != 0 && key.is_empty() && stderr.contains("chmod 400"), "{code} {key} {stderr}");
    mount(&["-o", "remount,ro"]);
    let (code, key, stderr) = run(&["ring", "key", "export", "blue"]);
    assert!(code == 0 && key.starts_with("SYM-SEC-1"), "{code} {key} {stderr}");
    assert!(stderr.contains("chmod 400") && stderr.contains("where that file system lets you"), "{stderr}");
}

/// A file system that is unmounted when this is dropped.
struct Unmounted(PathBuf);

impl Drop for Unmounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
