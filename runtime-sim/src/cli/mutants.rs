//! `annulus-sim mutants`: measures the checks. Each small mutation of the core is run through scenarios and seeds by a
//! process of its own, and reported as killed, survived, or never reached.

use std::collections::VecDeque;
use std::io::Read as _;
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use std::{env, thread};

use annulus_core::{Mutant, switch_on};
use serde::{Deserialize, Serialize};

use super::check::collect;
use super::emit;
use super::sweep::seeds;
use crate::engine::record::Recording;
use crate::exit::Exit;
use crate::report::guard;
use crate::report::outcome::{exit_of, failure};
use crate::scenario::{Plan, run as scenario_run};
use crate::sweep::{self, Drawn};

/// How many times in a second a process that may hang is looked at.
const LOOKS_PER_S: u64 = 50;
/// Characters of a failure that the report shows.
const WHY_MAX: usize = 110;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Mutants to run; all of them by default
    #[arg(value_name = "NAME", value_parser = mutant)]
    names: Vec<Mutant>,
    /// Files or folders with the scenarios
    #[arg(long, value_name = "PATH", default_value = "scenarios")]
    scenarios: PathBuf,
    /// Seeds of the sweep: A..B without B
    #[arg(long, value_name = "A..B", default_value = "0..60", value_parser = seeds)]
    seeds: Range<u64>,
    /// A test program of the core, built with the feature `mutants`, for the mutants that survive the rest
    #[arg(long, value_name = "PROGRAM")]
    unit_tests: Option<PathBuf>,
    /// Seconds after which a mutant counts as one that does not end
    #[arg(long, value_name = "S", default_value = "120", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Mutants run at the same time; as many as the machine has cores by default
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Print one JSON object per mutant instead of text
    #[arg(long)]
    json: bool,
    /// Run one mutant, or none of them, in this process; for this command's own use
    #[arg(long, hide = true, value_name = "NAME")]
    one: Option<String>,
}

/// The result of running a mutant in a process of its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Found {
    /// What noticed the mutant: a scenario, a seed, the unit tests. None when nothing did.
    killed_by: Option<String>,
    /// What it said, in a line.
    why: String,
    /// Fingerprint of all runs, where none failed.
    hash: u64,
}

/// The verdict on a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Killed,
    /// The runs differ from those of the original, and no check noticed.
    Survived,
    /// Every run is the same as the original's: no run comes to its place with values that matter.
    NeverReached,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Survived => "survived",
            Self::NeverReached => "never-reached",
        }
    }
}

fn mutant(name: &str) -> Result<Mutant, String> {
    Mutant::ALL.iter().copied().find(|mutant| mutant.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        format!("there is no such mutant; there are {}", names.join(", "))
    })
}

pub(super) fn run(args: &Args) -> Exit {
    if let Some(name) = &args.one {
        return run_one(args, name);
    }
    match measure(args) {
        Ok(()) => Exit::Pass,
        Err(error) => {
            eprintln!("annulus-sim: {error}");
            Exit::Usage
        }
    }
}

/// Why mutants could not be measured.
#[derive(Debug, thiserror::Error)]
enum MutantsError {
    #[error("a process for a mutant cannot be started: {0}")]
    Start(std::io::Error),
    #[error("the original fails, so nothing can be said of its mutants: {0}")]
    Original(String),
    #[error("{0} cannot be run: {1}")]
    UnitTests(PathBuf, std::io::Error),
}

