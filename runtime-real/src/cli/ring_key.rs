//! `annulus ring key use|status`: brings another key of a ring into use, and shows who can open which.

use serde_json::{Value, json};

use super::target::{self, Remote};
use super::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::client::Client;
use crate::gateway::ctl::key_message::{RingKeyLine, RingKeyMember, RingKeyQuery, RingKeyStatus, RingKeyUse};
use crate::host::timestamp;
use crate::keys::KeyId;
use crate::sup_run::Age;

/// A weekend's partition.
const GRACE: &str = "72h";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct UseArgs {
    /// The ring's name, for its newest key on the supervisor's host, or the name and revision of one, NAME-YYYYMMDDHHMMSS
    #[arg(value_name = "NAME[-REVISION]")]
    key: String,
    /// Use it at once, whatever members cannot open it; they are named first
    #[arg(long)]
    force: bool,
    /// How long older keys open afterwards. 0 is an emergency: they open nothing any more, and members do not hand the new key on
    #[arg(long, value_name = "TIME", default_value = GRACE)]
    grace: Grace,
    #[command(flatten)]
    at: At,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

/// The supervisor that is asked.
#[derive(Clone, Debug, clap::Args)]
struct At {
    #[command(flatten)]
    remote: Remote,
}

/// A time that may be none.
#[derive(Clone, Copy, Debug)]
struct Grace(u64);

impl std::str::FromStr for Grace {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" { Ok(Self(0)) } else { text.parse().map(|Age(ms)| Self(ms)) }
    }
}

/// Name and revision out of what was given.
fn parts(text: &str) -> (String, Option<String>) {
    match text.parse::<KeyId>() {
        Ok(id) => (id.name().to_owned(), Some(id.revision().to_owned())),
        Err(_) => (text.to_owned(), None),
    }
}

pub(super) fn use_key(global: &Global, args: &UseArgs) -> Outcome {
    let (ring, revision) = parts(&args.key);
    if args.grace.0 == 0 && !args.force {
        let why = "--grace 0 is an emergency, in which members hand the new key to no other: it would wait for ever for those that \
                   lack it; use it at once with --force, or give older keys a grace";
        return Err(CliError::Usage(why.to_owned()));
    }
    block_on(async {
        if args.force {
            let before = ask(global, &args.at.remote, &RingKeyQuery {}).await?;
            warn_of_the_lost(&before, revision.as_deref(), args.grace.0);
        }
        let request =
            RingKeyUse { ring, revision: revision.clone(), force: args.force, grace_ms: args.grace.0 };
        let status = ask(global, &args.at.remote, &request).await?;
        output::line(outcome(&status, revision.as_deref(), args.grace.0));
        Ok(0)
    })
}

pub(super) fn status(global: &Global, args: &StatusArgs) -> Outcome {
    block_on(async {
        let status = ask(global, &args.at.remote, &RingKeyQuery {}).await?;
        if args.json {
            output::line(format_args!("{:#}", to_json(&status)));
        } else {
            show(&status);
        }
        Ok(0)
    })
}

async fn ask<T: crate::gateway::ctl::message::CtlMessage>(
    global: &Global,
    remote: &Remote,
    request: &T,
) -> Result<RingKeyStatus, CliError> {
    let client: Client = target::connect(global, remote).await?;
    let answers: Vec<RingKeyStatus> = client.query(request).await?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

/// The key that an order is about: of this revision, else the newest.
fn meant<'a>(status: &'a RingKeyStatus, revision: Option<&str>) -> Option<&'a RingKeyLine> {
    let is_meant = |key: &&RingKeyLine| revision.is_none_or(|revision| key.revision == revision);
    status.keys.iter().rev().filter(is_meant).find(|key| key.state != "clear")
}

