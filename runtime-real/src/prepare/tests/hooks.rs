//! Install and uninstall hooks of a package.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annulus_core::{PackageIdent, SysInfo};

use crate::package::tests::{Bench, PLAN, write};
use crate::package::{newest, uninstall};
use crate::prepare::*;

fn ident(text: &str) -> PackageIdent {
    text.parse().expect("an ident")
}

/// Runs with hooks and returns what they printed.
fn with_hooks<T>(
    bench: &Bench,
    timeout: Duration,
    work: impl FnOnce(&mut HookRun<'_>) -> T,
) -> (T, Vec<String>) {
    overseen(bench, timeout, &Patient, work)
}

fn overseen<T>(
    bench: &Bench,
    timeout: Duration,
    overseer: &dyn Overseer,
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
    let result = work(&mut HookRun {
        root: &bench.root,
        sys: &sys,
        allowed: &super::ALLOWED,
        timeout,
        overseer,
        say: &mut say,
    });
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
    // In a session of its own, where no signal to the hook's process group reaches it, and deaf to polite ones.
    let child = "setsid sh -c 'trap \"\" TERM INT HUP; echo $$ > child.new; mv child.new child; while :; do sleep 1; done' &";
    let hook = format!("#!/bin/sh\n{child}\nwhile [ ! -e child ]; do sleep 0.01; done\necho waiting\nwait\n");
    let built = bench.build(&[("plan.toml", PLAN), ("hooks/install", &hook)]);
    bench.install(&built.path).expect("installed");
    let package = newest(&bench.root, &ident("acme/shop")).expect("installed");
    let (result, said) =
        with_hooks(&bench, Duration::from_millis(900), |run| run_install_hooks(run, &package));
    let error = result.expect_err("too long");
    assert!(matches!(&error, Error::Hook { code: 1, .. }), "{error}");
    assert!(error.to_string().contains("longer than"), "{error}");
    assert_eq!(said, ["shop: waiting"]);
    let child = fs::read_to_string(bench.root.path().join("svc/shop/child")).expect("its pid");
    assert!(!Path::new("/proc").join(child.trim()).exists(), "{child} was left behind");
}

#[test]
fn an_order_ends_a_hook_and_keeps_one_from_beginning() {
    /// Ends the hook once it has said something.
    #[derive(Default)]
    struct Hasty {
        log: Mutex<Vec<&'static str>>,
        said: AtomicBool,
    }
    impl Overseer for Hasty {
        fn is_ended(&self) -> bool {
            self.said.load(Ordering::SeqCst)
        }
        fn begins(&self, _: Duration) {
            self.log.lock().expect("whole").push("begins");
        }
        fn ends(&self) {
            self.log.lock().expect("whole").push("ends");
        }
    }
    let bench = Bench::new();
    let hook = "#!/bin/sh\necho waiting\nexec sleep 1000\n";
    let built = bench.build(&[("plan.toml", PLAN), ("hooks/install", hook)]);
    bench.install(&built.path).expect("installed");
    let package = newest(&bench.root, &ident("acme/shop")).expect("installed");
    let hasty = Hasty::default();
    let ended = |work: &dyn Fn(&mut HookRun<'_>) -> Result<(), Error>| {
        overseen(&bench, SOON, &hasty, |run| {
            let say = &mut *run.say;
            let mut say = |ident: &PackageIdent, line: &str| {
                hasty.said.store(true, Ordering::SeqCst);
                say(ident, line);
            };
            work(&mut HookRun { say: &mut say, ..*run })
        })
    };
    let (result, said) = ended(&|run| run_install_hooks(run, &package));
    let error = result.expect_err("ended").to_string();
    assert!(error.contains("an order ended it"), "{error}");
    assert_eq!(
        (said.as_slice(), hasty.log.lock().expect("whole").as_slice()),
        (["shop: waiting".to_owned()].as_slice(), ["begins", "ends"].as_slice())
    );
    assert!(install_hooks_are_due(&bench.root, &package).expect("readable"), "the next start runs it again");
    let (result, said) = ended(&|run| run_install_hooks(run, &package));
    assert!(result.is_err() && said.is_empty(), "the order still holds");
}

#[test]
fn the_last_build_says_goodbye() {
    let bench = Bench::new();
    let hook = "#!/bin/sh\necho bye; exit $(cat code)\n";
    let lib = plan("lib", "");
    let files = [("plan.toml", lib.as_str()), ("hooks/uninstall", hook)];
    let [first, last] = [0, 1].map(|_| {
        let built = bench.build(&files);
        bench.install(&built.path).expect("installed");
        newest(&bench.root, &built.ident).expect("installed")
    });
    let goodbye = |package| with_hooks(&bench, SOON, |run| run_uninstall_hook(run, package));
    write(&bench.root.path().join("svc/lib/code"), "3");
    let (result, said) = goodbye(&first);
    result.expect("not the last build: the hook, which would fail, is not run");
    assert_eq!(said, [""; 0]);
    uninstall(&bench.root, &first).expect("removed");
    let (result, said) = goodbye(&last);
    assert!(matches!(result, Err(Error::Hook { hook: "uninstall", code: 3, .. })), "{result:?}");
    assert_eq!((said.first().map(String::as_str), last.path().exists()), (Some("lib: bye"), true));
    write(&bench.root.path().join("svc/lib/code"), "0");
    goodbye(&last).0.expect("it succeeds now");
}
