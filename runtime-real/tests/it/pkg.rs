//! `annulus pkg` as a user runs it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Supervisor, annulus, eventually, finish, plan, run_as_this_user, text};

/// A root without a supervisor.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        finish(annulus().arg("--root").arg(self.dir.path().join("root")).args(args))
    }

    /// Writes a plan and builds its package into the artifact cache.
    fn build(&self, name: &str, rest: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = plan(self.dir.path(), name, "exec sleep 1000");
        let toml = fs::read_to_string(dir.join("plan.toml")).expect("written");
        fs::write(dir.join("plan.toml"), toml.replace("\n[exports]", &format!("{rest}\n[exports]")))
            .expect("written");
        for (file, text) in files {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(&path, text).expect("written");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, mode).expect("made executable");
        }
        run_as_this_user(&dir);
        let (code, stdout, stderr) = self.run(&["pkg", "build", text(&dir)]);
        assert_eq!(code, 0, "{stderr}");
        let path = stdout.lines().find_map(|line| line.split_once(" is built: ")).expect("it says where").1;
        PathBuf::from(path)
    }
}

#[test]
fn a_package_and_what_it_needs_from_the_build_to_the_removal() {
    let bench = Bench::new();
    let tool = "#!/bin/sh\necho \"$0 $*\"\n";
    let lib = bench.build("lib", "files = [\"bin\"]\n", &[("bin/lib-tool", tool)]);
    assert_eq!(bench.run(&["pkg", "install", text(&lib)]).0, 0);
    let more = "files = [\"bin\"]\ndeps = [\"test/lib\"]\nbinds = { db = [\"port\"] }\nbinds_optional = { cache = [] }\n";
    let shop = bench.build("shop", more, &[("bin/shop-tool", tool)]);
    assert_eq!(bench.run(&["pkg", "uninstall", "test/lib"]).0, 0);

    // Both are in the artifact cache, so the ident is enough, and the needed package is installed as well.
    let (code, stdout, stderr) = bench.run(&["pkg", "install", "test/shop"]);
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("test/lib/") && lines[1].starts_with("test/shop/"),
        "{stdout}"
    );

    let listed = |args: &[&str]| bench.run(&[&["pkg", "list"], args].concat()).1.lines().count();
    assert_eq!(
        (listed(&[]), listed(&["-a"]), listed(&["-o", "test"]), listed(&["-o", "acme"])),
        (2, 2, 2, 0)
    );
    assert_eq!(listed(&["test/shop"]), 1);
    let (_, path, _) = bench.run(&["pkg", "path", "test/shop"]);
    assert!(Path::new(path.trim()).join("IDENT").is_file());
    assert_eq!(
        bench.run(&["pkg", "binds", "test/shop"]).1,
        "db  needed, reads port\ncache  optional, reads nothing\n"
    );
    for package in [text(&shop), "test/shop"] {
        let info: Value = serde_json::from_str(&bench.run(&["pkg", "info", "-j", package]).1).expect("JSON");
        assert_eq!((&info["name"], &info["metafiles"]["binds"]), (&"shop".into(), &"db=port".into()));
    }
    let needs = |args: &[&str]| bench.run(&[&["pkg", "dependencies"], args].concat()).1;
    assert!(needs(&["test/shop"]).starts_with("test/lib/1.0.0/"));
    assert!(needs(&["-r", "test/lib"]).starts_with("test/shop/1.0.0/"));
    assert_eq!(needs(&["test/lib"]), "");

    for program in ["shop-tool", "lib-tool"] {
        let (code, stdout, stderr) = bench.run(&["pkg", "exec", "test/shop", program, "--flag", "a b"]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.ends_with(&format!("{program} --flag a b\n")), "{stdout}");
    }
    assert_eq!(bench.run(&["pkg", "exec", "test/shop", "sh", "-c", "exit 7"]).0, 7, "as the program ends");
    let (code, _, stderr) = bench.run(&["pkg", "exec", "test/shop", "no-such-tool"]);
    assert!(code == 1 && stderr.contains("no-such-tool") && stderr.contains("pkg env"), "{code} {stderr}");
    let (_, env, _) = bench.run(&["pkg", "env", "test/shop"]);
    assert!(env.starts_with("export PATH='") && env.contains("/test/lib/1.0.0/"), "{env}");

    let (code, _, stderr) = bench.run(&["pkg", "uninstall", "test/lib"]);
    assert!(code == 1 && stderr.contains("because test/shop/1.0.0/"), "{code} {stderr}");
    let (code, stdout, _) = bench.run(&["pkg", "uninstall", "--dry-run", "test/shop"]);
    assert!(code == 0 && stdout.contains("would be removed"), "{stdout}");
    for ident in ["test/shop", "test/lib"] {
        assert_eq!(bench.run(&["pkg", "uninstall", ident]).0, 0, "{ident}");
    }
    let (code, _, stderr) = bench.run(&["pkg", "uninstall", "test/lib"]);
    assert!(code == 2 && stderr.contains("no package test/lib is installed"), "{code} {stderr}");
}

