//! An install or uninstall that dies at any step leaves the package whole or absent, and may be repeated.
//!
//! The crash is real: this test program runs itself, and ends itself at the step with a given number.

use std::process::{Command, Stdio};

use super::*;
use crate::package::step;

const JOB: &str = "ANNULUS_TEST_CRASH";
/// More steps than an install or uninstall of the package below has.
const STEPS_MAX: u32 = 500;

/// What the program that crashes does: `install|uninstall STEP ROOT FILE`. Does nothing in a usual run.
#[test]
fn child() {
    let Ok(job) = std::env::var(JOB) else { return };
    let parts: Vec<&str> = job.split('\n').collect();
    let [what, at, root, file] = parts[..] else { panic!("{job:?}") };
    let root = Root::new(Path::new(root)).expect("absolute");
    step::abort_at(at.parse().expect("a number"));
    if what == "install" {
        install_file(&root, Path::new(file), Limits::default()).expect("installed");
    } else {
        let package = newest(&root, &"acme/shop".parse().expect("an ident")).expect("installed");
        uninstall(&root, &package).expect("uninstalled");
    }
    println!("steps: {}", step::count());
}

/// Runs the job until the step; false when the job ended before it.
fn crashes(what: &str, at: u32, bench: &Bench, file: &Path) -> bool {
    let job =
        [what, &at.to_string(), bench.root.path().to_str().expect("text"), file.to_str().expect("text")];
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "package::tests::crash::child", "--test-threads", "1", "--nocapture"])
        .env(JOB, job.join("\n"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("it runs");
    !status.success()
}

fn is_whole(done: &Path) -> bool {
    let read = |name: &str| fs::read_to_string(done.join(name)).unwrap_or_default();
    read("IDENT").starts_with("acme/shop/1.2.0/")
        && read("hooks/run") == "run"
        && read("share/page.html") == "<p>"
        && read("share/deep/er") == "x"
        && read("default.toml") == "port = 1\n"
}

const FILES: [(&str, &str); 6] = [
    ("plan.toml", ""),
    ("default.toml", "port = 1\n"),
    ("hooks/run", "run"),
    ("share/page.html", "<p>"),
    ("share/deep/er", "x"),
    ("config/a", "a"),
];

fn build_shop(bench: &Bench) -> Built {
    let plan = format!("{PLAN}files = [\"share\"]\n");
    let mut files = FILES;
    files[0].1 = &plan;
    bench.build(&files)
}

#[test]
fn an_install_that_dies_at_any_step_is_repeated() {
    let bench = Bench::new();
    let built = build_shop(&bench);
    let place = bench.root.package(&built.ident).expect("a full ident");
    let mut crashed = 0;
    for at in 1..STEPS_MAX {
        if !crashes("install", at, &bench, &built.path) {
            break;
        }
        crashed += 1;
        // Every other program sees no package or a complete one.
        let found = newest(&bench.root, &built.ident);
        assert!(found.is_err() || is_whole(&place), "step {at} left half a package");
        // The next try, by any process, succeeds and leaves nothing else behind.
        let done = bench.install(&built.path).unwrap_or_else(|e| panic!("after step {at}: {e}"));
        assert!(is_whole(&done.path), "after step {at}");
        let names: Vec<_> = fs::read_dir(bench.root.pkgs()).expect("a directory").flatten().collect();
        assert_eq!(names.len(), 1, "after step {at}: {names:?}");
        fs::remove_dir_all(bench.root.pkgs()).expect("removed");
    }
    assert!(crashed > 20, "only {crashed} steps");
}

#[test]
fn an_uninstall_that_dies_at_any_step_is_repeated() {
    let bench = Bench::new();
    let built = build_shop(&bench);
    let place = bench.root.package(&built.ident).expect("a full ident");
    let mut crashed = 0;
    for at in 1..STEPS_MAX {
        bench.install(&built.path).unwrap_or_else(|e| panic!("after step {}: {e}", at - 1));
        if !crashes("uninstall", at, &bench, &built.path) {
            break;
        }
        crashed += 1;
        let found = newest(&bench.root, &built.ident);
        assert_eq!(found.is_ok(), place.exists(), "step {at}");
        assert!(found.is_err() || is_whole(&place), "step {at} left half a package");
        if let Ok(package) = found {
            uninstall(&bench.root, &package).unwrap_or_else(|e| panic!("after step {at}: {e}"));
        }
    }
    assert!(crashed >= 4, "only {crashed} steps");
    assert!(bench.is_empty(), "nothing is left, in part or aside");
}
