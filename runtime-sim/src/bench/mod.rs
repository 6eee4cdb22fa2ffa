//! `annulus-sim bench`: figures of the simulator and of the protocol.
//!
//! Each experiment starts from a ring that has converged long ago: every node is restored with all members
//! alive, except where joining is what is measured. Times are virtual; only speed and memory are this machine's.

mod cpu;
mod experiment;
mod figures;
mod spread;
mod suite;

use std::path::PathBuf;

use clap::Parser;
use thiserror::Error;

use crate::bed::{BedError, figures as figures_of_daemons, groups, supervision};
use crate::exit::Exit;
pub use figures::Figure;

/// Options of `annulus-sim bench`.
#[derive(Clone, Debug, Parser)]
#[command(group = clap::ArgGroup::new("whole").args(["suite", "daemons", "supervisor", "groups"]))]
pub struct Args {
    /// Size of the ring
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub members: u32,
    /// How long to measure, in virtual seconds; experiments that wait for an event end with it
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// The number that decides all chance
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub seed: u64,
    /// Datagrams and stream segments lost, in percent
    #[arg(long, value_name = "P", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub loss: u32,
    /// Crash one member: when is it confirmed by the others?
    #[arg(long)]
    pub kill: bool,
    /// Load a service on one member: when do the others know?
    #[arg(long)]
    pub rumor: bool,
    /// Let all join through one member within a second: when are all views full?
    #[arg(long)]
    pub join: bool,
    /// Cut the ring in halves for 30 seconds: when is it whole again?
    #[arg(long)]
    pub heal: bool,
    /// Let the ring idle on its lossy links: which members are accused falsely?
    #[arg(long)]
    pub accusations: bool,
    /// Let one member stand still for 5 of every 20 seconds: who suffers?
    #[arg(long)]
    pub pauses: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Measure every promised figure, each in a process of its own, and compare it with its target; takes half an
    /// hour
    #[arg(long, conflicts_with_all = EXPERIMENTS)]
    pub suite: bool,
    /// With --suite: fewer seeds and shorter runs; takes a few minutes
    #[arg(long, requires = "suite")]
    pub quick: bool,
    /// With --suite: a build of the rival's simulator, to be run beside this one; with --daemons: `serf`, or where
    /// it is; with --supervisor: where `supervisord` is, which is measured in any case if it is installed
    #[arg(long, value_name = "PATH", requires = "whole")]
    pub rival: Option<PathBuf>,
    /// Measure so many real daemons on loopback, of a release build of `annulus` beside this program
    #[arg(long, value_name = "N", conflicts_with_all = EXPERIMENTS, value_parser = clap::value_parser!(u32).range(2..=500))]
    pub daemons: Option<u32>,
    /// Measure one real supervisor with many services, of a release build of `annulus` beside this program, and
    /// Debian's supervisord
    #[arg(long, conflicts_with_all = EXPERIMENTS)]
    pub supervisor: bool,
    /// With --supervisor: how many services
    #[arg(long, value_name = "N", default_value_t = 100, requires = "supervisor", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub services: u32,
    /// Measure groups of real members, of a release build of `annulus` beside this program: until so many have a new
    /// configuration, until three have a leader, and another one when it is killed
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", conflicts_with_all = EXPERIMENTS, value_parser = clap::value_parser!(u32).range(3..=100))]
    pub groups: Option<u32>,
    /// Apply a configuration to a group that all members serve: when has each rendered it?
    #[arg(long)]
    pub apply: bool,
    /// Tell rumors of several kinds in rings of 3 to 1,000 members, with so many seeds each: when is each everywhere?
    #[arg(long, value_name = "SEEDS", num_args = 0..=1, default_missing_value = "1000", conflicts_with_all = ["kill", "rumor", "join", "heal", "accusations", "pauses", "apply"], value_parser = clap::value_parser!(u64).range(1..))]
    pub spread: Option<u64>,
    /// With --spread: rings of this size alone
    #[arg(long, value_name = "N", requires = "spread")]
    pub size: Option<u32>,
    /// With --daemons: how often one is killed
    #[arg(long, value_name = "K", default_value_t = 10, requires = "daemons")]
    pub kills: u32,
    /// A ring with a key, simulated or real
    #[arg(long, conflicts_with_all = ["supervisor", "spread", "suite"])]
    pub keyed: bool,
}