#[test]
fn exit_codes_of_hooks_are_passed_on() {
    let bench = Bench::new();
    let bad = "#!/bin/sh\necho no database >&2\nexit 42\n";
    let built =
        bench.build("shop", "", &[("hooks/install", bad), ("hooks/uninstall", "#!/bin/sh\nexit 97\n")]);
    let (code, stdout, stderr) = bench.run(&["pkg", "install", text(&built)]);
    assert_eq!(code, 42);
    assert!(stdout.contains("shop: no database"), "{stdout}");
    assert!(stderr.contains("install hook of test/shop/1.0.0/") && stderr.contains("42"), "{stderr}");
    assert_eq!(bench.run(&["pkg", "install", "--ignore-install-hook", text(&built)]).0, 0);
    assert_eq!(bench.run(&["pkg", "uninstall", "test/shop"]).0, 97);
    assert_eq!(bench.run(&["pkg", "list"]).1.lines().count(), 1, "it is still there");
    assert_eq!(bench.run(&["pkg", "uninstall", "--ignore-uninstall-hook", "test/shop"]).0, 0);
    assert_eq!(bench.run(&["pkg", "list"]).1, "");
}

#[test]
fn nothing_of_an_install_hook_outlives_its_command() {
    let bench = Bench::new();
    let hook = "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM INT HUP; echo $$ >> {dir}/pids; exec sleep 1000' &\n\
                while [ ! -s {dir}/pids ]; do sleep 0.01; done\necho begun > {dir}/begun\nwait\n";
    let dir = bench.dir.path().to_owned();
    let built = bench.build("shop", "", &[("hooks/install", &hook.replace("{dir}", text(&dir)))]);
    let begin = || {
        let mut command = annulus();
        command.arg("--root").arg(dir.join("root")).args(["pkg", "install", text(&built)]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().expect("it runs")
    };
    let alive = || -> Vec<String> {
        let pids = fs::read_to_string(dir.join("pids")).unwrap_or_default();
        pids.lines().filter(|pid| Path::new("/proc").join(pid).exists()).map(str::to_owned).collect()
    };
    for signal in [nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGKILL] {
        let mut first = begin();
        eventually("its hook runs", || dir.join("begun").exists().then_some(()));
        assert_eq!(alive().len(), 1);
        nix::sys::signal::kill(crate::host::number(first.id()), signal).expect("signalled");
        first.wait().expect("ended");
        eventually("all of it is gone", || alive().is_empty().then_some(()));
        fs::remove_file(dir.join("begun")).expect("its mark");
        fs::remove_file(dir.join("pids")).expect("its notes");
    }
}

/// An installation whose hook runs: the command, its keeper, and the processes of the hook, which are three generations, each
/// in a session of its own. The hook ends at once while a file `quick` is there.
fn hooked(bench: &Bench) -> (std::process::Child, u32, Vec<u32>, std::path::PathBuf) {
    let dir = bench.dir.path().to_owned();
    let hook = format!(
        "#!/bin/sh\n[ -e {0}/quick ] && exit 0\n\
         setsid sh -c 'trap \"\" TERM INT HUP; setsid sh -c \"echo \\$\\$ > {0}/begun; exec sleep 1000\" & \
         echo $$ >> {0}/pids; echo $! >> {0}/pids; wait' &\nwait\n",
        text(&dir)
    );
    let built = bench.build("shop", "", &[("hooks/install", &hook)]);
    let mut command = annulus();
    command.arg("--root").arg(dir.join("root")).args(["pkg", "install", text(&built)]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let first = command.spawn().expect("it runs");
    let pids = eventually("its hook runs", || {
        let last = crate::host::number_in(&dir.join("begun"))?;
        let pids = fs::read_to_string(dir.join("pids")).ok()?;
        let pids: Vec<u32> = pids.lines().filter_map(|pid| pid.parse().ok()).collect();
        (pids.len() == 2 && pids.contains(&last)).then_some(pids)
    });
    let threads = Path::new("/proc").join(first.id().to_string()).join("task");
    let threads = fs::read_dir(threads).expect("its threads").map(|thread| thread.expect("an entry").path());
    let lists = threads.map(|thread| fs::read_to_string(thread.join("children")).unwrap_or_default());
    let keeper: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect::<Vec<_>>())
        .collect();
    assert_eq!(keeper.len(), 1, "{keeper:?}");
    (first, keeper[0], pids, built)
}

fn kill(pid: u32) {
    nix::sys::signal::kill(crate::host::number(pid), nix::sys::signal::Signal::SIGKILL).expect("signalled");
}

#[test]
fn what_the_killed_keeper_of_an_install_hook_leaves_ends_before_the_package_is_let_go() {
    let bench = Bench::new();
    let (first, keeper, pids, _) = hooked(&bench);
    kill(keeper);
    let output = first.wait_with_output().expect("ended");
    let left: Vec<&u32> = pids.iter().filter(|pid| crate::host::lives(**pid)).collect();
    assert!(left.is_empty(), "{left:?} outlive the hook");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(137), "{stderr}");
    assert!(stderr.contains("its keeper was killed by signal 9"), "{stderr}");
}

