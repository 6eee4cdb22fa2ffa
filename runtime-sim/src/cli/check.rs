//! `annulus-sim check PATH…`: performs every scenario in files and folders, each with its own seed or with many, and
//! says which pass.

use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::json;

use super::pool::{self, News};
use super::run::repeat;
use super::{emit, sweep};
use crate::exit::Exit;
use crate::report::guard;
use crate::report::outcome::{exit_of, failure};
use crate::scenario::{Plan, run as scenario_run};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files, or folders of which every .toml below is taken.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Perform each with these seeds instead of the file's own: A..B without B, or a single one.
    #[arg(long, value_name = "A..B", value_parser = sweep::seeds)]
    seeds: Option<Range<u64>>,
    /// Print one JSON object per scenario instead of text.
    #[arg(long)]
    json: bool,
    /// Scenarios performed at the same time; as many as the machine has cores by default.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
}

/// Failing seeds of one scenario that are told in full; the others are named.
const TOLD_MAX: usize = 3;

/// The outcome of one file.
struct Line {
    file: PathBuf,
    /// One for each seed; one that belongs to no seed for a file that cannot be read.
    runs: Vec<Performed>,
}

/// The outcome of one run.
#[derive(Clone)]
struct Performed {
    exit: Exit,
    seed: u64,
    simulated_ms: u64,
    steps: u64,
    hash: u64,
    text: String,
}

impl Line {
    fn exit(&self) -> Exit {
        self.runs.iter().map(|run| run.exit).max().unwrap_or(Exit::Pass)
    }

