//! `annulus sup reset MEMBER|SERVICE.GROUP`: puts right what an insider broke, by an order that outbids it. It composes
//! orders that exist, and prints what each outbids; it never changes anything that it was not asked about.

mod group;
mod member;

use annulus_core::ServiceGroup;

use super::ring;
use crate::cli::group::{Seal, Through, Wait};
use crate::cli::{CliError, Global, Outcome};

const EXIT_CODES: &str = "Exit codes: 0 done · 1 refused, or failed · 2 wrong usage, or no such member, ban or group · 3 no \
     supervisor runs · 7 wrong or no ctl secret · 8 a version was outbid meanwhile: give the order again · 9 (--wait) not in \
     effect on every alive member in time";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::cli) struct Args {
    /// A banned member, by its id, how it begins, or its host's name: its ban is lifted, and it is to be started once. Or a
    /// group, SERVICE.GROUP[@ORG]: its configuration and files are taken back by the next versions, and its leader hands over
    #[arg(value_name = "MEMBER|SERVICE.GROUP")]
    what: String,
    /// Of a group, take back its configuration and files, and leave its leader
    #[arg(long, conflicts_with = "election")]
    config: bool,
    /// Of a group, let its leader hand over, and leave its configuration and files
    #[arg(long)]
    election: bool,
    #[command(flatten)]
    seal: Seal,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    through: Through,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    if args.what.is_empty() {
        return Err(CliError::Usage(
            "name the member, or the group, SERVICE.GROUP; this is empty".to_owned(),
        ));
    }
    let ring = ring::ask(global, &args.through.remote())?;
    let named = member::named(&ring, &args.what);
    match (named.is_empty(), args.what.parse::<ServiceGroup>()) {
        (true, Ok(group)) => group::reset(global, args, &ring, args.seal.group(group)?),
        (false, _) if args.config || args.election => Err(CliError::Usage(format!(
            "{} is a member; --config and --election are for a group, SERVICE.GROUP",
            args.what
        ))),
        _ => member::reset(global, args, &ring, &named),
    }
}
