//! `annulus sup …`: runs a supervisor, and commands that concern one as a whole. One file per command.

mod depart;
mod log;
mod members;
mod reset;
mod restart;
mod ring;
mod run;
mod secret;
mod term;

use clap::Subcommand;

use super::{Global, Outcome};

pub(super) const RUN_EXIT_CODES: &str = "Exit codes: 0 left the ring in order · 1 failed · 2 wrong usage · 3 another supervisor runs \
                              with this root and name · 4 root unusable · 5 stored state unreadable · 6 address in use · \
                              11 not let in by the invitation of --join · \
                              86 banned from the ring, do not start again · 130 interrupted a third time";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a supervisor until it is told to leave (Ctrl-C or `annulus sup term`)
    #[command(after_help = RUN_EXIT_CODES)]
    Run(Box<run::Args>),
    /// The same as `annulus start`, under its older name
    #[command(hide = true)]
    Start(Box<super::start::Args>),
    /// List the services of a running supervisor: exit code 0, 2 when IDENT is not loaded, 3 when none runs
    Status(super::svc::status::Args),
    /// List the members of the ring as the supervisor sees them
    Members(members::Args),
    /// Sum the ring up: members by state, groups, leaders, versions, peers that do not answer
    Ring(ring::Args),
    /// Show what the supervisor wrote
    Log(super::log::Lines),
    /// Stop the local supervisor in order: it leaves the ring and stops its services
    Term(term::Args),
    /// Start the supervisor again, for a new version or new options of its file; services go on
    Restart(restart::Args),
    /// Ban a member from the ring, until `sup reset` lifts the ban
    Depart(depart::Args),
    /// Put right what an insider broke: lift a ban, or take back what was given to a group and let its leader hand over
    Reset(Box<reset::Args>),
    /// Make ctl secrets
    #[command(subcommand)]
    Secret(secret::Command),
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Run(args) => run::run(global, &args),
        Command::Start(args) => super::start::run(global, &args),
        Command::Status(args) => super::svc::status::run(global, &args),
        Command::Members(args) => members::run(global, &args),
        Command::Ring(args) => ring::run(global, &args),
        Command::Log(args) => log::run(global, &args),
        Command::Term(args) => term::run(global, &args),
        Command::Restart(args) => restart::run(global, &args),
        Command::Depart(args) => depart::run(global, &args),
        Command::Reset(args) => reset::run(global, &args),
        Command::Secret(secret::Command::Generate) => secret::generate(),
    }
}
