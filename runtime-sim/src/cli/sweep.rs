//! `annulus-sim sweep` and `annulus-sim merge`: see [`crate::sweep`].

use crate::exit::Exit;
use crate::sweep::{self, Args, MergeArgs, Report, SweepError};

pub(super) fn run(args: &Args) -> Exit {
    tell(sweep::run(args))
}

pub(super) fn merge(args: &MergeArgs) -> Exit {
    tell(sweep::merge(args))
}

fn tell(report: Result<Report, SweepError>) -> Exit {
    match report {
        Ok(report) => {
            super::emit(report.text.trim_end());
            report.exit
        }
        Err(error) => {
            eprintln!("annulus-sim: {error}");
            Exit::Usage
        }
    }
}
