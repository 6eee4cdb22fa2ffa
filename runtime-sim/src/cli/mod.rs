//! The command line of `annulus-sim`, one file for each command. Nothing below this floor reads options or files.

mod bench;
mod chaos;
mod check;
mod explain;
mod list;
mod load;
#[cfg(feature = "mutants")]
mod mutants;
mod on_bed;
mod pool;
mod run;
mod shrink;
mod sweep;

use std::io::{self, Write as _};

use clap::{Parser, Subcommand};

use crate::exit::{self, Exit};

/// Runs rings in a simulated world: the same core that the daemon runs, with simulated hosts, networks and time.
#[derive(Debug, Parser)]
#[command(name = "annulus-sim", version, after_help = exit::HELP, after_long_help = exit::HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Perform one scenario and print its outcome.
    Run(run::Args),
    /// Perform every scenario in files and folders, several at a time, with a line for each.
    Check(check::Args),
    /// List what a scenario can do and expect, one line each.
    List,
    /// Draw rings and faults from seeds; afterwards all members must share one view.
    Sweep(sweep::Args),
    /// Add up the results of several sweeps, such as the shards of one.
    Merge(sweep::MergeArgs),
    /// Tell from a trace why a member was held dead, a group has no leader, a process was started anew, a version did
    /// not arrive.
    Explain(explain::Args),
    /// Reduce a scenario that fails to a small one that fails in the same way.
    Shrink(shrink::Args),
    /// Say which small mutations of the core scenarios and seeds notice.
    #[cfg(feature = "mutants")]
    Mutants(mutants::Args),
    /// Measure the simulator and the protocol.
    Bench(crate::bench::Args),
    /// Strike real daemons in network namespaces with random faults, and judge what their processes do.
    Chaos(chaos::Args),
    #[command(subcommand, hide = true)]
    ChaosWitness(chaos::Witness),
}

impl Cli {
    /// Runs the command of this command line.
    #[must_use]
    pub fn run(self) -> Exit {
        match self.command {
            Command::Run(args) => run::run(&args),
            Command::Check(args) => check::run(&args),
            Command::List => list::run(),
            Command::Sweep(args) => sweep::run(&args),
            Command::Merge(args) => sweep::merge(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Shrink(args) => shrink::run(&args),
            #[cfg(feature = "mutants")]
            Command::Mutants(args) => mutants::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Chaos(args) => chaos::run_chaos(args),
            Command::ChaosWitness(what) => chaos::run_witness(what),
        }
    }
}

/// The defect of this name.
#[cfg(feature = "planted-bugs")]
pub(crate) fn bug(name: &str) -> Result<annulus_core::Bug, String> {
    let all = annulus_core::Bug::ALL;
    all.iter().copied().find(|bug| bug.name() == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|bug| bug.name()).collect();
        format!("there is no such defect; there are {}", names.join(", "))
    })
}

/// Prints a line. A reader that has closed its end, as `head` does, is no failure of ours.
pub(crate) fn emit(text: &str) {
    if let Err(error) = writeln!(io::stdout(), "{text}") {
        let expected = error.kind() == io::ErrorKind::BrokenPipe;
        std::process::exit(i32::from(if expected { Exit::Pass.code() } else { Exit::Usage.code() }));
    }
}
