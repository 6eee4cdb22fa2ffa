//! `annulus-sim bench --suite`: the protocol's promises, measured, with targets and a rival beside them.
//!
//! Every measurement is one run of the ordinary benchmark in a process of its own, so that neither the memory nor
//! the caches of one reach into the next, and so that each can be repeated alone: its command line is printed.

mod rival;
mod rows;
mod table;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value};

use super::{Args, Told, figures};
use crate::bench::cpu;
use crate::exit::Exit;
use rows::{Batch, Plan, Row};

/// Runs the suite.
pub(crate) fn run(args: &Args) -> Result<Told, String> {
    let plan = if args.quick { Plan::quick() } else { Plan::full() };
    let report = Suite { plan, rival: args.rival.clone(), in_process: false }.measure()?;
    let text = if args.json { report.json() } else { report.text() };
    let missed = report.lines.iter().any(|line| line.verdict() == Some(false));
    Ok(Told { text, exit: if missed { Exit::Unmet } else { Exit::Pass } })
}

/// The batches to measure, and how to run each.
struct Suite {
    plan: Plan,
    rival: Option<PathBuf>,
    /// For tests, which have no program to start.
    in_process: bool,
}

/// All rows, measured.
struct Report {
    quick: Option<&'static str>,
    /// The machine's load before and after, as the kernel says it.
    load: [Option<String>; 2],
    lines: Vec<Line>,
}

/// One row with its figures.
struct Line {
    row: Row,
    /// The figure of every run, none where the awaited event did not happen.
    ours: Vec<Option<f64>>,
    rival: Option<rival::Figure>,
    /// The command line of the first run.
    command: String,
}

impl Line {
    /// The row's figure; none when a run had none.
    fn figure(&self) -> Option<f64> {
        let all: Option<Vec<f64>> = self.ours.iter().copied().collect();
        self.row.fold.of(all?)
    }

    /// Whether it reaches its target; none where there is none.
    fn verdict(&self) -> Option<bool> {
        self.row.bound.verdict(self.figure().map(|figure| figure / self.row.divisor))
    }
}

impl Suite {
    fn measure(&self) -> Result<Report, String> {
        let before = cpu::load_average();
        let mut lines = Vec::new();
        let batches = rows::batches(&self.plan);
        let count = batches.len();
        for (number, batch) in batches.into_iter().enumerate() {
            if !self.in_process {
                eprintln!("[{}/{count}] {}", number + 1, batch.what);
            }
            lines.extend(self.measure_batch(batch)?);
        }
        Ok(Report { quick: self.plan.note, load: [before, cpu::load_average()], lines })
    }

    /// Our runs and the rival's take turns, so that a busy machine troubles both.
    fn measure_batch(&self, batch: Batch) -> Result<Vec<Line>, String> {
        let mut ours = Vec::new();
        let mut rivals = Vec::new();
        let command = batch.runs.first().map(|args| command_line(args).join(" ")).unwrap_or_default();
        for (number, args) in batch.runs.iter().enumerate() {
            ours.push(self.run_one(args)?);
            if let (Some(path), Some(job)) = (&self.rival, &batch.rival)
                && number < job.runs
            {
                rivals.push(rival::run(path, job, number as u64 + 1)?);
            }
        }
        let lines = batch.rows.into_iter().map(|row| {
            let ours = ours.iter().map(|run| run.get(row.figure).and_then(Value::as_f64)).collect();
            let rival = rival::Figure::of(&rivals, &row);
            Line { row, ours, rival, command: command.clone() }
        });
        Ok(lines.collect())
    }

    fn run_one(&self, args: &Args) -> Result<Map<String, Value>, String> {
        if self.in_process {
            return Ok(figures::object(args, &super::measure(args)));
        }
        let program =
            std::env::current_exe().map_err(|e| format!("cannot tell what program this is: {e}"))?;
        let words = command_line(args);
        let what = words.join(" ");
        let output =
            Command::new(program).args(&words).output().map_err(|e| format!("cannot run {what}: {e}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{what} failed: {}: {why}", output.status));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| format!("{what} printed no figures: {e}"))
    }
}

/// The command line that runs one measurement alone.
fn command_line(args: &Args) -> Vec<String> {
    let mut words = vec!["bench".to_owned(), "--json".to_owned()];
    let numbers =
        [("--members", u64::from(args.members)), ("--seed", args.seed), ("--seconds", args.seconds)];
    for (option, value) in numbers {
        words.extend([option.to_owned(), value.to_string()]);
    }
    if args.loss > 0 {
        words.extend(["--loss".to_owned(), args.loss.to_string()]);
    }
    let flags = [
        ("--kill", args.kill),
        ("--rumor", args.rumor),
        ("--join", args.join),
        ("--heal", args.heal),
        ("--accusations", args.accusations),
        ("--pauses", args.pauses),
        ("--keyed", args.keyed),
    ];
    words.extend(flags.into_iter().filter(|(_, wanted)| *wanted).map(|(flag, _)| flag.to_owned()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn every_row_is_measured_and_told() {
        let suite = Suite { plan: Plan::tiny(), rival: None, in_process: true };
        let report = suite.measure().expect("nothing is started that could fail");
        assert_eq!(
            report.lines.len(),
            rows::batches(&Plan::full()).iter().map(|b| b.rows.len()).sum::<usize>()
        );
        for line in &report.lines {
            let timed = line.row.unit.contains("CPU") || line.row.unit == "kB";
            assert!(timed || line.figure().is_some(), "{} has no figure: {:?}", line.row.key, line.ours);
        }
        let text = report.text();
        let json: Value = serde_json::from_str(&report.json()).expect("it is JSON");
        let rows = json["rows"].as_array().expect("a list");
        assert_eq!(rows.len(), report.lines.len());
        for (row, line) in rows.iter().zip(&report.lines) {
            assert_eq!(row["key"], line.row.key);
            assert!(text.contains(line.row.what), "{text}");
        }
    }

    #[test]
    fn each_measurement_can_be_repeated_by_its_command_line() {
        for batch in rows::batches(&Plan::full()) {
            for run in &batch.runs {
                let words = command_line(run);
                let parsed = Line::try_parse_from(&words).expect("it is understood").args;
                assert_eq!(command_line(&parsed), words);
            }
        }
    }
}
