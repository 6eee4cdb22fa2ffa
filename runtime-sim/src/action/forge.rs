//! The action `forge`: a host that speaks for no other member sends a statement in another member's name.

use std::collections::BTreeSet;

use annulus_core::{
    Channel, Departure, ElectionId, ElectionRumor, Health, Incarnation, KeyedHash, MemberId, MemberRecord,
    MemberRumor, MemberStatement, Rumor, RumorKey, ServiceConfig, ServiceFile, ServiceGroup, ServiceHealth,
    ServiceRumor, Sign as _, State, SysInfo, Version,
};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, known, member_of};
use super::world::World;
use crate::engine::host::{HostId, PORT};
use crate::engine::hostile;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::{SpannedNames, keys};

/// The key of a forger that is no member.
const STRANGERS_KEY: KeyedHash = KeyedHash::new([0xee; 32]);
/// How far ahead of the true number a forged one is: far enough to prevail, near enough to be believed. The member's old
/// word is for the number that it has.
const AHEAD: u64 = 7;

/// What is said in another's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forged {
    /// That its service is no more.
    Service,
    /// That its service is critical.
    Health,
    /// A ban of the member in whose name it is.
    Ban,
    /// A configuration that an operator gave it.
    Config,
    /// A file that an operator gave it.
    File,
    /// That it leads.
    Outcome,
    /// That it leaves the ring.
    Leave,
    /// Its record, which is never signed, as of a member that has left.
    Departed,
    /// A step of an election: that it frees its voters. It seems to come from that member's own address.
    Ballot,
}

impl Forged {
    /// Every statement.
    pub const ALL: [Self; 9] = [
        Self::Service,
        Self::Health,
        Self::Ban,
        Self::Config,
        Self::File,
        Self::Outcome,
        Self::Leave,
        Self::Departed,
        Self::Ballot,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Health => "health",
            Self::Ban => "ban",
            Self::Config => "config",
            Self::File => "file",
            Self::Outcome => "outcome",
            Self::Leave => "leave",
            Self::Departed => "departed",
            Self::Ballot => "ballot",
        }
    }
}

/// What vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vouching {
    /// Nothing.
    Nothing,
    /// The forger's own key.
    OwnKey,
    /// The key of a stranger to the ring.
    StrangersKey,
    /// The word of the member for its last such statement, of which everything but the number was changed.
    OldWord,
    /// The same, with a higher number alone.
    OldWordHigher,
}

impl Vouching {
    /// Every way.
    pub const ALL: [Self; 5] =
        [Self::Nothing, Self::OwnKey, Self::StrangersKey, Self::OldWord, Self::OldWordHigher];

    const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::OwnKey => "own-key",
            Self::StrangersKey => "strangers-key",
            Self::OldWord => "old-word",
            Self::OldWordHigher => "old-word-higher",
        }
    }
}

/// A statement in the name of a member that did not make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forge {
    /// The host that is told.
    pub host: HostId,
    /// The host that sends it.
    pub by: HostId,
    /// The host of the member in whose name it is.
    pub author: HostId,
    /// What is said.
    pub what: Forged,
    /// What vouches for it.
    pub vouching: Vouching,
    /// How it is sent.
    pub channel: Channel,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    forge: Spanned<Forged>,
    to: Option<SpannedNames>,
    by_member: Option<Spanned<String>>,
    in_name_of: Option<Spanned<String>>,
    vouching: Option<Spanned<Vouching>>,
    by_stream: Option<bool>,
}

impl Room for Forge {
    type Form = Form;

