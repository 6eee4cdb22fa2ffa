//! `annulus-sim mutants`: measures the checks. Each small mutation of the core is run through the core's unit tests,
//! scenarios and seeds by processes of its own, and reported as killed, survived, or never reached.
//!
//! | file | what |
//! |---|---|
//! | `one` | seeds and scenarios with one mutant, in this process |
//! | `outside` | the processes that a mutant is run by |
//! | `unit_tests` | the test program of the core: how it is built, and what it says |
//! | `tally` | the report |

mod one;
mod outside;
mod tally;
mod unit_tests;

use std::collections::VecDeque;
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::{io, thread};

use annulus_core::Mutant;
use serde::{Deserialize, Serialize};

use super::emit;
use super::sweep::{Shard, seeds, shard};
use crate::exit::Exit;
use tally::{Tally, Verdict};
use unit_tests::UnitTests;

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
    /// Let the core's unit tests kill mutants too: builds them with cargo, or takes this test program
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    unit_tests: Option<PathBuf>,
    /// Only every N-th mutant, from the K-th on (K counts from 0)
    #[arg(long, value_name = "K/N", default_value = "0/1", value_parser = shard)]
    shard: Shard,
    /// Percent that have to be killed, or to be left for a reason; with fewer the command fails
    #[arg(long, value_name = "PERCENT", default_value = "90", value_parser = clap::value_parser!(u8).range(..=100))]
    least: u8,
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

/// The result of running a mutant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Found {
    /// What noticed the mutant: a scenario, a seed, a unit test. None when nothing did.
    killed_by: Option<String>,
    /// What it said, in a line.
    why: String,
    /// Fingerprint of all runs, where none failed.
    hash: u64,
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

fn mutant(name: &str) -> Result<Mutant, String> {
    Mutant::ALL.iter().copied().find(|mutant| mutant.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        format!("there is no such mutant; there are {}", names.join(", "))
    })
}

/// Why mutants could not be measured.
#[derive(Debug, thiserror::Error)]
enum MutantsError {
    #[error("a process for a mutant cannot be started: {0}")]
    Start(io::Error),
    #[error("the original fails, so nothing can be said of its mutants: {0}")]
    Original(String),
    #[error("{0}: were scenarios changed meanwhile? Mutants are measured with the scenarios of their build")]
    Scenarios(String),
    #[error("{0} cannot be run: {1}")]
    UnitTests(PathBuf, io::Error),
    #[error(
        "the core's unit tests cannot be built ({0}): run the command in the repository, or build them with \
         `{command}` and name the program with --unit-tests=PROGRAM",
        command = unit_tests::BUILD
    )]
    Build(String),
}

pub(super) fn run(args: &Args) -> Exit {
    if let Some(name) = &args.one {
        return one::run(args, name);
    }
    match measure(args) {
        Ok(tally) => {
            if !args.json {
                emit(&tally.to_string());
            }
            tally.exit(args.least)
        }
        Err(error) => {
            eprintln!("annulus-sim: {error}");
            Exit::Usage
        }
    }
}

/// Runs every mutant, several side by side.
#[expect(clippy::disallowed_methods, reason = "several mutants side by side, each in a process of its own")]
fn measure(args: &Args) -> Result<Tally, MutantsError> {
    let unit_tests = args.unit_tests.as_deref().map(UnitTests::find).transpose()?;
    let original = outside::seeds_and_scenarios(args, "")?;
    if let Some(by) = original.killed_by {
        return Err(MutantsError::Original(format!("{by}: {}", original.why)));
    }
    if let Some(failed) =
        unit_tests.as_ref().map(|tests| tests.of_all(args.timeout, "")).transpose()?.flatten()
    {
        return Err(MutantsError::Original(format!("unit test {failed}")));
    }
    let names: &[Mutant] = if args.names.is_empty() { Mutant::ALL } else { &args.names };
    let mine = (0..).zip(names).filter(|(n, _)| n % args.shard.count == args.shard.index);
    let waiting: VecDeque<Mutant> = mine.map(|(_, mutant)| *mutant).collect();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = args.jobs.map_or(cores, NonZero::get).min(waiting.len());
    let (waiting, tally) = (Mutex::new(waiting), Mutex::new(Tally::default()));
    let work = || -> Result<(), MutantsError> {
        loop {
            let next = waiting.lock().expect("no thread panics").pop_front();
            let Some(mutant) = next else { return Ok(()) };
            let (verdict, found) = judge(args, unit_tests.as_ref(), mutant, original.hash)?;
            let mut tally = tally.lock().expect("no thread panics");
            tally.add(mutant, verdict);
            emit(&tally::shown(args.json, mutant, verdict, &found));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    Ok(tally.into_inner().expect("no thread panics"))
}

/// The tests of the mutant's own folder are the quickest to notice it, all other ones the last to be asked.
fn judge(
    args: &Args,
    unit_tests: Option<&UnitTests>,
    mutant: Mutant,
    original: u64,
) -> Result<(Verdict, Found), MutantsError> {
    let killed = |test: String| (Verdict::Killed, Found::killed(format!("unit test {test}"), ""));
    if let Some(tests) = unit_tests
        && let Some(test) = tests.of_folder(args.timeout, mutant)?
    {
        return Ok(killed(test));
    }
    let found = outside::seeds_and_scenarios(args, mutant.name())?;
    if found.killed_by.is_some() {
        return Ok((Verdict::Killed, found));
    }
    if let Some(tests) = unit_tests
        && let Some(test) = tests.of_all(args.timeout, mutant.name())?
    {
        return Ok(killed(test));
    }
    let verdict = if found.hash == original { Verdict::NeverReached } else { Verdict::Survived };
    Ok((verdict, found))
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
