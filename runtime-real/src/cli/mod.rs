//! The command line: one file per command, which parses its arguments and carries it out. Commands ask a supervisor
//! over the ctl gateway, or work on packages and keys below the root; only `sup run` and `start` become a supervisor.

pub mod absent;
mod channel;
mod config;
pub mod demo;
mod depot;
mod error;
mod file;
mod group;
mod key;
mod log;
pub mod origin;
mod origin_depot;
pub(crate) mod output;
mod pkg;
mod responder;
mod ring;
mod ring_invite;
mod ring_key;
mod sim;
mod start;
mod sup;
mod svc;
mod target;
mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::host::root::{Root, SupDir};
pub use error::CliError;

/// The end of a command: its exit code, or an error with one.
pub type Outcome = Result<u8, CliError>;

/// A supervisor ring: one daemon per host keeps services running, and the daemons share what they know.
#[derive(Debug, Parser)]
#[command(name = "annulus", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed · 2 not loaded, installed or known, or wrong usage · 3 no \
                          supervisor runs · 4 no root directory · 7 wrong or no ctl secret. Those of the daemon: `annulus sup run --help`.";

/// Options that every command has.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Root directory of packages, services and supervisors [default: ANNULUS_ROOT, else /hab for the
    /// superuser and $XDG_DATA_HOME/annulus for others]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Where")]
    root: Option<PathBuf>,
    /// Name of the supervisor, where several run below this root
    #[arg(long, global = true, value_name = "NAME", default_value = "default", help_heading = "Where")]
    #[arg(value_parser = supervisor_name)]
    override_name: String,
}

impl Global {
    /// The root directory.
    ///
    /// # Errors
    /// No option and no variable says where it is.
    pub fn root(&self) -> Result<Root, CliError> {
        Ok(Root::resolve(self.root.as_deref())?)
    }

    /// The name of the supervisor.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.override_name
    }

    fn sup(&self) -> Result<SupDir, CliError> {
        Ok(self.root()?.sup(self.name()))
    }
}

/// A name becomes a directory, so it must be one component.
fn supervisor_name(text: &str) -> Result<String, String> {
    match text.parse::<annulus_core::ServiceName>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a supervisor's name is one word without dots, slashes or white space".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a supervisor, or give commands to one
    #[command(subcommand)]
    Sup(sup::Command),
    /// Load, start, stop and list services
    #[command(subcommand)]
    Svc(svc::Command),
    /// Run a supervisor with a service; where one runs already, load the service there
    #[command(after_help = sup::RUN_EXIT_CODES)]
    Start(Box<start::Args>),
    /// Configuration of services and service groups
    #[command(subcommand)]
    Config(config::Command),
    /// Files of service groups
    #[command(subcommand)]
    File(file::Command),
    /// Make, look at and install packages
    #[command(subcommand)]
    Pkg(pkg::Command),
    /// Install packages, with what they need: the same as `pkg install`
    Install(Box<pkg::InstallArgs>),
    /// Channels of a depot
    #[command(subcommand)]
    Channel(channel::Command),
    /// Channels of a depot, as Habitat names them
    #[command(subcommand, hide = true)]
    Bldr(channel::BldrCommand),
    /// Serve packages to other hosts
    #[command(subcommand)]
    Depot(depot::Command),
    /// Keys that sign packages
    #[command(subcommand)]
    Origin(origin::Command),
    /// Invitations to a ring, and the keys that seal what its members say
    #[command(subcommand)]
    Ring(ring::Command),
    /// Keys of users, who configure service groups
    #[command(subcommand)]
    User(user::Command),
    /// Show a ring of three supervisors at work on this machine, and remove it afterwards
    Demo(demo::command::Args),
    /// Run the deterministic simulator (`annulus-sim`)
    #[command(disable_help_flag = true)]
    Sim(sim::Args),
    /// Answer HTTP requests with one line: the example service
    #[command(hide = true)]
    Responder(responder::Args),
}

/// Carries out a command.
///
/// # Errors
/// Each error has a message and an exit code.
pub fn run(args: Args) -> Outcome {
    let Args { global, command } = args;
    match command {
        Command::Sup(command) => sup::run(&global, command),
        Command::Svc(command) => svc::run(&global, command),
        Command::Start(args) => start::run(&global, &args),
        Command::Pkg(command) => pkg::run(&global, &command),
        Command::Config(command) => config::run(&global, command),
        Command::File(command) => file::run(&global, command),
        Command::Install(args) => pkg::run_install(&global, &args),
        Command::Channel(command) => channel::run(&command),
        Command::Bldr(channel::BldrCommand::Channel(command)) => channel::run(&command),
        Command::Depot(command) => depot::run(&global, &command),
        Command::Origin(command) => origin::run(&global, &command),
        Command::Ring(command) => ring::run(&global, command),
        Command::User(command) => user::run(&global, command),
        Command::Demo(args) => demo::command::run(args),
        Command::Sim(args) => sim::run(&args),
        Command::Responder(args) => responder::run(&args),
    }
}

/// Runs one asynchronous command to its end.
fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CliError::Runtime)?.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_supervisor_name_cannot_leave_its_directory() {
        for bad in ["", "..", "a/b", "a b"] {
            let args = ["annulus", "--override-name", bad, "svc", "status"];
            assert!(Args::try_parse_from(args).is_err(), "{bad:?} accepted");
        }
    }
}
