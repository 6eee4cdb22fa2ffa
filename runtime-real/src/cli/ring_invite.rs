//! `annulus ring invite`: prints the line with which one more host comes into a ring that has a key. Makes the secret itself; the
//! supervisor gets its hash, so that it goes over no connection.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use annulus_core::UnixTime;
use serde_json::json;

use super::svc::status::duration;
use super::target::{self, Remote};
use super::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::client::Client;
use crate::gateway::ctl::invite_message::{
    InviteAddress, InviteLine, RingInvite, RingInviteRevoke, RingInvited, RingInvites, RingInvitesQuery,
    RingInvitesRevoked,
};
use crate::gateway::ctl::message::CtlMessage;
use crate::host::clock;
use crate::host::timestamp::rfc3339_millis;
use crate::invite::line::{Address, JoinLine, JoinSecret};
use crate::invite::register::{FOR_MS_MAX, FOR_MS_MIN};
use crate::sup_run::Age;

pub(super) const AFTER_HELP: &str = "Standard output has the line alone. It holds a secret: the first host that uses it has the key of the \
                                     ring. Exit codes: 0 done · 1 refused (the ring has no key, or too many invitations are open) · \
                                     2 wrong usage, no address that other hosts reach, or no such invitation · 3 no supervisor runs.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// For how long the invitation counts, from 1m to 7d
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    time: For,
    /// Where the new host reaches this supervisor; up to four [default: what the supervisor knows of its own address]
    #[arg(long, value_name = "HOST[:PORT]")]
    address: Vec<Given>,
    /// Show the invitations that are open, and those that ended within a day
    #[arg(long, conflicts_with_all = ["address", "revoke"])]
    list: bool,
    /// With --list: print JSON
    #[arg(long, requires = "list")]
    json: bool,
    /// Take an invitation back: its id, or `all`
    #[arg(long, value_name = "ID", conflicts_with = "address")]
    revoke: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// A time within bounds.
#[derive(Clone, Copy, Debug)]
struct For(u64);

impl FromStr for For {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let Age(ms) = text.parse()?;
        let is_fit = (FOR_MS_MIN..=FOR_MS_MAX).contains(&ms);
        is_fit
            .then_some(Self(ms))
            .ok_or_else(|| "an invitation counts for one minute to seven days".to_owned())
    }
}

/// A host, with its port or without.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given(InviteAddress);

impl FromStr for Given {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of = |host: String, port: Option<u16>| {
            let wrong = "write HOST or HOST:PORT, an IPv6 address with a port as [IP]:PORT";
            Address::new(&host, port.unwrap_or(1)).ok_or(wrong)?;
            Ok(Self(InviteAddress { host, port: port.map(u32::from) }))
        };
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return of(socket.ip().to_string(), Some(socket.port()));
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match (bare.parse::<IpAddr>(), text.split_once(':')) {
            (Ok(ip), _) => of(ip.to_string(), None),
            (Err(_), Some((host, port))) => {
                of(host.to_owned(), Some(port.parse().map_err(|_| "the port is a number from 1 to 65535")?))
            }
            (Err(_), None) => of(text.to_owned(), None),
        }
    }
}

pub(super) fn run(global: &Global, args: Args) -> Outcome {
    block_on(async {
        if args.list {
            list(&ask(global, &args.remote, &RingInvitesQuery {}).await?, args.json);
        } else if let Some(id) = args.revoke {
            let id = Some(id).filter(|id| id != "all");
            let RingInvitesRevoked { ids } = ask(global, &args.remote, &RingInviteRevoke { id }).await?;
            match ids.as_slice() {
                [] => output::line("no invitation was open"),
                ids => output::line(format_args!("taken back: {}", ids.join(", "))),
            }
        } else {
            invite(global, &args).await?;
        }
        Ok(0)
    })
}

