//! The report: a line for each mutant, and a table of the folders that they stand in.

use std::collections::BTreeMap;
use std::fmt;

use annulus_core::Mutant;

use super::Found;
use crate::exit::Exit;

/// The verdict on a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
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

/// What became of the mutants of one folder.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    killed: usize,
    survived: usize,
    never_reached: usize,
    /// Of those that were not killed: how many are left alone on purpose.
    left: usize,
}

impl Count {
    const fn all(self) -> usize {
        self.killed + self.survived + self.never_reached
    }

    fn percent(self) -> usize {
        self.killed * 100 / self.all().max(1)
    }
}

/// What became of all that were run.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, Count>);

impl Tally {
    pub(super) fn add(&mut self, mutant: Mutant, verdict: Verdict) {
        let folder = mutant.place().split('/').next().unwrap_or_default();
        let count = self.0.entry(folder).or_default();
        match verdict {
            Verdict::Killed => count.killed += 1,
            Verdict::Survived => count.survived += 1,
            Verdict::NeverReached => count.never_reached += 1,
        }
        count.left += usize::from(verdict != Verdict::Killed && mutant.left().is_some());
    }

    fn whole(&self) -> Count {
        self.0.values().fold(Count::default(), |sum, count| Count {
            killed: sum.killed + count.killed,
            survived: sum.survived + count.survived,
            never_reached: sum.never_reached + count.never_reached,
            left: sum.left + count.left,
        })
    }

    /// A mutant that no check noticed, and no reason is given for, is a promise that no check holds.
    pub(super) fn exit(&self, least_percent: u8) -> Exit {
        let whole = self.whole();
        let held = (whole.killed + whole.left) * 100 >= whole.all() * usize::from(least_percent);
        if held { Exit::Pass } else { Exit::Unmet }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<12} {:>7} {:>7} {:>9} {:>13} {:>5}",
            "folder", "mutants", "killed", "survived", "never reached", ""
        )?;
        let whole = [("all", self.whole())];
        for (folder, count) in self.0.iter().map(|(folder, count)| (*folder, *count)).chain(whole) {
            let Count { killed, survived, never_reached, .. } = count;
            let (all, percent) = (count.all(), count.percent());
            writeln!(
                f,
                "{folder:<12} {all:>7} {killed:>7} {survived:>9} {never_reached:>13} {percent:>3} %"
            )?;
        }
        let left = self.whole().left;
        if left > 0 {
            write!(
                f,
                "{left} of those that were not killed are left alone, each for the reason beside it in model/mutant.rs"
            )?;
        }
        Ok(())
    }
}

/// One mutant's line.
pub(super) fn shown(json: bool, mutant: Mutant, verdict: Verdict, found: &Found) -> String {
    let by = found.killed_by.as_deref().unwrap_or_default();
    if json {
        return serde_json::json!({
            "mutant": mutant.name(),
            "place": mutant.place(),
            "what": mutant.what(),
            "verdict": verdict.word(),
            "left": mutant.left(),
            "killed_by": found.killed_by,
            "why": found.why,
        })
        .to_string();
    }
    let told = match (verdict, mutant.left()) {
        (Verdict::Killed, _) if found.why.is_empty() => by.to_owned(),
        (Verdict::Killed, _) => format!("{by}: {}", found.why),
        (_, Some(reason)) => format!("{}: {} Left: {reason}", mutant.place(), mutant.what()),
        (_, None) => format!("{}: {}", mutant.place(), mutant.what()),
    };
    format!("{:<13} {:<36} {told}", verdict.word(), mutant.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_without_a_reason_fail_the_command() {
        let mut tally = Tally::default();
        let unexcused =
            Mutant::ALL.iter().find(|mutant| mutant.left().is_none()).expect("most have no excuse");
        tally.add(*unexcused, Verdict::Killed);
        assert_eq!(tally.exit(100), Exit::Pass);
        if let Some(left) = Mutant::ALL.iter().find(|mutant| mutant.left().is_some()) {
            tally.add(*left, Verdict::Survived);
            assert_eq!(tally.exit(100), Exit::Pass);
        }
        tally.add(*unexcused, Verdict::NeverReached);
        assert_eq!((tally.exit(100), tally.exit(30)), (Exit::Unmet, Exit::Pass));
        let table = tally.to_string();
        let folder = unexcused.place().split('/').next().expect("a folder");
        let row = table.lines().find(|line| line.starts_with(folder)).expect("a row for each folder");
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!((cells[2], cells[4]), ("1", "1"), "{table}");
    }
}
