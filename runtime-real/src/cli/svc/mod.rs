//! `annulus svc …`: loads, starts, stops and lists the services of a supervisor. One file per command; all but `log` and `key`
//! ask the supervisor over its ctl gateway.

mod drain;
pub(super) mod key;
pub(super) mod load;
mod log;
mod maintenance;
pub(super) mod options;
mod restart;
mod start;
pub(super) mod status;
mod stop;
mod unload;
mod update;

use clap::Subcommand;

use super::{Global, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Load a service and keep it running
    Load(Box<load::Args>),
    /// Stop a service and forget it
    Unload(unload::Args),
    /// Start a loaded service
    Start(start::Args),
    /// Stop a loaded service; it stays loaded
    Stop(stop::Args),
    /// Stop services in order and start them again; their options stay
    Restart(restart::Args),
    /// Change options of a loaded service; only what is given changes
    Update(Box<update::Args>),
    /// Let a service take no new work; it goes on running
    Drain(drain::Args),
    /// Let a drained service take work again
    Undrain(drain::UndrainArgs),
    /// Put a service into maintenance, or end it
    #[command(subcommand)]
    Maintenance(maintenance::Command),
    /// List the services of a running supervisor: exit code 0, 2 when IDENT is not loaded, 3 when none runs
    Status(status::Args),
    /// Show what a service wrote
    Log(log::Args),
    /// The keys for which users seal a group's configuration and files
    #[command(subcommand)]
    Key(key::Command),
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Load(args) => load::run(global, &args),
        Command::Unload(args) => unload::run(global, &args),
        Command::Start(args) => start::run(global, &args),
        Command::Stop(args) => stop::run(global, &args),
        Command::Restart(args) => restart::run(global, &args),
        Command::Update(args) => update::run(global, &args),
        Command::Drain(args) => drain::run(global, &args),
        Command::Undrain(args) => drain::undo(global, &args),
        Command::Maintenance(command) => maintenance::run(global, &command),
        Command::Status(args) => status::run(global, &args),
        Command::Log(args) => log::run(global, &args),
        Command::Key(command) => key::run(global, command),
    }
}
