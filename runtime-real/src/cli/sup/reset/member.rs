//! Lifts the ban of a member.

use super::Args;
use super::ring::host_of;
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::message::SupReset;
use crate::gateway::ctl::ring_message::RingStatus;

/// So many digits of an id are needed at least, so that a host's name is not taken for one.
const DIGITS_MIN: usize = 8;
const DIGITS: usize = 32;

/// The members that are meant: by a host's name, or the beginning of an id. Banned ones are known by their id alone once
/// the ring has forgotten them.
pub(super) fn named(ring: &RingStatus, what: &str) -> Vec<String> {
    let digits = what.to_ascii_lowercase();
    let is_id =
        (DIGITS_MIN..=DIGITS).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit());
    let known = ring.members.iter().map(|member| (&member.member_id, member.host.as_str()));
    let banned = ring.banned.iter().map(|id| (id, ""));
    let mut found: Vec<String> = known
        .chain(banned)
        .filter(|(id, host)| *host == what || (is_id && id.starts_with(&digits)))
        .map(|(id, _)| id.clone())
        .collect();
    found.sort_unstable();
    found.dedup();
    if found.is_empty() && digits.len() == DIGITS && is_id {
        found.push(digits);
    }
    found
}

pub(super) fn reset(global: &Global, args: &Args, ring: &RingStatus, named: &[String]) -> Outcome {
    let member = chosen(ring, &args.what, named)?;
    let order = ring.bans.iter().find(|order| order.member_id == member && !order.lifted);
    block_on(async {
        let request = SupReset { member_id: Some(member.clone()) };
        let client = args.through.connect(global).await?;
        client.request(&request, |line| output::line(line)).await?;
        let by = order.and_then(|order| order.by.as_deref()).map(|by| host_of(ring, by));
        let by = by.unwrap_or_else(|| "a member that is not known any more".to_owned());
        output::line(format_args!("what it outbids: the ban by an order to {by}"));
        Ok(0)
    })
}

/// Of several members of one host's name the one that is banned is meant, where there is one.
fn chosen(ring: &RingStatus, what: &str, named: &[String]) -> Result<String, CliError> {
    let banned: Vec<&String> = named.iter().filter(|id| ring.banned.contains(id)).collect();
    let list = |ids: &[&String]| ids.iter().map(|id| host_of(ring, id)).collect::<Vec<_>>().join(", ");
    match (&banned[..], named) {
        ([one], _) => Ok((*one).clone()),
        ([], [one]) => Ok(one.clone()),
        ([], []) => {
            let all: Vec<&String> = ring.banned.iter().collect();
            let banned =
                if all.is_empty() { "none is banned".to_owned() } else { format!("banned: {}", list(&all)) };
            Err(CliError::Usage(format!(
                "no member is called {what}, and it names no group, SERVICE.GROUP; {banned}"
            )))
        }
        ([], many) => Err(CliError::Usage(format!(
            "several members are called {what} and none of them is banned: {}",
            list(&many.iter().collect::<Vec<_>>())
        ))),
        (several, _) => Err(CliError::Usage(format!(
            "several banned members are called {what}; give more digits of the id: {}",
            several.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ctl::ring_message::RingMember;

    fn ring() -> RingStatus {
        let member = |id: &str, host: &str| RingMember {
            member_id: id.into(),
            host: host.into(),
            ..RingMember::default()
        };
        let members = vec![
            member("0123456789abcdef0123456789abcdef", "alpha"),
            member("0123456700000000000000000000ffff", "beta"),
            member("aaaaaaaa00000000000000000000ffff", "beta"),
        ];
        let banned = vec![
            "0123456700000000000000000000ffff".to_owned(),
            "bbbbbbbb00000000000000000000ffff".to_owned(),
        ];
        RingStatus { members, banned, ..RingStatus::default() }
    }

    fn choose(what: &str) -> Result<String, String> {
        let ring = ring();
        chosen(&ring, what, &named(&ring, what)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_member_is_named_by_its_id_its_beginning_or_its_host() {
        assert_eq!(
            choose("bbbbbbbb").as_deref(),
            Ok("bbbbbbbb00000000000000000000ffff"),
            "the ring forgot it"
        );
        let unknown = choose("BETA").expect_err("hosts' names have a case");
        assert!(unknown.contains("no member is called BETA"), "{unknown}");
        assert_eq!(choose("beta").as_deref(), Ok("0123456700000000000000000000ffff"), "the banned one");
        assert_eq!(choose("01234567").as_deref(), Ok("0123456700000000000000000000ffff"));
        assert_eq!(
            choose("alpha").as_deref(),
            Ok("0123456789abcdef0123456789abcdef"),
            "the supervisor refuses it"
        );
        let unknown = choose("gamma").expect_err("no such member");
        assert!(unknown.contains("banned: beta (01234567), bbbbbbbb"), "{unknown}");
        let whole = "cccccccc00000000000000000000ffff";
        assert_eq!(choose(whole).as_deref(), Ok(whole), "the supervisor may know more");
    }
}