/// Runs a mutant, or the original where the name is empty, and prints what was found.
fn run_one(args: &Args, name: &str) -> Exit {
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

fn find(args: &Args) -> Result<Found, String> {
    let mut files = Vec::new();
    collect(&args.scenarios, &mut files)
        .map_err(|error| format!("{}: cannot be read: {error}", args.scenarios.display()))?;
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
    for file in files {
        let loaded = Plan::load(&file);
        let loaded = loaded.map_err(|_| format!("{}: cannot be understood", file.display()))?;
        let failed = match guard::catching(|| scenario_run::run(&loaded, loaded.seed, &mut ())) {
            Ok(report) => {
                found.add(report.hash);
                (exit_of(&report) != Exit::Pass).then(|| failure(&loaded, &report))
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

impl Found {
    fn killed(by: String, why: &str) -> Self {
        let line: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let why = line.join(" · ").chars().take(WHY_MAX).collect();
        Self { killed_by: Some(by), why, hash: 0 }
    }

    /// Adds a run's fingerprint; the order of runs counts.
    fn add(&mut self, hash: u64) {
        self.hash = self.hash.rotate_left(5).wrapping_mul(0x0100_0000_01b3) ^ hash;
    }
}

/// Runs every mutant, several side by side, and prints the report.
#[expect(clippy::disallowed_methods, reason = "several mutants side by side, each in a process of its own")]
fn measure(args: &Args) -> Result<(), MutantsError> {
    let names: &[Mutant] = if args.names.is_empty() { Mutant::ALL } else { &args.names };
    let original = in_a_process(args, "")?;
    if let Some(by) = original.killed_by {
        return Err(MutantsError::Original(format!("{by}: {}", original.why)));
    }
    if let Some(program) = &args.unit_tests {
        let failed = unit_tests(args, program, "")?;
        if failed {
            return Err(MutantsError::Original(String::from("its unit tests fail")));
        }
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = args.jobs.map_or(cores, NonZero::get).min(names.len());
    let waiting: Mutex<VecDeque<Mutant>> = Mutex::new(names.iter().copied().collect());
    let done: Mutex<Vec<(Mutant, Verdict)>> = Mutex::new(Vec::new());
    let work = || -> Result<(), MutantsError> {
        loop {
            let next = waiting.lock().expect("no thread panics").pop_front();
            let Some(mutant) = next else { return Ok(()) };
            let (verdict, found) = judge(args, mutant, original.hash)?;
            let mut done = done.lock().expect("no thread panics");
            done.push((mutant, verdict));
            emit(&shown(args.json, mutant, verdict, &found));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    let done = done.into_inner().expect("no thread panics");
    if !args.json {
        let count = |wanted: Verdict| done.iter().filter(|(_, verdict)| *verdict == wanted).count();
        let (killed, all) = (count(Verdict::Killed), done.len());
        emit(&format!(
            "\n{all} mutants: {killed} killed ({} %), {} survived, {} never reached",
            killed * 100 / all.max(1),
            count(Verdict::Survived),
            count(Verdict::NeverReached)
        ));
    }
    Ok(())
}

fn judge(args: &Args, mutant: Mutant, original: u64) -> Result<(Verdict, Found), MutantsError> {
    let mut found = in_a_process(args, mutant.name())?;
    if found.killed_by.is_none()
        && let Some(program) = &args.unit_tests
        && unit_tests(args, program, mutant.name())?
    {
        found.killed_by = Some(String::from("unit tests"));
    }
    let verdict = match found.killed_by {
        Some(_) => Verdict::Killed,
        None if found.hash == original => Verdict::NeverReached,
        None => Verdict::Survived,
    };
    Ok((verdict, found))
}

fn shown(json: bool, mutant: Mutant, verdict: Verdict, found: &Found) -> String {
    let by = found.killed_by.as_deref().unwrap_or_default();
    if json {
        return serde_json::json!({
            "mutant": mutant.name(),
            "place": mutant.place(),
            "what": mutant.what(),
            "verdict": verdict.word(),
            "killed_by": found.killed_by,
            "why": found.why,
        })
        .to_string();
    }
    let told = match verdict {
        Verdict::Killed if found.why.is_empty() => by.to_owned(),
        Verdict::Killed => format!("{by}: {}", found.why),
        Verdict::Survived | Verdict::NeverReached => format!("{}: {}", mutant.place(), mutant.what()),
    };
    format!("{:<13} {:<36} {told}", verdict.word(), mutant.name())
}

/// Runs a mutant in a process of its own: it may hang or end the process.
fn in_a_process(args: &Args, name: &str) -> Result<Found, MutantsError> {
    let program = env::current_exe().map_err(MutantsError::Start)?;
    let mut command = Command::new(program);
    command.arg("mutants").arg("--one").arg(name).arg("--scenarios").arg(&args.scenarios);
    command.arg("--seeds").arg(format!("{}..{}", args.seeds.start, args.seeds.end));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(MutantsError::Start)?;
    let mut output = String::new();
    if !ends(&mut child, args.timeout).map_err(MutantsError::Start)? {
        let why = format!("it does not end within {} s", args.timeout);
        return Ok(Found { killed_by: Some(String::from("time")), why, hash: 0 });
    }
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut output).map_err(MutantsError::Start)?;
    }
    if let Ok(found) = serde_json::from_str(output.trim()) {
        return Ok(found);
    }
    let mut why = String::new();
    if let Some(mut errors) = child.stderr.take() {
        errors.read_to_string(&mut why).map_err(MutantsError::Start)?;
    }
    Ok(Found::killed(String::from("its end"), &why))
}

/// Whether the core's unit tests fail with this mutant.
fn unit_tests(args: &Args, program: &PathBuf, name: &str) -> Result<bool, MutantsError> {
    let mut command = Command::new(program);
    command.arg("--quiet").env("ANNULUS_MUTANT", name);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|error| MutantsError::UnitTests(program.clone(), error))?;
    if !ends(&mut child, args.timeout).map_err(MutantsError::Start)? {
        return Ok(true);
    }
    Ok(!child.wait().map_err(MutantsError::Start)?.success())
}

/// Waits for a process; kills it and answers false when it does not end in time. It prints less than a pipe holds.
#[expect(clippy::disallowed_methods, reason = "a mutant may hang, which only waiting shows")]
fn ends(child: &mut Child, timeout_s: u64) -> std::io::Result<bool> {
    for _ in 0..timeout_s.saturating_mul(LOOKS_PER_S) {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_secs(1) / LOOKS_PER_S as u32);
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_a_name_of_its_own_and_a_place() {
        let mut names: Vec<&str> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Mutant::ALL.len());
        for mutant in Mutant::ALL {
            let place =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src").join(mutant.place());
            let text = std::fs::read_to_string(&place).expect("the place is a file of the core");
            assert!(text.contains(&format!("{mutant:?}")), "{mutant:?} does not stand in {}", mutant.place());
            assert_eq!(super::mutant(mutant.name()), Ok(*mutant));
        }
        assert!(super::mutant("no-such").is_err_and(|error| error.contains(Mutant::ALL[0].name())));
    }
}