#[test]
fn what_a_hook_leaves_whose_keeper_and_command_are_killed_at_once_ends_with_the_next_one() {
    let bench = Bench::new();
    let (mut first, keeper, pids, built) = hooked(&bench);
    // The command would end what it inherits, and the keeper what it keeps, if one of the two saw the other's end.
    let command = crate::host::number(first.id());
    nix::sys::signal::kill(command, nix::sys::signal::Signal::SIGSTOP).expect("stopped");
    nix::sys::signal::kill(crate::host::number(keeper), nix::sys::signal::Signal::SIGSTOP).expect("stopped");
    kill(keeper);
    kill(first.id());
    first.wait().expect("ended");
    assert!(pids.iter().any(|pid| crate::host::lives(*pid)), "this test wants something that is left");
    fs::write(bench.dir.path().join("quick"), "").expect("written");
    let root = bench.dir.path().join("root");
    let (code, stdout, stderr) =
        finish(annulus().arg("--root").arg(root).args(["pkg", "install", text(&built)]));
    assert_eq!(code, 0, "{stderr}");
    assert!(format!("{stdout}{stderr}").contains("whose keeper was killed"), "{stdout}{stderr}");
    let left: Vec<&u32> = pids.iter().filter(|pid| crate::host::lives(**pid)).collect();
    assert!(left.is_empty(), "{left:?} outlive the next hook");
}

#[test]
fn a_service_does_not_start_before_its_install_hook_succeeds_and_keeps_its_package() {
    let supervisor = Supervisor::start(&[]);
    let dir = plan(&supervisor.root().join("plans"), "shop", "exec sleep 1000");
    let hook = "#!/bin/sh\n[ -e ready ] || { echo not ready; exit 9; }\necho once >> runs\n";
    fs::write(dir.join("hooks/install"), hook).expect("written");
    let out = supervisor.root().join("built");
    run_as_this_user(&dir);
    let (code, _, stderr) = supervisor.run(&["pkg", "build", text(&dir), "--output", text(&out)]);
    assert_eq!(code, 0, "{stderr}");
    let mut files = fs::read_dir(&out).expect("built").map(|entry| entry.expect("an entry").path());
    let file = files.find(|path| path.extension().is_some_and(|e| e == "hart")).expect("a package file");
    let (code, _, stderr) = supervisor.run(&["pkg", "install", "--ignore-install-hook", text(&file)]);
    assert_eq!(code, 0, "{stderr}");

    assert_eq!(supervisor.run(&["svc", "load", "test/shop"]).0, 0);
    let status = || -> Value {
        let list: Value =
            serde_json::from_str(&supervisor.run(&["svc", "status", "--json"]).1).expect("JSON");
        list[0].clone()
    };
    let error = eventually("the start fails", || {
        status()["last_error"].as_str().filter(|error| error.contains("install hook")).map(str::to_owned)
    });
    assert!(error.contains("exit code 9"), "{error}");
    let svc = supervisor.root().join("svc/shop");
    fs::write(svc.join("ready"), "").expect("written");
    eventually("it runs", || (status()["state"] == "up").then_some(()));
    assert_eq!(fs::read_to_string(svc.join("runs")).expect("written by the hook"), "once\n");

    let (code, _, stderr) = supervisor.run(&["pkg", "uninstall", "test/shop"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("service shop of supervisor default") && stderr.contains("svc unload"),
        "{stderr}"
    );
    assert_eq!(supervisor.run(&["svc", "unload", "test/shop"]).0, 0);
    eventually("nothing is loaded any more", || {
        (supervisor.run(&["pkg", "uninstall", "test/shop"]).0 == 0).then_some(())
    });
}
