//! `annulus-sim check PATH…`: performs every scenario in files and folders and says which pass.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, io, thread};

use serde_json::json;

use super::emit;
use super::run::repeat;
use crate::exit::Exit;
use crate::report::guard;
use crate::report::outcome::{exit_of, failure};
use crate::scenario::{Plan, run as scenario_run};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files, or folders of which every .toml below is taken.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print one JSON object per scenario instead of text.
    #[arg(long)]
    json: bool,
    /// Scenarios performed at the same time; as many as the machine has cores by default.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
}

/// The outcome of one file.
struct Line {
    file: PathBuf,
    exit: Exit,
    seed: u64,
    simulated_ms: u64,
    steps: u64,
    hash: u64,
    text: String,
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
    let count = |exit: Exit| lines.iter().filter(|line| line.exit == exit).count();
    let worst = lines.iter().map(|line| line.exit).max().unwrap_or(Exit::Pass);
    if !args.json {
        for line in lines.iter().filter(|line| line.exit != Exit::Pass) {
            emit(&format!("\n{}", line.text));
        }
        let mut summary = format!("\n{} scenarios: {} pass", lines.len(), count(Exit::Pass));
        for exit in [Exit::Usage, Exit::Unmet, Exit::Violated, Exit::Bug] {
            if count(exit) > 0 {
                summary.push_str(&format!(", {} {}", count(exit), exit.word()));
            }
        }
        emit(&summary);
    }
    worst
}

/// One run for each thread at a time: a run itself uses no threads. Lines are printed in the order of files.
#[expect(clippy::disallowed_methods, reason = "several runs side by side, each in one thread")]
fn perform(files: &[PathBuf], args: &Args) -> Vec<Line> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = args.jobs.map_or(cores, NonZero::get).min(files.len());
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Line>>> = Mutex::new(files.iter().map(|_| None).collect());
    let printed = Mutex::new(0_usize);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((index, file)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    files.get(index).map(|file| (index, file))
                } {
                    let line = one(file);
                    let mut printed = printed.lock().expect("no run panics while it prints");
                    let mut done = done.lock().expect("no run panics while it prints");
                    done[index] = Some(line);
                    while let Some(Some(line)) = done.get(*printed) {
                        emit(&shown(line, args.json));
                        *printed += 1;
                    }
                }
            });
        }
    });
    let done = done.into_inner().expect("no run panics while it prints");
    done.into_iter().flatten().collect()
}

fn one(file: &Path) -> Line {
    let mut line = Line {
        file: file.to_owned(),
        exit: Exit::Pass,
        seed: 0,
        simulated_ms: 0,
        steps: 0,
        hash: 0,
        text: String::new(),
    };
    let plan = match Plan::load(file) {
        Ok(plan) => plan,
        Err(problems) => {
            let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
            line.exit = Exit::Usage;
            line.text = texts.join("\n\n");
            return line;
        }
    };
    line.seed = plan.seed;
    let repeat = repeat(file, plan.seed);
    match guard::catching(|| scenario_run::run(&plan, plan.seed, &mut ())) {
        Ok(report) => {
            line.exit = exit_of(&report);
            line.simulated_ms = report.ended.as_millis();
            line.steps = report.steps;
            line.hash = report.hash;
            if line.exit != Exit::Pass {
                line.text = format!("{}\nrepeat with:\n  {repeat}", failure(&plan, &report));
            }
        }
        Err(panic) => {
            line.exit = Exit::Bug;
            line.text = guard::report(&panic, &repeat);
        }
    }
    line
}

fn shown(line: &Line, json: bool) -> String {
    let (seconds, ms) = (line.simulated_ms / 1000, line.simulated_ms % 1000);
    if !json {
        return format!(
            "{:<9} {} (seed {}, {seconds}.{ms:03}s simulated, {} steps)",
            line.exit.word(),
            line.file.display(),
            line.seed,
            line.steps
        );
    }
    json!({
        "file": line.file.display().to_string(),
        "outcome": line.exit.word(),
        "seed": line.seed,
        "simulated_ms": line.simulated_ms,
        "steps": line.steps,
        "trace_hash": format!("{:016x}", line.hash),
        "message": line.text,
    })
    .to_string()
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
