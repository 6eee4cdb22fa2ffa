//! Install and uninstall hooks, what packages need, and who may go.

use std::time::Duration;

use annulus_core::{PackageIdent, SysInfo};

use super::*;
use crate::template::Sys;

fn ident(text: &str) -> PackageIdent {
    text.parse().expect("an ident")
}

/// Runs with hooks and returns what they printed.
fn with_hooks<T>(
    bench: &Bench,
    timeout: Duration,
    work: impl FnOnce(&mut HookRun<'_>) -> T,
) -> (T, Vec<String>) {
    let info = SysInfo {
        ip: String::new(),
        hostname: "here".to_owned(),
        gossip_ip: String::new(),
        gossip_port: 0,
        http_gateway_ip: String::new(),
        http_gateway_port: 0,
        ctl_gateway_ip: String::new(),
        ctl_gateway_port: 0,
    };
    let sys = Sys { member_id: String::new(), info, permanent: false };
    let mut said = Vec::new();
    let mut say = |ident: &PackageIdent, line: &str| said.push(format!("{}: {line}", ident.name()));
    let result = work(&mut HookRun { root: &bench.root, sys: &sys, timeout, say: &mut say });
    (result, said)
}

const SOON: Duration = Duration::from_secs(30);

fn install_hooks(bench: &Bench, wanted: &str) -> (Result<(), Error>, Vec<String>) {
    let package = newest(&bench.root, &ident(wanted)).expect("installed");
    with_hooks(bench, SOON, |run| run_install_hooks(run, &package))
}

fn plan(name: &str, rest: &str) -> String {
    PLAN.replace("shop", name) + rest
}

#[test]
fn install_hooks_run_once_and_what_is_needed_comes_first() {
    let bench = Bench::new();
    let lib = bench.build(&[
        ("plan.toml", &plan("lib", "")),
        ("default.toml", "word = \"hello\"\n"),
        ("config_install/note", "{{cfg.word}} from {{sys.hostname}}"),
        ("hooks/install", "#!/bin/sh\ncat config_install/note; echo; echo oops >&2\n"),
    ]);
    bench.install(&lib.path).expect("installed");
    let shop = plan("shop", "deps = [\"acme/lib\"]\nfiles = [\"bin\"]\n");
    let hook = "#!/bin/sh\necho $PATH; exit $(cat {{pkg.svc_path}}/code)\n";
    let shop = bench.build(&[("plan.toml", &shop), ("hooks/install", hook), ("bin/x", "")]);
    let done = bench.install(&shop.path).expect("installed");
    write(&bench.root.path().join("svc/shop/code"), "42");

    let (result, said) = install_hooks(&bench, "acme/shop");
    let error = result.expect_err("it failed");
    assert!(matches!(&error, Error::Hook { code: 42, hook: "install", .. }), "{error}");
    assert!(error.to_string().contains("acme/shop/1.2.0") && error.to_string().contains("42"), "{error}");
    assert_eq!(said[..2], ["lib: hello from here", "lib: oops"]);
    assert!(said[2].starts_with(&format!("shop: {}/bin", done.path.display())), "{said:?}");
    assert_eq!(fs::read_to_string(done.path.join("INSTALL_HOOK_STATUS")).expect("written"), "42");
    let package = newest(&bench.root, &ident("acme/shop")).expect("installed");
    assert!(install_hooks_are_due(&bench.root, &package).expect("readable"));

    write(&bench.root.path().join("svc/shop/code"), "0");
    let (result, said) = install_hooks(&bench, "acme/shop");
    result.expect("it succeeds now");
    assert_eq!(said.len(), 1, "that of lib is not run again: {said:?}");
    assert_eq!(fs::read_to_string(done.path.join("INSTALL_HOOK_STATUS")).expect("written"), "0");
    assert!(!install_hooks_are_due(&bench.root, &package).expect("readable"));
    assert_eq!(install_hooks(&bench, "acme/shop").1, [""; 0], "nothing to do");
}

#[test]
fn a_hook_that_hangs_is_ended_with_all_that_it_started() {
    let bench = Bench::new();
    let hook = "#!/bin/sh\nsleep 1000 &\necho $! > child\necho waiting\nwait\n";
    let built = bench.build(&[("plan.toml", PLAN), ("hooks/install", hook)]);
    bench.install(&built.path).expect("installed");
    let package = newest(&bench.root, &ident("acme/shop")).expect("installed");
    let (result, said) =
        with_hooks(&bench, Duration::from_millis(500), |run| run_install_hooks(run, &package));
    let error = result.expect_err("too long");
    assert!(matches!(&error, Error::Hook { code: 137, .. }), "{error}");
    assert!(error.to_string().contains("longer than"), "{error}");
    assert_eq!(said, ["shop: waiting"]);
    let child = fs::read_to_string(bench.root.path().join("svc/shop/child")).expect("its pid");
    let gone = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        stat.map_or(true, |stat| stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
    });
    assert!(gone, "{child} was left behind");
}

