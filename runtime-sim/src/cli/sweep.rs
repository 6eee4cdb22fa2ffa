//! `annulus-sim sweep`: see [`crate::sweep`].

use crate::exit::Exit;
use crate::sweep::{self, Args};

pub(super) fn run(args: &Args) -> Exit {
    match sweep::run(args) {
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
