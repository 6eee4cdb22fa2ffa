//! How `annulus-sim` ends: one number for each outcome, so that a script can tell them apart.

use std::process::ExitCode;

/// An outcome, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was expected held.
    Pass,
    /// A file that cannot be read or understood, or a wrong command line.
    Usage,
    /// Something that a scenario expects did not hold in time.
    Unmet,
    /// A property that always has to hold did not.
    Violated,
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
            Self::Bug => 70,
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
            Self::Bug => "bug",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What `--help` says about it.
pub const HELP: &str = "\
Exit codes:
   0  everything that was expected held
   2  a scenario that cannot be read or understood, or a wrong command line
   3  something that was expected did not hold in time
   4  a property that must hold at every instant did not
  70  a bug of the simulator or of the core: please report what is printed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_code() {
        for exit in [Exit::Pass, Exit::Usage, Exit::Unmet, Exit::Violated, Exit::Bug] {
            let number = format!("{:>4}  ", exit.code());
            assert!(HELP.contains(&number), "{exit:?}");
        }
    }
}
