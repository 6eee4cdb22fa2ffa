//! `annulus pkg …`: makes, installs, inspects and removes packages.
//! One file per command; none needs a running supervisor. Those that ask a depot are `upload`, `promote` and
//! `depot_views`, and `install` where a depot is named.

mod binds;
mod build;
mod config;
mod dependencies;
mod depot_views;
mod env;
mod exec;
mod hash;
mod header;
mod info;
mod install;
mod list;
mod loaded;
mod path;
mod promote;
mod prune;
mod uninstall;
mod upload;
mod verify;

use annulus_core::{PackageIdent, SysInfo};
use clap::Subcommand;

use super::{Global, Outcome};
use crate::package::{Error, Installed, MetaFile};
use crate::prepare::Sys;

pub(super) use build::new_key_line;
pub(super) use install::{Args as InstallArgs, install};

/// Commands about packages.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Make a package of a plan, signed with its origin's key
    Build(build::Args),
    /// Install packages, with what they need, from files, the artifact cache, or a depot
    Install(install::Args),
    /// Give a depot packages
    Upload(upload::Args),
    /// Put a package of a depot into a channel
    Promote(promote::Args),
    /// Take a package of a depot out of a channel
    Demote(promote::Args),
    /// List the channels that a package of a depot is in
    Channels(depot_views::One),
    /// Find packages of a depot
    Search(depot_views::Search),
    /// Remove a package from a depot
    Delete(depot_views::One),
    /// Remove a package that no other package and no loaded service needs
    Uninstall(uninstall::Args),
    /// Remove old releases of all packages, except those that are in use or needed
    Prune(prune::Args),
    /// List installed packages
    List(list::Args),
    /// Show what a package says about itself
    Info(info::Args),
    /// Print the directory of the newest installed package that is IDENT
    Path(path::Args),
    /// Print the default configuration of the newest installed package that is IDENT
    Config(config::Args),
    /// List the binds of a package and the exports that they read
    Binds(binds::Args),
    /// List the packages that a package needs, or those that need it
    Dependencies(dependencies::Args),
    /// Print the variables that a package's programs run with, for a shell to evaluate
    Env(env::Args),
    /// Run a program of a package, or any other, with the package's variables
    Exec(exec::Args),
    /// Print the BLAKE2b hash of files, or of the files named on standard input
    Hash(hash::Args),
    /// Show the header of a package file, without verifying it
    Header(header::Args),
    /// Check signature and content of a package file
    Verify(verify::Args),
}

fn ident(text: &str) -> Result<PackageIdent, String> {
    text.parse().map_err(|_| "a package is named origin/name[/version[/release]]".to_owned())
}

/// Carries out a command. Its result goes to standard output.
///
/// # Errors
/// Names the file or package, the reason, and what the user can do.
pub(super) fn run(global: &Global, command: &Command) -> Outcome {
    let root = &global.root()?;
    match command {
        Command::Build(args) => Ok(build::run(root, args)?),
        Command::Install(args) => install::run(root, args),
        Command::Upload(args) => upload::run(root, args),
        Command::Promote(args) => promote::run(args, true),
        Command::Demote(args) => promote::run(args, false),
        Command::Channels(args) => depot_views::channels(args),
        Command::Search(args) => depot_views::search(args),
        Command::Delete(args) => depot_views::delete(args),
        Command::Uninstall(args) => uninstall::run(root, args),
        Command::Prune(args) => prune::run(root, args),
        Command::List(args) => Ok(list::run(root, args)?),
        Command::Info(args) => Ok(info::run(root, args)?),
        Command::Path(args) => Ok(path::run(root, args)?),
        Command::Config(args) => Ok(config::run(root, args)?),
        Command::Binds(args) => Ok(binds::run(root, args)?),
        Command::Dependencies(args) => Ok(dependencies::run(root, args)?),
        Command::Env(args) => env::run(root, args),
        Command::Exec(args) => exec::run(root, args),
        Command::Hash(args) => Ok(hash::run(args)?),
        Command::Header(args) => Ok(header::run(args)?),
        Command::Verify(args) => Ok(verify::run(root, args)?),
    }
}

/// `annulus install`.
pub(super) fn run_install(global: &Global, args: &InstallArgs) -> Outcome {
    install::run(&global.root()?, args)
}

/// Prints text as it is.
pub(super) fn print(text: &str) {
    crate::cli::output::text(text);
}

/// The lines of a metafile of an installed package that are not empty.
fn lines(package: &Installed, metafile: MetaFile) -> Result<Vec<String>, Error> {
    let text = package.metafile(metafile)?.unwrap_or_default();
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The facts about this host for hooks that run without a supervisor.
fn sys() -> Sys {
    let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let nowhere = || "127.0.0.1".to_owned();
    let info = SysInfo {
        ip: nowhere(),
        hostname: hostname.unwrap_or_else(|| "localhost".to_owned()),
        gossip_ip: nowhere(),
        gossip_port: 0,
        http_gateway_ip: nowhere(),
        http_gateway_port: 0,
        ctl_gateway_ip: nowhere(),
        ctl_gateway_port: 0,
    };
    Sys { member_id: String::new(), info, permanent: false }
}
