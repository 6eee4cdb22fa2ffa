//! `annulus-sim run FILE --on BED`: performs the scenario with real daemons, and asks whether the simulator agrees.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{emit, run};
use crate::bed::perform::perform;
use crate::bed::{BedError, On};
use crate::exit::Exit;
use crate::report::{guard, outcome};
use crate::scenario::judge::Unmet;
use crate::scenario::run::Report;
use crate::scenario::scene::Holdings;
use crate::scenario::{Plan, run as scenario_run};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Where: simulated, or with real daemons.
    #[arg(long, value_enum, default_value_t = On::Simulator, value_name = "BED")]
    pub(super) on: On,
    /// With real daemons: how much later than the scenario says things may happen.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    tolerance: u32,
    /// Simulate the same scenario too; outcome and final views must be the same.
    #[arg(long)]
    compare: bool,
    /// Print the outcome and the final views as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Performs a plan with real daemons.
pub(super) fn run(file: &Path, plan: &Plan, seed: u64, options: &Options) -> Exit {
    let tolerance = Duration::from_secs(u64::from(options.tolerance));
    let report = match perform(plan, options.on, tolerance) {
        Ok(report) => report,
        Err(error) => return refused(&error),
    };
    let exit = if report.unmet.is_some() { Exit::Unmet } else { Exit::Pass };
    if options.json {
        emit(&outcome_json(file, options.on, exit, &report.unmet, &report.holdings));
    } else if exit == Exit::Pass {
        emit(&format!("pass: {} on {}, {} of real time", file.display(), options.on, report.ended));
    }
    if let Some(unmet) = &report.unmet {
        eprintln!("{}", sentence(plan, unmet, options));
    }
    compared(file, plan, seed, options, &report.holdings, exit)
}

/// Says why a scenario was not performed to its end.
pub(super) fn refused(error: &BedError) -> Exit {
    let exit = error.exit();
    if exit == Exit::Skipped {
        emit(&error.to_string());
    } else {
        eprintln!("{error}");
    }
    exit
}

fn sentence(plan: &Plan, unmet: &Unmet, options: &Options) -> String {
    let Unmet { line, text, missed, found, .. } = unmet;
    format!(
        "{}:{line}: on {} {missed}, {} s of tolerance included: {text}\n  found: {found}",
        plan.file, options.on, options.tolerance
    )
}

/// Outcome and final views, one line.
pub(super) fn outcome_json(
    file: &Path,
    on: On,
    exit: Exit,
    unmet: &Option<Unmet>,
    holdings: &Holdings,
) -> String {
    json!({
        "file": file.display().to_string(),
        "on": on.to_string(),
        "outcome": exit.word(),
        "unmet_line": unmet.as_ref().map(|unmet| unmet.line),
        "holdings": holdings,
    })
    .to_string()
}

/// The outcome of a bed, or that the simulator disagrees, where its opinion is asked for.
pub(super) fn compared(
    file: &Path,
    plan: &Plan,
    seed: u64,
    options: &Options,
    holdings: &Holdings,
    exit: Exit,
) -> Exit {
    if !options.compare {
        return exit;
    }
    let simulated: Report = match guard::catching(|| scenario_run::run(plan, seed, &mut ())) {
        Ok(report) => report,
        Err(panic) => {
            eprintln!("{}", guard::report(&panic, &run::repeat(file, seed)));
            return Exit::Bug;
        }
    };
    let expected = outcome::exit_of(&simulated);
    let mut differences = Vec::new();
    if expected != exit {
        differences.push(format!(
            "the simulator says {}, {} says {}",
            expected.word(),
            options.on,
            exit.word()
        ));
    }
    for (name, held) in &simulated.holdings {
        if holdings.get(name) != Some(held) {
            let found = holdings.get(name).map_or_else(|| "nothing".to_owned(), |held| format!("{held:?}"));
            differences.push(format!("{name} holds {held:?} when simulated, and {found} on {}", options.on));
        }
    }
    for name in holdings.keys().filter(|name| !simulated.holdings.contains_key(*name)) {
        differences.push(format!("{name} runs on {} at the end, and not when simulated", options.on));
    }
    if differences.is_empty() {
        if !options.json {
            emit("the simulator agrees: the same outcome and the same final views");
        }
        return exit;
    }
    eprintln!("{}: the beds do not agree:\n  {}", file.display(), differences.join("\n  "));
    Exit::Disagreement
}
