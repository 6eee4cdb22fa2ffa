//! The report of a run: what struck, what was found, how long groups had no leader, and how the ring ended.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde_json::json;

use super::fault::Fault;
use super::finish::{self, Finish};
use super::judge::Violation;
use super::line::Boot;
use super::run::Run;
use super::{Options, figures};
use crate::exit::Exit;

const SECOND: Boot = 1_000_000_000;
/// A fault's effect on leadership is measured for so long, when no other fault was near.
const WINDOW: Boot = 8 * SECOND;
const APART: Boot = 5 * SECOND;

/// Times of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Times(Vec<Boot>);

impl Times {
    pub(super) fn add(&mut self, time: Boot) {
        self.0.push(time);
        self.0.sort_unstable();
    }

    /// In milliseconds, from the shortest.
    pub(super) fn all(&self) -> Vec<f64> {
        self.0.iter().map(|time| (*time as f64 / 1e5).round() / 10.0).collect()
    }

    /// The middle one; of two, the longer.
    pub(super) fn median(&self) -> Option<f64> {
        self.all().get(self.0.len() / 2).copied()
    }

    pub(super) fn worst(&self) -> Option<f64> {
        self.all().last().copied()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.median(), self.worst()) {
            (Some(median), Some(worst)) => write!(f, "{median:.0} / {worst:.0}"),
            _ => f.write_str("-"),
        }
    }
}

/// Every broken promise of a run, in the order of time.
pub(super) fn violations(run: &Run) -> Vec<Violation> {
    let mut all: Vec<Violation> = run.judge.violations().into_iter().cloned().collect();
    all.extend(run.watch.violations().cloned());
    all.sort_by_key(|violation| violation.from);
    all
}

/// What became of one kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    struck: u64,
    not_possible: u64,
    without_leader: Times,
}