#[test]
fn what_is_needed_comes_from_the_artifact_cache() {
    let maker = Bench::new();
    let base = maker.build(&[("plan.toml", &plan("base", ""))]);
    maker.install(&base.path).expect("installed");
    let lib = maker.build(&[("plan.toml", &plan("lib", "deps = [\"acme/base\"]\n"))]);
    maker.install(&lib.path).expect("installed");
    let shop = maker.build(&[("plan.toml", &plan("shop", "deps = [\"acme/lib\"]\n"))]);
    // A package whose file's name could be that of a version of acme/lib.
    let other = maker.build(&[("plan.toml", &plan("lib-extra", ""))]);

    let user = Bench::new();
    fs::create_dir_all(user.root.artifacts()).expect("made");
    fs::rename(maker.root.keys(), user.root.keys()).expect("moved");
    let limits = Limits::default();
    let from_file = Source::File(shop.path.clone());
    let error =
        crate::package::install(&user.root, &from_file, limits).expect_err("lib is nowhere").to_string();
    assert!(error.contains("acme/shop") && error.contains("needs acme/"), "{error}");
    assert!(error.contains("pkg install") && error.contains("cache/artifacts"), "{error}");
    assert!(list(&user.root).expect("readable").is_empty(), "nothing was installed");

    for built in [&base, &lib, &other] {
        let name = built.path.file_name().expect("a name");
        fs::copy(&built.path, user.root.artifacts().join(name)).expect("copied");
    }
    let done = crate::package::install(&user.root, &from_file, limits).expect("installed");
    let names: Vec<&str> = done.iter().map(|outcome| outcome.ident.name()).collect();
    assert_eq!(names, ["base", "lib", "shop"], "what is needed comes first");
    let done = crate::package::install(&user.root, &Source::Ident(ident("acme/lib-extra")), limits);
    assert_eq!(done.expect("installed from the cache")[0].ident, other.ident);
    let done = crate::package::install(&user.root, &Source::Ident(ident("acme/lib")), limits).expect("there");
    assert!(done[0].already && done[0].ident == lib.ident);
    let error = crate::package::install(&user.root, &Source::Ident(ident("acme/nowhere")), limits)
        .expect_err("nowhere")
        .to_string();
    assert!(error.contains("acme/nowhere") && error.contains("cache/artifacts"), "{error}");

    let shop = newest(&user.root, &ident("acme/shop")).expect("installed");
    let order: Vec<String> =
        with_needs(&user.root, &shop).expect("whole").iter().map(|p| p.ident().name().to_owned()).collect();
    assert_eq!(order, ["base", "lib", "shop"]);
    assert_eq!(needs(&shop, false).expect("readable").len(), 1);
    assert_eq!(needs(&shop, true).expect("readable").len(), 2);
}

#[test]
fn what_is_needed_stays_and_the_last_build_says_goodbye() {
    let bench = Bench::new();
    let hook = "#!/bin/sh\necho bye; exit $(cat code)\n";
    let files = [("plan.toml", plan("lib", "")), ("hooks/uninstall", hook.to_owned())];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let old = bench.build(&files);
    bench.install(&old.path).expect("installed");
    let new = bench.build(&files);
    bench.install(&new.path).expect("installed");
    let shop = bench.build(&[("plan.toml", &plan("shop", "deps = [\"acme/lib\"]\n"))]);
    bench.install(&shop.path).expect("installed");

    let [lib, first] = [&new.ident, &old.ident].map(|ident| newest(&bench.root, ident).expect("installed"));
    let error = check_unused(&bench.root, &lib, &[]).expect_err("shop needs it").to_string();
    assert!(error.contains(&shop.ident.to_string()) && error.contains("uninstall that first"), "{error}");
    check_unused(&bench.root, &first, &[]).expect("shop was built with the other");
    let by = needed_by(&bench.root, &new.ident, false).expect("readable");
    assert_eq!(by.iter().collect::<Vec<_>>(), [&shop.ident]);

    let used = InUse {
        service: "shop".parse().expect("a name"),
        supervisor: "default".to_owned(),
        ident: ident("acme/shop"),
    };
    let package = newest(&bench.root, &shop.ident).expect("installed");
    let error = check_unused(&bench.root, &package, &[used]).expect_err("loaded").to_string();
    assert!(error.contains("service shop of supervisor default") && error.contains("svc unload"), "{error}");

    // Not the last build: the hook, which would fail, is not run.
    let (result, said) = with_hooks(&bench, SOON, |run| uninstall(&bench.root, &first, Some(run)));
    result.expect("removed");
    assert!(said.is_empty() && !first.path().exists());
    uninstall(&bench.root, &package, None).expect("removed");
    write(&bench.root.path().join("svc/lib/code"), "3");
    let (result, said) = with_hooks(&bench, SOON, |run| uninstall(&bench.root, &lib, Some(run)));
    assert!(matches!(result, Err(Error::Hook { hook: "uninstall", code: 3, .. })), "{result:?}");
    assert_eq!((said.first().map(String::as_str), lib.path().exists()), (Some("lib: bye"), true));
    write(&bench.root.path().join("svc/lib/code"), "0");
    with_hooks(&bench, SOON, |run| uninstall(&bench.root, &lib, Some(run))).0.expect("removed");
    assert!(bench.is_empty(), "the folders of the origin are gone as well");
}

#[test]
fn all_but_the_latest_go() {
    let bench = Bench::new();
    for version in ["1.9.0", "1.10.0", "1.10.0-rc1"] {
        bench
            .install(&bench.build(&[("plan.toml", &PLAN.replace("1.2.0", version))]).path)
            .expect("installed");
    }
    let versions = |wanted: &str, keep| -> Vec<String> {
        let found = uninstall_candidates(&bench.root, &ident(wanted), keep).expect("readable");
        found.iter().map(|package| package.ident().version().expect("a version").to_owned()).collect()
    };
    assert_eq!(versions("acme/shop", None), ["1.10.0"], "the newest");
    assert_eq!(versions("acme/shop", Some(1)), ["1.9.0", "1.10.0-rc1"]);
    assert_eq!(versions("acme/shop", Some(3)), [""; 0]);
    assert_eq!(versions("acme/shop/1.9.0", Some(0)), ["1.9.0"]);
    assert!(matches!(
        uninstall_candidates(&bench.root, &ident("acme/other"), Some(1)),
        Err(Error::NotInstalled { .. })
    ));
}
