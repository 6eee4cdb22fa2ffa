//! What users get wrong: each has a message that names the thing, and an exit code.

use std::net::TcpListener;

use crate::support::{annulus, finish};

#[test]
fn a_port_in_use_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    for option in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
        let root = tempfile::tempdir().expect("a directory");
        let mut command = annulus();
        command.arg("--root").arg(root.path()).args(["sup", "run"]);
        for other in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
            command.args([other, if other == option { addr.as_str() } else { "127.0.0.1:0" }]);
        }
        let (code, _, stderr) = finish(&mut command);
        assert_eq!(code, 6, "{option}: {stderr}");
        assert!(stderr.contains(&addr) && stderr.contains(option), "{stderr}");
    }
}

#[test]
fn malformed_arguments_are_usage_errors() {
    for args in [
        &["svc", "load", "redis"][..],
        &["svc", "load", "core/redis", "--topology", "ring"],
        &["svc", "load", "core/redis", "--bind", "db"],
        &["svc", "load", "core/redis", "--health-check-interval", "0"],
        &["svc", "status", "../../etc"],
        &["sup", "depart", "xyz"],
        &["--override-name", "a/b", "svc", "status"],
        &["demo", "--for", "3 fortnights"],
        &["sup", "run", "--listen-http", "nowhere"],
        &["dance"],
    ] {
        let root = tempfile::tempdir().expect("a directory");
        let (code, stdout, stderr) = finish(annulus().arg("--root").arg(root.path()).args(args));
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stdout.is_empty() && !stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_package_file_that_is_none_is_named() {
    let root = tempfile::tempdir().expect("a directory");
    let file = root.path().join("rubbish.hart");
    std::fs::write(&file, "rubbish").expect("written");
    for args in [["svc", "load"], ["pkg", "install"]] {
        let (code, _, stderr) = finish(annulus().arg("--root").arg(root.path()).args(args).arg(&file));
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("rubbish.hart"), "{stderr}");
    }
}

#[test]
fn help_and_version_need_no_root() {
    for args in [&["--help"][..], &["--version"], &["svc", "load", "--help"], &["sup", "run", "--help"]] {
        let (code, stdout, _) = finish(annulus().env_remove("HOME").args(args));
        assert_eq!(code, 0, "{args:?}");
        assert!(!stdout.is_empty());
    }
}
