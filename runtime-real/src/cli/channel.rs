//! `annulus channel …`: the channels of an origin in a depot. In Habitat these stand below `bldr`, which is taken as well.

use clap::Subcommand;

use super::depot::options::DepotOptions;
use super::{CliError, Outcome, block_on, output};
use crate::depot::{Error, check_channel, check_origin};

/// The variable that names the origin.
const ORIGIN_ENV: &str = "HAB_ORIGIN";

/// Commands about Habitat's Builder, and depots like it.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum BldrCommand {
    /// The channels of an origin
    #[command(subcommand)]
    Channel(Command),
}

/// Commands about channels.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Make a channel
    Create(One),
    /// List the channels of an origin
    List {
        /// The origin
        #[arg(value_name = "ORIGIN", env = ORIGIN_ENV)]
        origin: String,
        #[command(flatten)]
        depot: DepotOptions,
    },
    /// Remove a channel; its packages stay
    Destroy(One),
    /// Put all that one channel holds into another
    Promote(Two),
    /// Take all that one channel holds out of another
    Demote(Two),
}

/// A channel.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct One {
    /// The channel
    #[arg(value_name = "CHANNEL")]
    channel: String,
    /// The origin
    #[arg(short, long, value_name = "ORIGIN", env = ORIGIN_ENV)]
    origin: String,
    #[command(flatten)]
    depot: DepotOptions,
}

/// Two channels.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Two {
    /// The channel whose packages are meant
    #[arg(value_name = "SOURCE")]
    from: String,
    /// The channel that changes
    #[arg(value_name = "TARGET")]
    to: String,
    /// The origin
    #[arg(short, long, value_name = "ORIGIN", env = ORIGIN_ENV)]
    origin: String,
    #[command(flatten)]
    depot: DepotOptions,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Create(args) => {
            check(&args.origin, &[&args.channel])?;
            let client = args.depot.client()?;
            let is_new = block_on(async { Ok(client.make_channel(&args.origin, &args.channel).await?) })?;
            let what = if is_new { "there now" } else { "there already" };
            output::line(format_args!("the channel {} of {} is {what}", args.channel, args.origin));
        }
        Command::List { origin, depot } => {
            check(origin, &[])?;
            let client = depot.client()?;
            let found = block_on(async { Ok(client.channels(origin).await?) })?;
            let found = found.ok_or_else(|| {
                Error::NotFound(format!("the depot {} does not know the origin {origin}", client.url()))
            })?;
            for channel in found {
                output::line(channel.name);
            }
        }
        Command::Destroy(args) => {
            check(&args.origin, &[&args.channel])?;
            let client = args.depot.client()?;
            block_on(async { Ok(client.remove_channel(&args.origin, &args.channel).await?) })?;
            output::line(format_args!("the channel {} of {} is removed", args.channel, args.origin));
        }
        Command::Promote(args) => set_all(args, true)?,
        Command::Demote(args) => set_all(args, false)?,
    }
    Ok(0)
}

fn check(origin: &str, channels: &[&str]) -> Result<(), CliError> {
    check_origin(origin)?;
    channels.iter().try_for_each(|channel| check_channel(channel))?;
    Ok(())
}

fn set_all(args: &Two, is_in: bool) -> Result<(), CliError> {
    check(&args.origin, &[&args.from, &args.to])?;
    let client = args.depot.client()?;
    let held_back =
        block_on(async { Ok(client.move_channel(&args.origin, (&args.from, &args.to), is_in).await?) })?;
    for line in held_back {
        eprintln!("warning: left out: {line}");
    }
    let what = if is_in { "is in" } else { "is not in" };
    output::line(format_args!(
        "all that the channel {} of {} holds {what} {} now",
        args.from, args.origin, args.to
    ));
    Ok(())
}
