//! `annulus-sim run FILE`: performs one scenario in the simulated world, and narrates or traces it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::{emit, on_bed};
use crate::action::world::Record;
use crate::bed::{BedError, On};
use crate::engine::record::Recording;
use crate::engine::scene::Scene;
use crate::exit::Exit;
use crate::report::narrate::Narrator;
use crate::report::outcome::{exit_of, failure};
use crate::report::{guard, trace};
use crate::scenario::judge::Verdict;
use crate::scenario::run::{Outcome, Report, Watcher};
use crate::scenario::{Plan, run as scenario_run};

/// Sentences that are shown when a run fails.
const LAST_SENTENCES: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The scenario.
    file: PathBuf,
    /// Use this seed instead of the file's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write every record to this file, one JSON object per line; the simulator includes packets. Not with real
    /// daemons.
    #[arg(long, value_name = "OUT.jsonl")]
    trace: Option<PathBuf>,
    /// Tell the run in sentences; not with real daemons.
    #[arg(long)]
    narrate: bool,
    #[command(flatten)]
    bed: on_bed::Options,
    /// Plant a defect in every member.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "BUG", value_parser = super::bug)]
    bug: Option<annulus_core::Bug>,
}

pub(super) fn run(args: &Args) -> Exit {
    let Ok(plan) = Plan::load(&args.file).map_err(|problems| {
        for problem in problems {
            eprintln!("{problem}\n");
        }
    }) else {
        return Exit::Usage;
    };
    #[cfg(feature = "planted-bugs")]
    let plan = Plan { planted: args.bug.map(annulus_core::Planted::only).unwrap_or_default(), ..plan };
    let seed = args.seed.unwrap_or(plan.seed);
    if matches!(args.bed.on, On::Loopback | On::Netns) {
        if args.trace.is_some() || args.narrate {
            eprintln!(
                "--trace and --narrate do not go with real daemons, which have logs and /events instead"
            );
            return Exit::Usage;
        }
        return on_bed::run(&args.file, &plan, seed, &args.bed);
    }
    let trace = match &args.trace {
        None => None,
        Some(path) => match File::create(path) {
            Ok(file) => Some(BufWriter::new(file)),
            Err(error) => {
                eprintln!("{}: cannot be written: {error}; choose another file", path.display());
                return Exit::Usage;
            }
        },
    };
    if args.narrate {
        emit(&format!("{}\n", plan.about));
    }
    let mut watcher = Teller::new(&plan, args.narrate, trace);
    let result = guard::catching(|| perform(&plan, seed, args.bed.on, &mut watcher));
    let written = watcher.finish();
    let repeat = match args.bed.on {
        On::Simulator => repeat(&args.file, seed),
        on => format!("{} --on {on}", repeat(&args.file, seed)),
    };
    let report = match result {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => return on_bed::refused(&error),
        Err(panic) => {
            eprintln!("{}", guard::report(&panic, &repeat));
            return Exit::Bug;
        }
    };
    if let (Err(error), Some(path)) = (written, &args.trace) {
        eprintln!("{}: the trace could not be written: {error}", path.display());
        return Exit::Usage;
    }
    let exit = exit_of(&report);
    tell(args, &report);
    if exit != Exit::Pass {
        if !args.narrate && !args.bed.json {
            emit(&format!("the last events (seed {seed}):"));
            watcher.last.iter().for_each(|line| emit(line));
        }
        eprintln!("\n{}", failure(&plan, &report));
        eprintln!("seed {seed}; repeat with:\n  {repeat}");
    }
    on_bed::compared(&args.file, &plan, seed, &args.bed, &report.holdings, exit)
}

/// Prints the outcome in the form that was asked for; in words only that it passed.
fn tell(args: &Args, report: &Report) {
    let exit = exit_of(report);
    if args.bed.json {
        let unmet = match &report.outcome {
            Outcome::Unmet(unmet) => Some(unmet.clone()),
            _ => None,
        };
        emit(&on_bed::outcome_json(&args.file, args.bed.on, exit, &unmet, &report.holdings));
    } else if exit == Exit::Pass {
        emit(&format!(
            "{}pass: {}, seed {}, {} simulated, {} steps, trace hash {:016x}",
            if args.narrate { "\n" } else { "" },
            args.file.display(),
            report.seed,
            report.ended,
            report.steps,
            report.hash
        ));
    }
}

/// Performs the plan in the simulated world.
fn perform(plan: &Plan, seed: u64, on: On, watcher: &mut dyn Watcher) -> Result<Report, BedError> {
    match on {
        #[cfg(feature = "turmoil")]
        On::Turmoil => crate::bed::turmoil::run(plan, seed, watcher),
        #[cfg(not(feature = "turmoil"))]
        On::Turmoil => Err(BedError::Skipped(String::from(
            "this annulus-sim was built without turmoil; `cargo run -p annulus-sim --features turmoil -- run ...` \
             builds one that has it",
        ))),
        _ => Ok(scenario_run::run(plan, seed, watcher)),
    }
}

/// The command that repeats the run and shows more.
pub(super) fn repeat(file: &Path, seed: u64) -> String {
    format!("annulus-sim run {} --seed {seed} --narrate --trace trace.jsonl", file.display())
}

/// Narrates, traces, and keeps the last sentences.
struct Teller {
    narrator: Narrator,
    aloud: bool,
    last: VecDeque<String>,
    trace: Option<BufWriter<File>>,
    failed: Option<std::io::Error>,
}

impl Teller {
    fn new(plan: &Plan, aloud: bool, trace: Option<BufWriter<File>>) -> Self {
        let names = plan.hosts.iter().map(|host| host.name.clone()).collect();
        Self { narrator: Narrator::new(names), aloud, last: VecDeque::new(), trace, failed: None }
    }

    fn say(&mut self, line: String) {
        if self.aloud {
            emit(&line);
        }
        if self.last.len() == LAST_SENTENCES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn finish(&mut self) -> std::io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.trace.as_mut().map_or(Ok(()), std::io::Write::flush)
    }
}

impl Watcher for Teller {
    fn recording(&self) -> Recording {
        if self.trace.is_some() { Recording::Packets } else { Recording::Events }
    }

    fn record(&mut self, scene: &dyn Scene, record: &Record) {
        if let (Some(trace), None) = (&mut self.trace, &self.failed) {
            self.failed = trace::write_jsonl(trace, scene, std::slice::from_ref(record)).err();
        }
        for line in self.narrator.tell(record) {
            self.say(line);
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.say(self.narrator.verdict(verdict));
    }
}