    const WORD: Word = Word {
        key: "forge",
        beside: "`to`: who is told, `by_member`: who forges, `in_name_of`: whose word it is said to be (all required); \
                 `vouching`: what vouches for it (default \"nothing\"); `by_stream`: not by datagram",
        example: "forge = \"config\", to = \"ada\", by_member = \"eve\", in_name_of = \"bob\", vouching = \"own-key\"",
        doc: "a host sends a statement in the name of a member that did not make it",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let (Some(to), Some(by), Some(author)) = (&form.to, &form.by_member, &form.in_name_of) else {
            reading.wrong(
                form.forge.span(),
                "`forge` does not say who tells what to whom",
                "add to = \"ada\", by_member = \"eve\" and in_name_of = \"bob\"",
            );
            return Vec::new();
        };
        let what = *form.forge.get_ref();
        let vouching = form.vouching.as_ref().map_or(Vouching::Nothing, |vouching| *vouching.get_ref());
        let channel = if form.by_stream == Some(true) { Channel::Stream } else { Channel::Datagram };
        match (reading.host(by), reading.host(author)) {
            (Some(by), Some(author)) => {
                reading.each(to, |host| Self { host, by, author, what, vouching, channel })
            }
            _ => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        let (what, vouching) = (self.what.word(), self.vouching.word());
        let by_stream = if self.channel == Channel::Stream { "\nby_stream = true" } else { "" };
        format!("\nforge = {what:?}")
            + &names.line("to", self.host)
            + &names.line("by_member", self.by)
            + &names.line("in_name_of", self.author)
            + &format!("\nvouching = {vouching:?}{by_stream}")
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (by, host, author) = (cast.name(self.by), cast.name(self.host), cast.name(self.author));
        let what = match self.what {
            Forged::Service => "that its service is no more",
            Forged::Health => "that its service is critical",
            Forged::Ban => "a ban",
            Forged::Config => "a configuration",
            Forged::File => "a file",
            Forged::Outcome => "that it leads",
            Forged::Leave | Forged::Departed => "that it leaves",
            Forged::Ballot => "that it frees its voters",
        };
        let with = match self.vouching {
            Vouching::Nothing => "with nothing that vouches for it",
            Vouching::OwnKey => "signed with its own key",
            Vouching::StrangersKey => "signed with the key of a stranger",
            Vouching::OldWord => "with the true word for something else",
            Vouching::OldWordHigher => "with the true word for a lower number",
        };
        format!("{by} tells {host} in {author}'s name {what}, {with}.")
    }

    fn traced(&self) -> Traced {
        Traced::between("forge", &[self.by], &[self.host])
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("forge", keys::of::<Forged>()), ("vouching", keys::of::<Vouching>())]
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        let (host, by) = (hosts.one(self.host)?, hosts.one(self.by)?);
        Some(Self { host, by, author: hosts.one(self.author)?, ..*self })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.author])?;
        member_of(ground, self.author)?;
        if self.what == Forged::Ballot {
            expect(ground, self.author, "seem to vote", PROCESS)?;
        }
        expect(ground, self.by, "forge a statement", PROCESS)?;
        expect(ground, self.host, "hear a statement", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let author = member_of(world, self.author)?;
        let sender = member_of(world, self.by)?;
        if self.what == Forged::Ballot {
            let voter = member_of(world, self.host)?;
            let release = self.release(world, author, voter);
            world.send_bytes(self.author, self.host, Channel::Datagram, release);
            return Ok(());
        }
        let true_word = world.node(self.author).and_then(|node| {
            let is_its = |key: &RumorKey| node.vouched_by(key) == Some(author);
            let key = node.rumors().map(Rumor::key).find(|key| self.what.is_about(key) && is_its(key))?;
            Some((node.rumor(&key)?.clone(), node.told(&key)?))
        });
        if world.key(self.by).id() == author {
            // Its disk is a copy of that member's: what it signs is that member's word.
            return Ok(());
        }
        let known = world.node(self.host).and_then(|node| node.member(&author));
        let forged = self.what.say(author, known, true_word.as_ref().map(|(rumor, _)| rumor), self.vouching);
        let bytes = match self.vouching {
            Vouching::Nothing => forged.encode(),
            Vouching::OwnKey => forged.encode_signed(&world.key(self.by)),
            Vouching::StrangersKey => forged.encode_signed(&STRANGERS_KEY),
            Vouching::OldWord | Vouching::OldWordHigher => {
                let word = true_word.map(|(_, told)| hostile::word_of(&told)).unwrap_or_default();
                [forged.encode(), word].concat()
            }
        };
        let incarnation = world.node(self.by).map_or(0, |node| node.incarnation().0);
        let message = hostile::telling(self.channel, sender, incarnation, &bytes);
        world.send_bytes(self.by, self.host, self.channel, message);
        Ok(())
    }
}

