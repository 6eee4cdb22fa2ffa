//! `annulus sup depart MEMBER`: bans a member from the ring for ever. There is no way back.

use annulus_core::MemberId;

use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::gateway::ctl::message::SupDepart;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The member's id, 32 hex digits, as `/butterfly` lists it
    member: MemberId,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    block_on(async {
        let request = SupDepart { member_id: Some(args.member.to_string()) };
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
