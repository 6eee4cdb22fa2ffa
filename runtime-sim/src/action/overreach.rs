//! The action `overreach`: an insider raises a number that only grows as far as it can, and then further.

use annulus_core::{
    Channel, Departure, ElectionId, ElectionRumor, Incarnation, MemberId, MemberRecord, MemberRumor, Rumor,
    ServiceConfig, ServiceGroup, State, Version, reach,
};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, known, member_of};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::hostile;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::{SpannedNames, keys};

/// What the number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overreached {
    /// The bans of `of`.
    Ban,
    /// The configuration of the group.
    Config,
    /// The terms of the group's election.
    Term,
    /// The incarnation of `of`, which is called suspect.
    Incarnation,
}

impl Overreached {
    const fn word(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Config => "config",
            Self::Term => "term",
            Self::Incarnation => "incarnation",
        }
    }
}

/// `by`, a member with a key of its own, tells `host` the highest number that it may believe, and after that the highest of
/// all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overreach {
    /// Who is told.
    pub host: HostId,
    /// Who raises it.
    pub by: HostId,
    /// Whose it is; the one that raises it where it is a group's.
    pub of: HostId,
    /// The group, for what is one's.
    pub group: ServiceGroup,
    /// What is counted.
    pub what: Overreached,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    overreach: Spanned<Overreached>,
    to: Option<SpannedNames>,
    by_member: Option<Spanned<String>>,
    of: Option<Spanned<String>>,
    group: Option<Spanned<String>>,
}

impl Room for Overreach {
    type Form = Form;

    const WORD: Word = Word {
        key: "overreach",
        beside: "`to`: who is told, `by_member`: who raises it (both required); `of`: whose ban or incarnation it is [that of \
                 `by_member`], `group`: whose configuration or term [\"web.default\"]",
        example: "overreach = \"ban\", to = \"ada\", by_member = \"eve\", of = \"bob\"",
        doc: "an insider raises a number that only grows as far as members believe it, and then to the highest of all: of a \
              `ban`, a `config`, a `term` or an `incarnation`",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let (Some(to), Some(by)) = (&form.to, &form.by_member) else {
            reading.wrong(
                form.overreach.span(),
                "`overreach` does not say who tells it to whom",
                "add to = \"ada\" and by_member = \"eve\"",
            );
            return Vec::new();
        };
        let what = *form.overreach.get_ref();
        let group = match &form.group {
            Some(group) => reading.group(group),
            None => "web.default".parse().ok(),
        };
        let of = reading.host(form.of.as_ref().unwrap_or(by));
        match (reading.host(by), of, group) {
            (Some(by), Some(of), Some(group)) => {
                reading.each(to, |host| Self { host, by, of, group: group.clone(), what })
            }
            _ => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("\noverreach = {:?}", self.what.word())
            + &names.line("to", self.host)
            + &names.line("by_member", self.by)
            + &names.line("of", self.of)
            + &format!("\ngroup = {:?}", self.group.as_str())
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (by, host, of) = (cast.name(self.by), cast.name(self.host), cast.name(self.of));
        let what = match self.what {
            Overreached::Ban => format!("a ban of {of}"),
            Overreached::Config => format!("a configuration of {}", self.group),
            Overreached::Term => format!("a term of {}", self.group),
            Overreached::Incarnation => format!("an incarnation of {of}, in which it is suspect,"),
        };
        format!(
            "{by} tells {host} {what} with the highest number that is believed, and then with the highest of all."
        )
    }

    fn traced(&self) -> Traced {
        Traced::between("overreach", &[self.by], &[self.host])
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("overreach", keys::of::<Overreached>())]
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        let (host, by) = (hosts.one(self.host)?, hosts.one(self.by)?);
        Some(Self { host, by, of: hosts.one(self.of)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.of])?;
        member_of(ground, self.of)?;
        expect(ground, self.by, "overreach", PROCESS)?;
        expect(ground, self.host, "hear a statement", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let (of, sender) = (member_of(world, self.of)?, member_of(world, self.by)?);
        let held = world.node(self.host).and_then(|node| node.member(&of));
        let incarnation = world.node(self.by).map_or(0, |node| node.incarnation().0);
        let highest = reach::reach(world.wall(self.host));
        for number in [highest, reach::NUMBER_MAX] {
            let Some(rumor) = self.say(sender, (of, held), number) else { continue };
            let bytes = rumor.encode_signed(&world.key(self.by));
            let message = hostile::telling(Channel::Datagram, sender, incarnation, &bytes);
            world.send_bytes(self.by, self.host, Channel::Datagram, message);
        }
        Ok(())
    }
}

impl Overreach {
    fn say(&self, by: MemberId, (of, held): (MemberId, Option<MemberRecord>), number: u64) -> Option<Rumor> {
        let group = self.group.clone();
        Some(match self.what {
            Overreached::Ban => Rumor::Departure(Departure { member_id: of, epoch: number, lifted: false }),
            Overreached::Config => {
                let version = Version::new(number, b"overreached = true".to_vec(), Some(by));
                Rumor::ServiceConfig(ServiceConfig { group, version })
            }
            Overreached::Term => {
                let election = ElectionId::leader(group);
                Rumor::Election(ElectionRumor { election, term: number, leader: by, ended: false })
            }
            Overreached::Incarnation => {
                let record =
                    MemberRecord { incarnation: Incarnation(number), state: State::Suspect, ..held? };
                Rumor::Member(MemberRumor::new(record))
            }
        })
    }
}
