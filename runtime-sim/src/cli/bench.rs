//! `annulus-sim bench`: prints the figures of [`crate::bench`].

use super::emit;
use crate::bench::{self, Args};
use crate::exit::Exit;

pub(super) fn run(args: &Args) -> Exit {
    match bench::run(args) {
        Ok(told) => {
            emit(told.text.trim_end());
            told.exit
        }
        Err(error) => {
            eprintln!("{error}");
            error.exit()
        }
    }
}
