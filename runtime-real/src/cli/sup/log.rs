//! `annulus sup log`: shows the supervisor's log. Reads the files below the root, whether the supervisor runs or not.

use crate::cli::log::read::Kind;
use crate::cli::target::is_there;
use crate::cli::{CliError, Global, Outcome, log};

pub(super) fn run(global: &Global, args: &log::Lines) -> Outcome {
    let sup = global.sup()?;
    let path = sup.log();
    if !is_there(&path)? && !is_there(sup.path())? {
        return Err(CliError::NotRunning {
            root: global.root()?.path().to_owned(),
            name: global.name().to_owned(),
        });
    }
    log::show(&path, Kind::Supervisor, args)
}
