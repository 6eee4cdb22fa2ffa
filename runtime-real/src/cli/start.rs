//! `annulus start PKG|FILE`: loads a service into the local supervisor, and becomes that supervisor where none runs
//! yet. Never starts a second one.

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
    /// If a supervisor runs already: replace the options of a service that is loaded there
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    spec: SpecOptions,
    #[command(flatten)]
    options: Options,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let (root, sup) = (global.root()?, global.sup()?);
    let ident = load::ident(global, &args.package, args.options.allow_root)?;
    let holder = lock::held_by(&sup).map_err(CliError::io(sup.lock().display().to_string()))?;
    // In a supervisor that its launcher started, that launcher holds the lock.
    let Some(pid) = holder.filter(|_| !launcher::is_parent()) else {
        args.spec.bring(global, &ident)?;
        let load = args.spec.load(&ident, true)?;
        return Ok(sup_run::run(&root, global.name(), &args.options, Some(load))?);
    };
    output::line(format_args!(
        "a supervisor runs here already, process {}; {ident} is loaded there, options of `sup run` change nothing",
        pid.trim()
    ));
    let request = args.spec.load(&ident, args.force)?;
    load::warn_of_variable(&ident);
    block_on(async {
        let client = target::connect(global, &Remote::default()).await?;
        client.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