impl Forge {
    /// The step by which a leader frees its voters, in the name of this member and in the term that it has.
    fn release(&self, world: &mut World, author: MemberId, voter: MemberId) -> Vec<u8> {
        let node = world.node(self.author);
        let leads = |rumor: &Rumor| {
            let Rumor::Election(told) = rumor else { return None };
            (told.leader == author).then(|| (told.election.group.to_string(), told.term))
        };
        let led = node.and_then(|node| node.rumors().find_map(leads));
        let (group, term) = led.unwrap_or_else(|| ("redis.default".to_owned(), AHEAD));
        let incarnation = node.map_or(0, |node| node.incarnation().0);
        let word = match self.vouching {
            Vouching::OwnKey => world.key(self.by).public_key().0.to_vec(),
            Vouching::StrangersKey => STRANGERS_KEY.public_key().0.to_vec(),
            Vouching::Nothing | Vouching::OldWord | Vouching::OldWordHigher => Vec::new(),
        };
        hostile::release((author, incarnation), voter, (&group, term), &word)
    }
}

impl Forged {
    fn is_about(self, key: &RumorKey) -> bool {
        matches!(
            (self, key),
            (Self::Service, RumorKey::Service { .. })
                | (Self::Health, RumorKey::ServiceHealth { .. })
                | (Self::Ban, RumorKey::Departure(_))
                | (Self::Config, RumorKey::ServiceConfig(_))
                | (Self::File, RumorKey::ServiceFile { .. })
                | (Self::Outcome, RumorKey::Election(_))
                | (Self::Leave, RumorKey::Statement(_))
        )
    }

    /// The statement: a true one of the member changed where there is one, else a new one.
    fn say(
        self,
        author: MemberId,
        held: Option<MemberRecord>,
        known: Option<&Rumor>,
        vouching: Vouching,
    ) -> Rumor {
        let group: ServiceGroup = "web.default".parse().expect("a service group");
        let is_changed = vouching != Vouching::OldWordHigher;
        let ahead = if vouching == Vouching::OldWord { 0 } else { AHEAD };
        if let (Self::Departed, Some(held)) = (self, held) {
            return Rumor::Member(MemberRumor::new(MemberRecord { state: State::Departed, ..held }));
        }
        let mut forged = known.cloned().unwrap_or_else(|| self.invent(author, group));
        match &mut forged {
            Rumor::Service(told) => {
                told.incarnation = Incarnation(told.incarnation.0 + ahead);
                told.tombstone |= is_changed;
                (told.initialized, told.accepting) =
                    (told.initialized && !is_changed, told.accepting && !is_changed);
            }
            Rumor::ServiceHealth(told) => {
                told.incarnation = Incarnation(told.incarnation.0 + ahead);
                told.health = if is_changed { Health::Critical } else { told.health };
            }
            Rumor::Departure(told) => told.member_id = author,
            Rumor::ServiceConfig(told) | Rumor::SealedConfig(told) => {
                renew(&mut told.version, author, ahead, is_changed)
            }
            Rumor::ServiceFile(told) | Rumor::SealedFile(told) => {
                renew(&mut told.version, author, ahead, is_changed)
            }
            Rumor::Election(told) => {
                told.term += ahead;
                told.ended |= is_changed;
            }
            Rumor::Member(_) | Rumor::RingKey(_) | Rumor::MemberKeys(_) | Rumor::Opaque(_) => {}
            Rumor::Statement(told) => {
                told.incarnation = Incarnation(told.incarnation.0 + ahead);
                told.leaves |= is_changed;
            }
        }
        forged
    }