fn warn_of_the_lost(status: &RingKeyStatus, revision: Option<&str>, grace_ms: u64) {
    let lacked = match meant(status, revision) {
        Some(key) if revision.is_some() || key.state == "offered" || key.state == "new" => {
            names(status, &key.lacked_by)
        }
        _ => names(
            status,
            &status
                .members
                .iter()
                .map(|m| m.member_id.clone())
                .filter(|id| *id != status.answered_by)
                .collect::<Vec<_>>(),
        ),
    };
    if lacked.is_empty() {
        return;
    }
    let what = if grace_ms == 0 {
        "is cut off until the key's file is put into the key cache of its host"
    } else {
        "is cut off once older keys are dropped, unless the ring can hand the key to it before"
    };
    for name in lacked {
        eprintln!("warning: {name} cannot open that key: it {what}");
    }
}

/// What an order led to.
fn outcome(status: &RingKeyStatus, revision: Option<&str>, grace_ms: u64) -> String {
    let Some(key) = meant(status, revision) else { return format!("ring {} has no such key", status.ring) };
    let name = format!("{}-{}", status.ring, key.revision);
    if key.state == "current" {
        let older = older_keys(status, if grace_ms == 0 { 0 } else { key.grace_ms.unwrap_or(grace_ms) });
        return format!("ring {} speaks with the key {name} from now on; {older}", status.ring);
    }
    let waits = names(status, &key.lacked_by);
    let waits = if waits.is_empty() { "the next look".to_owned() } else { waits.join(", ") };
    let grace = duration(key.grace_ms.unwrap_or(grace_ms));
    format!(
        "the key {name} is offered to the ring and becomes current once every member can open it; it waits for {waits}; older keys \
         open for {grace} afterwards\n\
         `annulus ring key status` shows how far it is, and `--force` waits for no member"
    )
}

/// Which older keys go on opening what comes: of a limited number, so that the oldest may have had to make room.
fn older_keys(status: &RingKeyStatus, grace_ms: u64) -> String {
    let retired = status.keys.iter().filter(|key| key.state == "retired");
    let (open, shut): (Vec<&RingKeyLine>, Vec<_>) = retired.partition(|key| key.until_ms.is_some());
    if grace_ms == 0 || open.is_empty() {
        return "older keys open nothing any more".to_owned();
    }
    let list = |keys: &[&RingKeyLine]| {
        keys.iter().map(|key| format!("{}-{}", status.ring, key.revision)).collect::<Vec<_>>().join(", ")
    };
    let said = format!("older keys open for {} more: {}", duration(grace_ms), list(&open));
    let max = annulus_core::limits::OPEN_KEYS_MAX;
    match shut.last() {
        Some(_) if open.len() + 1 >= max => {
            format!(
                "{said}; at most {max} keys open at one time, so these open nothing any more: {}",
                list(&shut)
            )
        }
        _ => said,
    }
}

fn duration(ms: u64) -> String {
    super::svc::status::duration((ms / 1_000).cast_signed())
}

/// How members are called.
fn names(status: &RingKeyStatus, ids: &[String]) -> Vec<String> {
    let name = |id: &String| {
        let member = status.members.iter().find(|member| member.member_id == *id);
        member.map_or_else(|| short(id), name_of)
    };
    ids.iter().map(name).collect()
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

fn name_of(member: &RingKeyMember) -> String {
    let id = short(&member.member_id);
    let name = if member.host.is_empty() { &member.address } else { &member.host };
    let state = if member.state == "Alive" { String::new() } else { format!(", {}", member.state) };
    format!("{name} ({id}{state})")
}

fn time(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| timestamp::rfc3339_millis(annulus_core::UnixTime::from_millis(ms)))
}

