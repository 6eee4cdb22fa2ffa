//! `annulus start PKG|FILE`: a supervisor and a service at once.

use super::svc::load;
use super::svc::options::SpecOptions;
use super::target::{self, Remote};
use super::{CliError, Global, Outcome, block_on, output};
use crate::host::lock;
use crate::launcher;
use crate::sup_run::{self, options::Options};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// What to run: origin/name[/version[/release]], or a .hart file, which is installed first
    #[arg(value_name = "IDENT|FILE")]
    package: String,
    /// Where a supervisor runs already: replace the options of a service that is loaded
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    spec: SpecOptions,
    #[command(flatten)]
    options: Options,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let (root, sup) = (global.root()?, global.sup()?);
    let ident = load::ident(global, &args.package)?;
    let holder = lock::held_by(&sup).map_err(CliError::io(sup.lock().display().to_string()))?;
    // A supervisor's own launcher is who holds it.
    let Some(pid) = holder.filter(|_| !launcher::is_parent()) else {
        let load = args.spec.load(&ident, true)?;
        return Ok(sup_run::run(&root, global.name(), &args.options, Some(load))?);
    };
    output::line(format_args!(
        "a supervisor runs here already, process {}; {ident} is loaded there, options of `sup run` change nothing",
        pid.trim()
    ));
    let request = args.spec.load(&ident, args.force)?;
    block_on(async {
        let client = target::connect(global, &Remote::default()).await?;
        client.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
