//! Every shipped scenario passes, and every run of it is the same run.

use std::fs;
use std::path::{Path, PathBuf};

use annulus_sim::scenario::Plan;
use annulus_sim::scenario::run::{Outcome, run};

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of scenarios") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "plans") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
}

fn plans() -> Vec<Plan> {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios"), &mut files);
    assert!(files.len() >= 20, "only {} scenarios are left", files.len());
    files.iter().map(|file| Plan::load(file).unwrap_or_else(|problems| panic!("{problems:?}"))).collect()
}

#[test]
fn all_pass_and_a_second_run_is_the_same() {
    let mut failed = Vec::new();
    for plan in plans() {
        let first = run(&plan, plan.seed, &mut ());
        let second = run(&plan, plan.seed, &mut ());
        assert_eq!(first.hash, second.hash, "{}: two runs of one seed differ", plan.file);
        assert_eq!(first.steps, second.steps, "{}: two runs of one seed differ", plan.file);
        if !matches!(first.outcome, Outcome::Pass) {
            failed.push(format!("{}: {:?}", plan.file, first.outcome));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn another_seed_is_another_run() {
    for plan in plans().iter().take(3) {
        assert_ne!(run(plan, 1, &mut ()).hash, run(plan, 2, &mut ()).hash, "{}", plan.file);
    }
}