    fn failing(&self) -> impl Iterator<Item = &Performed> {
        self.runs.iter().filter(|run| run.exit != Exit::Pass)
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let mut files = Vec::new();
    for path in &args.paths {
        if let Err(error) = collect(path, &mut files) {
            eprintln!("{}: cannot be read: {error}; name scenario files or folders", path.display());
            return Exit::Usage;
        }
    }
    if files.is_empty() {
        eprintln!("no scenario found: a scenario is a file that ends in .toml");
        return Exit::Usage;
    }
    let lines = perform(&files, args);
    let count = |exit: Exit| lines.iter().filter(|line| line.exit() == exit).count();
    let worst = lines.iter().map(Line::exit).max().unwrap_or(Exit::Pass);
    if !args.json {
        for line in lines.iter().filter(|line| line.exit() != Exit::Pass) {
            line.failing().take(TOLD_MAX).for_each(|run| emit(&format!("\n{}", run.text)));
        }
        let seeds = match &args.seeds {
            Some(seeds) => format!(" with {} seeds each", seeds.end - seeds.start),
            None => String::new(),
        };
        let mut summary = format!("\n{} scenarios{seeds}: {} pass", lines.len(), count(Exit::Pass));
        for exit in [Exit::Usage, Exit::Unmet, Exit::Violated, Exit::Bug] {
            if count(exit) > 0 {
                summary.push_str(&format!(", {} {}", count(exit), exit.word()));
            }
        }
        emit(&summary);
    }
    worst
}

/// Performs all files; lines are printed in their order.
fn perform(files: &[PathBuf], args: &Args) -> Vec<Line> {
    let plans: Vec<Result<Plan, String>> = files
        .iter()
        .map(|file| {
            Plan::load(file)
                .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
        })
        .collect();
    let jobs: Vec<(usize, u64)> = plans
        .iter()
        .enumerate()
        .flat_map(|(number, plan)| {
            // A file that cannot be read is told once.
            let own = plan.as_ref().map_or(0, |plan| plan.seed);
            let seeds = args.seeds.clone().filter(|_| plan.is_ok()).unwrap_or(own..own.saturating_add(1));
            seeds.map(move |seed| (number, seed))
        })
        .collect();
    let mut lines: Vec<Line> =
        files.iter().map(|file| Line { file: file.clone(), runs: Vec::new() }).collect();
    let mut left: Vec<usize> =
        (0..files.len()).map(|n| jobs.iter().filter(|job| job.0 == n).count()).collect();
    let mut printed = 0;
    let threads = args.jobs.map_or_else(pool::processors, NonZero::get);
    let (files, todo) = (files.to_vec(), jobs.clone());
    let work = move |job: usize| {
        let (number, seed) = todo[job];
        one(&files[number], &plans[number], seed)
    };
    pool::spread(jobs.len(), threads, work, |news| {
        if let News::Ended(job, performed) = news {
            let number = jobs[job].0;
            lines[number].runs.push(performed);
            left[number] -= 1;
        }
        while left.get(printed) == Some(&0) {
            let line = &mut lines[printed];
            line.runs.sort_by_key(|run| run.seed);
            emit(&if args.json { json(line, args) } else { shown(line, args) });
            printed += 1;
        }
        ControlFlow::Continue(())
    });
    lines
}

fn one(file: &Path, plan: &Result<Plan, String>, seed: u64) -> Performed {
    let mut run =
        Performed { exit: Exit::Pass, seed, simulated_ms: 0, steps: 0, hash: 0, text: String::new() };
    let plan = match plan {
        Ok(plan) => plan,
        Err(problems) => {
            run.exit = Exit::Usage;
            run.text.clone_from(problems);
            return run;
        }
    };
    let repeat = repeat(file, seed);
    match guard::catching(|| scenario_run::run(plan, seed, &mut ())) {
        Ok(report) => {
            run.exit = exit_of(&report);
            run.simulated_ms = report.ended.as_millis();
            run.steps = report.steps;
            run.hash = report.hash;
            if run.exit != Exit::Pass {
                run.text = format!("{}\nseed {seed}; repeat with:\n  {repeat}", failure(plan, &report));
            }
        }
        Err(panic) => {
            run.exit = Exit::Bug;
            run.text = guard::report(&panic, &repeat);
        }
    }
    run
}

fn shown(line: &Line, args: &Args) -> String {
    let (exit, file) = (line.exit(), line.file.display());
    let Some(first) = line.runs.first() else { return format!("{:<9} {file}", exit.word()) };
    if args.seeds.is_none() {
        let (seconds, ms) = (first.simulated_ms / 1000, first.simulated_ms % 1000);
        return format!(
            "{:<9} {file} (seed {}, {seconds}.{ms:03}s simulated, {} steps)",
            exit.word(),
            first.seed,
            first.steps
        );
    }
    let failing: Vec<String> = line.failing().map(|run| run.seed.to_string()).collect();
    if failing.is_empty() {
        return format!("{:<9} {file} ({} seeds)", exit.word(), line.runs.len());
    }
    format!(
        "{:<9} {file} ({} of {} seeds: {})",
        exit.word(),
        failing.len(),
        line.runs.len(),
        failing.join(", ")
    )
}

/// One object for each scenario: that of its run, or with `--seeds` one that holds all runs.
fn json(line: &Line, args: &Args) -> String {
    let run = |run: &Performed| {
        json!({
            "outcome": run.exit.word(),
            "seed": run.seed,
            "simulated_ms": run.simulated_ms,
            "steps": run.steps,
            "trace_hash": format!("{:016x}", run.hash),
            "message": run.text,
        })
    };
    let mut object = match (&args.seeds, line.runs.first()) {
        (None, Some(first)) => run(first),
        _ => json!({
            "outcome": line.exit().word(),
            "failing_seeds": line.failing().map(|run| run.seed).collect::<Vec<_>>(),
            "runs": line.runs.iter().map(run).collect::<Vec<_>>(),
        }),
    };
    object["file"] = line.file.display().to_string().into();
    object.to_string()
}

/// The scenarios at or below a path, in the order of their names.
pub(super) fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        fs::metadata(path)?;
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        // Example plans are packages, not scenarios.
        if entry.is_dir() && entry.file_name().is_some_and(|name| name != "plans") {
            collect(&entry, files)?;
        } else if entry.extension().is_some_and(|extension| extension == "toml") {
            files.push(entry);
        }
    }
    Ok(())
}