    fn invent(self, member_id: MemberId, group: ServiceGroup) -> Rumor {
        let incarnation = Incarnation(AHEAD);
        let version = Version::new(AHEAD, b"forged = true".to_vec(), Some(member_id));
        match self {
            Self::Service => Rumor::Service(ServiceRumor {
                member_id,
                group,
                incarnation,
                initialized: true,
                pkg: "sim/web/1.0/20260101000000".parse().expect("a package"),
                cfg: Vec::new(),
                sys: SysInfo::default(),
                pkg_incarnation: 0,
                tombstone: false,
                accepting: true,
                maintenance: None,
                config_incarnation: 0,
                electorate_min: 0,
                versions_digest: 0,
                held_back: BTreeSet::new(),
                slow_hook: None,
            }),
            Self::Health => Rumor::ServiceHealth(ServiceHealth {
                member_id,
                group,
                incarnation,
                health: Health::Critical,
                tombstone: false,
            }),
            Self::Ban => Rumor::Departure(Departure::ban(member_id)),
            Self::Config => Rumor::ServiceConfig(ServiceConfig { group, version }),
            Self::File => {
                let name = "forged.txt".parse().expect("a file's name");
                Rumor::ServiceFile(ServiceFile { group, name, version })
            }
            Self::Leave | Self::Departed => Rumor::Statement(MemberStatement {
                member_id,
                incarnation,
                permanent: false,
                address: None,
                swim_port: PORT,
                gossip_port: PORT,
                leaves: true,
            }),
            Self::Outcome | Self::Ballot => Rumor::Election(ElectionRumor {
                election: ElectionId::leader(group),
                term: AHEAD,
                leader: member_id,
                ended: false,
            }),
        }
    }
}

/// Another body that prevails over the true one, or the same under a higher number.
fn renew(version: &mut Version, author: MemberId, ahead: u64, is_changed: bool) {
    let forged = (0..64).map(|n| format!("forged = {n}").into_bytes());
    let prevails = |body: &Vec<u8>| Version::hash_of(body) > version.hash();
    let body = forged.filter(|_| is_changed).find(prevails).unwrap_or_else(|| version.body.clone());
    *version = Version::new(version.number + ahead, body, Some(author));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::action::{ApplyConfig, Given, LoadService};
    use crate::engine::lead::Load;
    use crate::engine::record::{Recording, What};
    use annulus_core::{EventKind, Instant};

    const C: HostId = HostId(2);

    #[test]
    fn nothing_that_is_forged_is_believed_and_each_is_reported_with_its_source() {
        let mut world = testing::ring(1, 3, testing::quality());
        world.run_until(Instant::from_millis(3_000));
        let load = LoadService { host: B, service: "web".to_owned(), how: Load::default() };
        world.apply(&load.into()).expect("possible");
        let group: ServiceGroup = "web.default".parse().expect("a group");
        let given =
            Given { group, file: None, version: 1, text: "a = 1".to_owned(), bytes: 0, sealed: false };
        world.apply(&ApplyConfig { host: B, given: Box::new(given), wait: None }.into()).expect("possible");
        world.run_until(Instant::from_millis(8_000));
        let held = |world: &World| -> Vec<Rumor> { world.node(A).expect("runs").rumors().cloned().collect() };
        let before = held(&world);
        assert!(before.len() >= 3, "a service, its health and a configuration: {before:?}");
        world.record(Recording::Events);
        let mut forged = 0;
        for channel in Channel::ALL {
            for what in Forged::ALL {
                for vouching in Vouching::ALL {
                    // Each member may ban in its own name, and so may a stranger that joins.
                    let is_own_right =
                        what == Forged::Ban && matches!(vouching, Vouching::OwnKey | Vouching::StrangersKey);
                    let is_a_datagram = what != Forged::Ballot || channel == Channel::Datagram;
                    // A record is no statement that could be refused.
                    if is_own_right || !is_a_datagram || what == Forged::Departed {
                        continue;
                    }
                    let forge = Forge { host: A, by: C, author: B, what, vouching, channel };
                    world.apply(&forge.into()).expect("possible");
                    forged += 1;
                    world.run_until(world.now() + std::time::Duration::from_millis(600));
                }
            }
        }
        let departed = |channel| Forge {
            host: A,
            by: C,
            author: B,
            what: Forged::Departed,
            vouching: Vouching::Nothing,
            channel,
        };
        for channel in Channel::ALL {
            world.apply(&departed(channel).into()).expect("possible");
            world.run_until(world.now() + std::time::Duration::from_millis(600));
        }
        assert_eq!(world.node(A).expect("runs").count(State::Alive), 3, "no member has left");
        assert_eq!(held(&world), before);
        let refused = world.drain_records().into_iter().filter(|record| {
            let What::Event { host, event } = &record.what else { return false };
            *host == A && matches!(event.kind, EventKind::StatementRefused { .. })
        });
        assert_eq!(refused.count(), forged);
    }
}