fn show(status: &RingKeyStatus) {
    let rows: Vec<Vec<String>> = status
        .keys
        .iter()
        .map(|key| {
            let lacked = names(status, &key.lacked_by);
            vec![
                key.revision.clone(),
                short(&key.fingerprint),
                key.state.clone(),
                time(key.since_ms),
                time(key.until_ms),
                key.grace_ms.map_or_else(|| "-".to_owned(), duration),
                format!("{} of {}", key.opened_by.len(), status.members.len()),
                if lacked.is_empty() { "-".to_owned() } else { lacked.join(", ") },
            ]
        })
        .collect();
    output::line(format_args!("ring {}", status.ring));
    output::table(
        &["key", "fingerprint", "state", "since", "opens until", "grace", "can open", "lacked by"],
        &rows,
    );
    let rows: Vec<Vec<String>> = status
        .members
        .iter()
        .map(|member| {
            let unsaid = if status.hears_clear { "not said, or clear" } else { "not said" };
            let speaks = member.speaks.clone().unwrap_or_else(|| unsaid.to_owned());
            vec![name_of(member), member.address.clone(), member.state.clone(), speaks]
        })
        .collect();
    output::line("");
    output::table(&["member", "address", "state", "speaks with"], &rows);
    if status.hears_clear {
        output::line(format_args!(
            "\nwarning: this supervisor hears the clear too (--ring-accept clear); {} messages so far",
            status.heard_in_the_clear
        ));
    }
}

fn to_json(status: &RingKeyStatus) -> Value {
    let key = |key: &RingKeyLine| {
        json!({
            "key": format!("{}-{}", status.ring, key.revision),
            "revision": key.revision,
            "fingerprint": key.fingerprint,
            "state": key.state,
            "since_ms": key.since_ms,
            "until_ms": key.until_ms,
            "grace_ms": key.grace_ms,
            "by": key.by,
            "opened_by": key.opened_by,
            "lacked_by": key.lacked_by,
        })
    };
    let member = |member: &RingKeyMember| {
        json!({
            "member_id": member.member_id,
            "host": Some(&member.host).filter(|host| !host.is_empty()),
            "address": member.address,
            "state": member.state,
            "speaks": member.speaks,
        })
    };
    json!({
        "ring": status.ring,
        "answered_by": status.answered_by,
        "keys": status.keys.iter().map(key).collect::<Vec<_>>(),
        "members": status.members.iter().map(member).collect::<Vec<_>>(),
        "hears_clear": status.hears_clear,
        "heard_in_the_clear": status.heard_in_the_clear,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(revision: &str, state: &str, lacked_by: &[&str]) -> RingKeyLine {
        RingKeyLine {
            revision: revision.into(),
            state: state.into(),
            lacked_by: lacked_by.iter().map(|id| (*id).to_owned()).collect(),
            ..RingKeyLine::default()
        }
    }

    #[test]
    fn a_key_is_named_with_or_without_its_revision() {
        assert_eq!(parts("prod"), ("prod".to_owned(), None));
        assert_eq!(
            parts("my-ring-20261130120000"),
            ("my-ring".to_owned(), Some("20261130120000".to_owned()))
        );
        assert_eq!(
            ("0".parse::<Grace>().expect("none").0, "2m".parse::<Grace>().expect("2m").0),
            (0, 120_000)
        );
        assert!("soon".parse::<Grace>().is_err());
    }

    #[test]
    fn what_is_waited_for_is_named() {
        let member = RingKeyMember {
            member_id: "e6305a988a9b4b6984c4b4045be62e04".into(),
            host: "beta".into(),
            state: "Confirmed".into(),
            ..RingKeyMember::default()
        };
        let id = member.member_id.clone();
        let keys = vec![key("1", "current", &[]), key("2", "offered", &[&id])];
        let mut status =
            RingKeyStatus { ring: "prod".into(), keys, members: vec![member], ..RingKeyStatus::default() };
        let text = outcome(&status, None, 1_000);
        assert!(text.contains("prod-2") && text.contains("beta (e6305a98, Confirmed)"), "{text}");
        status.keys[1].state = "current".into();
        assert!(outcome(&status, Some("2"), 0).contains("open nothing any more"));
    }
}
