//! `annulus sup depart MEMBER`: bans a member from the ring, until `annulus sup reset` lifts the ban.

use super::ring;
use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::message::SupDepart;
use crate::gateway::ctl::ring_message::RingStatus;

/// So many digits of an id are needed at least, because a ban ends a supervisor.
const DIGITS_MIN: usize = 8;
const DIGITS: usize = 32;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The member's id, 32 hex digits, or how it begins, at least 8 of them, as `annulus sup members` lists it
    #[arg(value_parser = digits)]
    member: String,
    #[command(flatten)]
    remote: Remote,
}

fn digits(text: &str) -> Result<String, String> {
    let is_hex = text.chars().all(|c| c.is_ascii_hexdigit());
    if is_hex && (DIGITS_MIN..=DIGITS).contains(&text.len()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("a member's id is {DIGITS} hex digits; give at least its first {DIGITS_MIN}"))
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let member = if args.member.len() == DIGITS {
        args.member.clone()
    } else {
        whole(&ring::ask(global, &args.remote)?, &args.member)?
    };
    block_on(async {
        let request = SupDepart { member_id: Some(member) };
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}

/// The id of the one member whose id begins like this.
fn whole(ring: &RingStatus, begin: &str) -> Result<String, CliError> {
    let ids = ring.members.iter().map(|member| &member.member_id).filter(|id| id.starts_with(begin));
    match ids.collect::<Vec<_>>()[..] {
        [one] => Ok(one.clone()),
        [] => Err(CliError::Usage(format!(
            "no member's id begins with {begin}; `annulus sup members` lists the members"
        ))),
        _ => Err(CliError::Usage(format!("several members' ids begin with {begin}; give more digits"))),
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::MemberId;

    use super::*;
    use crate::gateway::ctl::ring_message::RingMember;

    #[test]
    fn an_id_may_be_given_by_its_beginning_if_one_member_fits() {
        let member = |id: &str| RingMember { member_id: id.into(), ..RingMember::default() };
        let members =
            vec![member("0123456789abcdef0123456789abcdef"), member("0123456700000000000000000000ffff")];
        let ring = RingStatus { members, ..RingStatus::default() };
        assert_eq!(whole(&ring, "012345678").expect("one fits"), "0123456789abcdef0123456789abcdef");
        assert!(whole(&ring, "01234567").expect_err("two fit").to_string().contains("more digits"));
        assert!(whole(&ring, "99999999").expect_err("none fits").to_string().contains("sup members"));
        for bad in ["", "0123456", "0123456x", "0123456789abcdef0123456789abcdef0"] {
            assert!(digits(bad).is_err(), "{bad:?}");
        }
        assert_eq!(digits("ABCDEF01").as_deref(), Ok("abcdef01"));
        let id = MemberId::from_bytes([7; 16]).to_string();
        assert_eq!(digits(&id), Ok(id.clone()), "every id is taken");
    }
}