/// Options that the suite decides itself.
const EXPERIMENTS: [&str; 11] =
    ["members", "seconds", "seed", "loss", "kill", "rumor", "join", "heal", "accusations", "pauses", "apply"];

impl Default for Args {
    fn default() -> Self {
        Self {
            members: 1_000,
            seconds: 60,
            seed: 1,
            loss: 0,
            kill: false,
            rumor: false,
            join: false,
            heal: false,
            accusations: false,
            pauses: false,
            json: false,
            suite: false,
            quick: false,
            rival: None,
            daemons: None,
            kills: 10,
            keyed: false,
            supervisor: false,
            groups: None,
            apply: false,
            services: 100,
            spread: None,
            size: None,
        }
    }
}

type Experiment = fn(&Args) -> Vec<Figure>;

/// Runs the experiments that the options name, the idle ring where they name none, and returns their figures.
#[must_use]
pub fn measure(args: &Args) -> Vec<Figure> {
    let experiments: [(bool, Experiment); 7] = [
        (args.kill, experiment::kill),
        (args.rumor, experiment::rumor),
        (args.join, experiment::join),
        (args.heal, experiment::heal),
        (args.accusations, experiment::accusations),
        (args.pauses, experiment::pauses),
        (args.apply, experiment::apply_config),
    ];
    let mut figures = Vec::new();
    for (wanted, experiment) in experiments {
        if wanted {
            figures.extend(experiment(args));
        }
    }
    if figures.is_empty() {
        figures = experiment::idle(args);
    }
    figures
}

/// The text of a measurement, and its exit code.
#[derive(Debug)]
pub struct Told {
    /// Figures, for people or as JSON.
    pub text: String,
    /// A suite that misses a target is no success.
    pub exit: Exit,
}

impl Told {
    fn pass(text: String) -> Self {
        Self { text, exit: Exit::Pass }
    }
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// Real daemons could not be had, or failed.
    #[error(transparent)]
    Bed(#[from] BedError),
    /// The suite could not be run to its end.
    #[error("{0}")]
    Suite(String),
}

impl BenchError {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Bed(error) => error.exit(),
            Self::Suite(_) => Exit::Usage,
        }
    }
}

/// Measures as the options ask.
///
/// # Errors
/// Why nothing was measured.
pub fn run(args: &Args) -> Result<Told, BenchError> {
    if args.suite {
        return suite::run(args).map_err(BenchError::Suite);
    }
    if let Some(daemons) = args.daemons {
        let options = figures_of_daemons::Options {
            daemons: daemons as usize,
            kills: args.kills as usize,
            is_keyed: args.keyed,
            rival: args.rival.clone(),
            json: args.json,
        };
        return Ok(Told::pass(figures_of_daemons::run(&options)?));
    }
    if let Some(members) = args.groups {
        let options = groups::Options { members: members as usize, is_keyed: args.keyed, json: args.json };
        return Ok(Told::pass(groups::run(&options)?));
    }
    if let Some(seeds) = args.spread {
        return Ok(Told::pass(spread::run(args, seeds, args.size)));
    }
    if args.supervisor {
        let options = supervision::Options {
            services: args.services as usize,
            rival: args.rival.clone().unwrap_or_else(|| PathBuf::from("supervisord")),
            json: args.json,
        };
        return Ok(Told::pass(supervision::run(&options)?));
    }
    let figures = measure(args);
    let text = if args.json { figures::json(args, &figures) } else { figures::text(args, &figures) };
    Ok(Told::pass(text))
}
