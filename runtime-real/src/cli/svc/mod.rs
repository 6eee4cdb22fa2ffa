//! `annulus svc …`.

mod load;
mod log;
mod start;
pub(super) mod status;
mod stop;
mod unload;

use clap::Subcommand;

use super::{Global, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Load a service and keep it running
    Load(load::Args),
    /// Stop a service and forget it
    Unload(unload::Args),
    /// Start a loaded service
    Start(start::Args),
    /// Stop a loaded service; it stays loaded
    Stop(stop::Args),
    /// List the services of a running supervisor: exit code 0, 2 when IDENT is not loaded, 3 when none runs
    Status(status::Args),
    /// Show what a service wrote
    Log(log::Args),
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Load(args) => load::run(global, &args),
        Command::Unload(args) => unload::run(global, &args),
        Command::Start(args) => start::run(global, &args),
        Command::Stop(args) => stop::run(global, &args),
        Command::Status(args) => status::run(global, &args),
        Command::Log(args) => log::run(global, &args),
    }
}