async fn ask<T: CtlMessage, A: CtlMessage>(
    global: &Global,
    remote: &Remote,
    request: &T,
) -> Result<A, CliError> {
    let client: Client = target::connect(global, remote).await?;
    let answers: Vec<A> = client.query(request).await?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

async fn invite(global: &Global, args: &Args) -> Result<(), CliError> {
    let secret = JoinSecret::generate().map_err(|error| CliError::Usage(error.to_string()))?;
    let request = RingInvite {
        verifier: secret.verifier().key().as_bytes().to_vec(),
        for_ms: args.time.0,
        addresses: args.address.iter().map(|given| given.0.clone()).collect(),
    };
    let invited: RingInvited = ask(global, &args.remote, &request).await?;
    let line = line(&invited, secret).ok_or_else(|| {
        CliError::Usage(
            "the supervisor answers with what is no invitation; is it of another version?".to_owned(),
        )
    })?;
    let left_s = invited.until_ms.saturating_sub(clock::wall().as_millis()).div_ceil(1_000);
    eprintln!(
        "Invitation {} lets one host into ring {} for {}, until {}. Type there:\n\n  annulus sup run --join LINE\n\nwith this line, \
         which holds a secret (`--join -` reads it from standard input, `--join @FILE` from a file):\n",
        invited.id,
        invited.ring,
        duration(i64::try_from(left_s).unwrap_or(i64::MAX)),
        rfc3339_millis(UnixTime::from_millis(invited.until_ms)),
    );
    output::line(line.to_text());
    if invited.is_supposed {
        eprintln!(
            "\nThe address is that from which this host reaches others; where the new host needs another, give --address HOST:PORT"
        );
    }
    Ok(())
}

/// The line of an invitation; none where its parts make none.
fn line(invited: &RingInvited, secret: JoinSecret) -> Option<JoinLine> {
    let address = |at: &InviteAddress| Address::new(&at.host, u16::try_from(at.port?).ok()?);
    let line = JoinLine {
        ring: invited.ring.clone(),
        addresses: invited.addresses.iter().map(address).collect::<Option<_>>()?,
        inviter: invited.member_id.parse().ok()?,
        secret,
    };
    line.to_text().parse::<JoinLine>().ok()
}

fn list(invites: &RingInvites, json: bool) {
    if json {
        let line = |line: &InviteLine| {
            json!({
                "id": line.id,
                "state": line.state,
                "made_ms": line.made_ms,
                "until_ms": line.until_ms,
                "used_by": line.used_by,
                "used_ms": line.used_ms,
            })
        };
        let list: Vec<_> = invites.invitations.iter().map(line).collect();
        return output::line(format_args!("{:#}", json!({ "ring": invites.ring, "invitations": list })));
    }
    if invites.invitations.is_empty() {
        return output::line(format_args!("ring {} has no invitations of this supervisor", invites.ring));
    }
    let time = |ms| rfc3339_millis(UnixTime::from_millis(ms));
    let row = |line: &InviteLine| {
        let used = line.used_by.clone().zip(line.used_ms).map(|(by, at)| format!("{by} at {}", time(at)));
        let used = used.unwrap_or_else(|| "-".to_owned());
        vec![line.id.clone(), line.state.clone(), time(line.made_ms), time(line.until_ms), used]
    };
    let rows: Vec<_> = invites.invitations.iter().map(row).collect();
    output::line(format_args!("ring {}", invites.ring));
    output::table(&["invitation", "state", "made", "counts until", "used by"], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_addresses_have_bounds() {
        for (text, ms) in
            [("1m", Some(60_000)), ("7d", Some(FOR_MS_MAX)), ("59s", None), ("8d", None), ("soon", None)]
        {
            assert_eq!(text.parse::<For>().ok().map(|time| time.0), ms, "{text}");
        }
        let given = |host: &str, port| Ok(Given(InviteAddress { host: host.to_owned(), port }));
        for (text, wanted) in [
            ("one.example.com", given("one.example.com", None)),
            ("one:7", given("one", Some(7))),
            ("[::1]:7", given("::1", Some(7))),
            ("[::1]", given("::1", None)),
            ("::1", given("::1", None)),
            ("10.0.0.1", given("10.0.0.1", None)),
        ] {
            assert_eq!(text.parse::<Given>(), wanted, "{text}");
        }
        for bad in ["", "a b", "one:0", "one:x", "10.0.0.1:0", "one:two:3"] {
            assert!(bad.parse::<Given>().is_err(), "{bad}");
        }
    }
}
