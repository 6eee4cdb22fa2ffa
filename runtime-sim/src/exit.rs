//! How `annulus-sim` ends: one number for each outcome, so that a script can tell them apart.

use std::process::ExitCode;

/// An outcome, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Every expectation held.
    Pass,
    /// This machine cannot provide the bed, such as network namespaces without root.
    Skipped,
    /// The scenario asks for an action that a bed with real daemons cannot do.
    NotHere,
    /// A file that cannot be read or understood, or a wrong command line.
    Usage,
    /// A signal ended the command; what it had found so far is kept.
    Interrupted,
    /// An expectation of a scenario did not hold in time.
    Unmet,
    /// A property that always has to hold did not.
    Violated,
    /// Two beds did not agree about a scenario.
    Disagreement,
    /// A tool or a daemon that a bed needs failed, or the user pressed Ctrl-C.
    BedFailed,
    /// The simulator or the core panicked.
    Bug,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Usage => 2,
            Self::Unmet => 3,
            Self::Violated => 4,
            Self::Disagreement => 5,
            Self::NotHere => 6,
            Self::BedFailed => 7,
            Self::Bug => 70,
            Self::Skipped => 77,
            Self::Interrupted => 130,
        }
    }

    /// One word for summaries.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Usage => "bad-file",
            Self::Unmet => "unmet",
            Self::Violated => "violated",
            Self::Disagreement => "disagreement",
            Self::NotHere => "not-here",
            Self::BedFailed => "bed-failed",
            Self::Bug => "bug",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The part of `--help` about exit codes.
pub const HELP: &str = "\
Exit codes:
   0  every expectation held
   2  a scenario that cannot be read or understood, or a wrong command line
   3  an expectation did not hold in time
   4  a property that must hold at every instant did not
   5  two beds did not agree about a scenario
   6  the scenario asks for what this bed cannot do
   7  a tool or a daemon that the bed needs failed
  70  a bug of the simulator or of the core: please report what is printed
  77  skipped: this machine cannot provide the bed
 130  a sweep was interrupted (SIGINT or SIGTERM) and has found no failure so far; its results are kept";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_code() {
        let all = [
            Exit::Pass,
            Exit::Skipped,
            Exit::Interrupted,
            Exit::NotHere,
            Exit::Usage,
            Exit::Unmet,
            Exit::Violated,
            Exit::Disagreement,
            Exit::BedFailed,
            Exit::Bug,
        ];
        for exit in all {
            let number = format!("{:>4}  ", exit.code());
            assert!(HELP.contains(&number), "{exit:?}");
        }
    }
}
