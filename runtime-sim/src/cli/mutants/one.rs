//! Seeds and scenarios with one mutant, in this process.

use std::path::PathBuf;

use annulus_core::switch_on;

use super::{Args, Found, mutant};
use crate::cli::check::collect;
use crate::cli::emit;
use crate::engine::record::Recording;
use crate::exit::Exit;
use crate::report::guard;
use crate::report::outcome::{exit_of, failure};
use crate::scenario::{Plan, run as scenario_run};
use crate::sweep::{self, Drawn};

/// Runs a mutant, or the original where the name is empty, and prints what was found.
pub(super) fn run(args: &Args, name: &str) -> Exit {
    if let Ok(mutant) = mutant(name) {
        switch_on(mutant);
    }
    match find(args) {
        Ok(found) => {
            emit(&serde_json::to_string(&found).expect("strings and numbers"));
            Exit::Pass
        }
        Err(error) => {
            eprintln!("annulus-sim: {error}");
            Exit::Usage
        }
    }
}

/// The scenarios: their files and plans.
pub(super) fn plans(args: &Args) -> Result<Vec<(PathBuf, Plan)>, String> {
    let mut files = Vec::new();
    collect(&args.scenarios, &mut files)
        .map_err(|error| format!("{}: cannot be read: {error}", args.scenarios.display()))?;
    let load = |file: PathBuf| match Plan::load(&file) {
        Ok(plan) => Ok((file, plan)),
        Err(_) => Err(format!("{}: cannot be understood", file.display())),
    };
    files.into_iter().map(load).collect()
}

fn find(args: &Args) -> Result<Found, String> {
    let plans = plans(args)?;
    let mut found = Found::default();
    for seed in args.seeds.clone() {
        let outcome =
            guard::catching(|| sweep::run(&Drawn::of(seed, &[]), Recording::Events, &mut |_, _| {}));
        let failed = match outcome {
            Ok(outcome) => {
                found.add(outcome.hash);
                outcome.result.err().map(|failure| failure.why)
            }
            Err(panic) => Some(panic),
        };
        if let Some(why) = failed {
            return Ok(Found::killed(format!("seed {seed}"), &why));
        }
    }
    for (file, plan) in plans {
        let failed = match guard::catching(|| scenario_run::run(&plan, plan.seed, &mut ())) {
            Ok(report) => {
                found.add(report.hash);
                (exit_of(&report) != Exit::Pass).then(|| failure(&plan, &report))
            }
            Err(panic) => Some(panic),
        };
        if let Some(why) = failed {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            return Ok(Found::killed(format!("scenario {stem}"), &why));
        }
    }
    Ok(found)
}
