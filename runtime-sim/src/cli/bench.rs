//! `annulus-sim bench`: see [`crate::bench`].

use crate::bench::{self, Args};
use crate::exit::Exit;

pub(super) fn run(args: &Args) -> Exit {
    bench::run(args)
}