/// The report.
#[derive(Clone, Debug)]
pub(super) struct Report {
    seed: u64,
    members: usize,
    seconds: u64,
    without: Vec<Fault>,
    rows: BTreeMap<Fault, Row>,
    commands: BTreeMap<String, [u64; 3]>,
    violations: Vec<(f64, Violation)>,
    finish: Finish,
    no_disks: Option<String>,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn of(run: &Run, options: &Options, finish: Finish) -> Self {
        let mut rows: BTreeMap<Fault, Row> = BTreeMap::new();
        for fault in Fault::ALL.into_iter().filter(|fault| !options.without.contains(fault)) {
            rows.entry(fault).or_default().not_possible = run.skipped.get(&fault).copied().unwrap_or(0);
        }
        for struck in &run.struck {
            let row = rows.entry(struck.fault).or_default();
            row.struck += 1;
            let is_near = |other: &&super::run::Struck| {
                *other != struck && other.until + APART > struck.at && other.at < struck.at + WINDOW
            };
            if run.struck.iter().any(|other| is_near(&other)) {
                continue;
            }
            let own = format!("{}.default", struck.service);
            for group in struck.led.iter().filter(|group| !struck.fault.is_about_service() || **group == own)
            {
                row.without_leader.add(run.judge.without_leader(group, struck.at, struck.at + WINDOW));
            }
        }
        let seconds = |at: Boot| at.saturating_sub(run.began) as f64 / 1e9;
        let violations = violations(run).into_iter().map(|v| (seconds(v.from), v)).collect();
        let watch = &run.watch;
        let notes = vec![
            format!(
                "{} lines of witnesses, {} of them late within the documented limits",
                run.judge.lines, run.judge.late
            ),
            format!(
                "processes that had to outlive their supervisor: {} times looked for, {} times excused by other faults",
                watch.kept_checked, watch.kept_excused
            ),
            format!("trees that had to be gone: {} times looked for", watch.gone_checked),
            format!(
                "configurations that --wait confirmed: {}, looked at on hosts: {} times, excused by faults: {} times",
                run.confirmed, run.confirmed_at[0], run.confirmed_at[1]
            ),
            format!(
                "stops of which a peer knew before the process was asked to end: {}, excused by faults: {}",
                run.announced[0], run.announced[1]
            ),
            format!("load of the machine at the end: {}", figures::load()),
        ];
        Self {
            seed: options.seed,
            members: options.members,
            seconds: options.length.as_secs(),
            without: options.without.clone(),
            rows,
            commands: run.outcomes.clone(),
            violations,
            finish,
            no_disks: run.ring.no_disks.clone(),
            notes,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match (self.violations.is_empty(), self.finish.took) {
            (false, _) => Exit::Violated,
            (true, None) => Exit::Unmet,
            (true, Some(_)) => Exit::Pass,
        }
    }

    fn command(&self) -> String {
        let names: Vec<&str> = self.without.iter().map(|fault| fault.name()).collect();
        let without =
            if names.is_empty() { String::new() } else { format!(" --without {}", names.join(",")) };
        format!(
            "annulus-sim chaos --on netns --for {}s --members {} --seed {}{without}",
            self.seconds, self.members, self.seed
        )
    }

    pub(super) fn as_text(&self) -> String {
        let mut out = format!("{}\n\n", self.command());
        let _ = writeln!(
            out,
            "{:<20}{:>8}{:>14}{:>32}",
            "fault", "struck", "not possible", "ms without a leader, when alone"
        );
        for (fault, row) in &self.rows {
            let (times, count) = (&row.without_leader, row.without_leader.0.len());
            let times = if count == 0 { "-".to_owned() } else { format!("{times} ({count})") };
            let _ = writeln!(out, "{:<20}{:>8}{:>14}{times:>32}", fault.name(), row.struck, row.not_possible);
        }
        let _ = writeln!(out, "  (median / worst, and how often no other fault was near)\n");
        for (command, [done, failed, given_up]) in &self.commands {
            let _ = writeln!(
                out,
                "annulus {command:<16} {done} done, {failed} failed, {given_up} without an answer"
            );
        }
        for note in &self.notes {
            let _ = writeln!(out, "{note}");
        }
        if let Some(why) = &self.no_disks {
            let _ = writeln!(out, "no disk was frozen: {why}");
        }
        match self.finish.took {
            Some(took) => {
                let _ = writeln!(out, "the ring was whole {:.1} s after the last fault", took as f64 / 1e9);
            }
            None => {
                let _ = writeln!(
                    out,
                    "the ring was not whole within {} s after the last fault:",
                    finish::bound().as_secs()
                );
                self.finish.unmet.iter().for_each(|text| {
                    let _ = writeln!(out, "  {text}");
                });
            }
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.violations.iter().for_each(|(_, v)| *counts.entry(v.promise).or_default() += 1);
        let _ = writeln!(out, "\n{} broken promises", self.violations.len());
        for (promise, count) in counts {
            let _ = writeln!(out, "  {count:>4}  {promise}");
        }
        for (at, violation) in &self.violations {
            let _ = writeln!(out, "  at {at:.3} s: {}: {}", violation.promise, violation.text);
        }
        out
    }

    pub(super) fn as_json(&self) -> String {
        let faults: BTreeMap<&str, serde_json::Value> = self
            .rows
            .iter()
            .map(|(fault, row)| {
                let value = json!({
                    "struck": row.struck,
                    "not_possible": row.not_possible,
                    "without_leader_ms": row.without_leader.all(),
                });
                (fault.name(), value)
            })
            .collect();
        let violations: Vec<serde_json::Value> = self
            .violations
            .iter()
            .map(|(at, v)| json!({ "at_s": at, "promise": v.promise, "subject": v.subject, "text": v.text }))
            .collect();
        format!(
            "{:#}",
            json!({
                "command": self.command(),
                "outcome": self.exit().word(),
                "seed": self.seed,
                "members": self.members,
                "faults": faults,
                "commands": self.commands,
                "whole_after_s": self.finish.took.map(|took| took as f64 / 1e9),
                "unmet": self.finish.unmet,
                "no_disks": self.no_disks,
                "violations": violations,
            })
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let violation = Violation {
            promise: "two leaders",
            from: 5 * SECOND,
            until: 6 * SECOND,
            subject: "steady.default".to_owned(),
            text: "ada and bob".to_owned(),
        };
        let mut row = Row { struck: 3, ..Row::default() };
        [30, 10, 20].into_iter().for_each(|ms| row.without_leader.add(ms * 1_000_000));
        Report {
            seed: 7,
            members: 5,
            seconds: 60,
            without: vec![Fault::KillHost],
            rows: BTreeMap::from([(Fault::KillService, row)]),
            commands: BTreeMap::from([("svc stop".to_owned(), [2, 1, 0])]),
            violations: vec![(5.0, violation)],
            finish: Finish { took: Some(2 * SECOND), unmet: Vec::new() },
            no_disks: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_report_says_how_to_do_it_again_and_what_was_found() {
        let text = report().as_text();
        assert!(text.starts_with(
            "annulus-sim chaos --on netns --for 60s --members 5 --seed 7 --without kill-host\n"
        ));
        assert!(
            text.contains("20 / 30 (3)") && text.contains("at 5.000 s: two leaders: ada and bob"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&report().as_json()).expect("JSON");
        assert_eq!(json["faults"]["kill-service"]["struck"], json!(3));
        assert_eq!(json["violations"][0]["promise"], json!("two leaders"));
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let mut report = report();
        assert_eq!(report.exit(), Exit::Violated);
        report.violations.clear();
        assert_eq!(report.exit(), Exit::Pass);
        report.finish.took = None;
        assert_eq!(report.exit(), Exit::Unmet);
    }
}
