//! The action `flood`: an insider gives as many orders as it can, to fill what all operators share.

use annulus_core::{Channel, Departure, KeyedHash, MemberId, Rumor, ServiceConfig, Sign as _, Version};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, member_of};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::hostile::telling_all;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::{SpannedNames, keys};

/// Orders that one message tells of.
const TOLD_IN_STREAM: u32 = 1_024;
/// More of them would take a simulation too long.
const COUNT_MAX: u32 = 20_000;

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flooded {
    /// Configuration, of groups that no member is in.
    Configs,
    /// Bans of members that do not exist.
    Bans,
}

impl Flooded {
    const fn word(self) -> &'static str {
        match self {
            Self::Configs => "configs",
            Self::Bans => "bans",
        }
    }
}

/// An insider gives orders without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// The host that is told.
    pub host: HostId,
    /// The host that gives them.
    pub by: HostId,
    /// What they order.
    pub what: Flooded,
    /// How many.
    pub count: u32,
    /// Each is signed with a key that was made up for it, instead of the insider's own.
    pub made_up: bool,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    flood: Spanned<Flooded>,
    to: Option<SpannedNames>,
    by_member: Option<Spanned<String>>,
    count: Option<Spanned<u32>>,
    made_up: Option<bool>,
}

impl Room for Flood {
    type Form = Form;

    const WORD: Word = Word {
        key: "flood",
        beside: "`to`: who is told, `by_member`: who gives them, `count`: how many (all required); `made_up`: each is signed with a \
                 key that was made up for it [its own]",
        example: "flood = \"configs\", to = \"ada\", by_member = \"eve\", count = 3000",
        doc: "an insider gives so many orders, to fill what all operators share: `configs` of groups that no member is in, or \
              `bans` of members that do not exist",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let (Some(to), Some(by), Some(count)) = (&form.to, &form.by_member, &form.count) else {
            reading.wrong(
                form.flood.span(),
                "`flood` does not say who tells how much to whom",
                "add to = \"ada\", by_member = \"eve\" and count = 3000",
            );
            return Vec::new();
        };
        let (what, number, made_up) = (*form.flood.get_ref(), *count.get_ref(), form.made_up == Some(true));
        if number == 0 || number > COUNT_MAX {
            reading.wrong(count.span(), "so many orders cannot be given", "give a number from 1 to 20000");
            return Vec::new();
        }
        match reading.host(by) {
            Some(by) => reading.each(to, |host| Self { host, by, what, count: number, made_up }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        let made_up = if self.made_up { "\nmade_up = true" } else { "" };
        format!("\nflood = {:?}", self.what.word())
            + &names.line("to", self.host)
            + &names.line("by_member", self.by)
            + &format!("\ncount = {}{made_up}", self.count)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (by, host, count) = (cast.name(self.by), cast.name(self.host), self.count);
        let whose = if self.made_up { ", each signed with a key that it made up" } else { "" };
        match self.what {
            Flooded::Configs => format!("{by} tells {host} of the configuration of {count} groups{whose}."),
            Flooded::Bans => {
                format!("{by} tells {host} of bans of {count} members that do not exist{whose}.")
            }
        }
    }

    fn traced(&self) -> Traced {
        Traced::between("flood", &[self.by], &[self.host])
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("flood", keys::of::<Flooded>())]
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, by: hosts.one(self.by)?, ..*self })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.by, "flood the ring", PROCESS)?;
        expect(ground, self.host, "hear orders", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let sender = member_of(world, self.by)?;
        let incarnation = world.node(self.by).map_or(0, |node| node.incarnation().0);
        let own = world.key(self.by);
        let orders: Vec<u32> = (0..self.count).collect();
        for orders in orders.chunks(TOLD_IN_STREAM as usize) {
            let rumors = orders.iter().map(|number| {
                let key = if self.made_up { made_up(*number) } else { own };
                self.order(*number, key.id()).encode_signed(&key)
            });
            let message = telling_all(Channel::Stream, sender, incarnation, &rumors.collect::<Vec<_>>());
            world.send_bytes(self.by, self.host, Channel::Stream, message);
        }
        Ok(())
    }
}

impl Flood {
    /// The members that the keys would be, which it makes up.
    pub(crate) fn made_up_authors(&self) -> impl Iterator<Item = MemberId> + use<> {
        let count = if self.made_up { self.count } else { 0 };
        (0..count).map(|number| made_up(number).id())
    }

    fn order(&self, number: u32, by: MemberId) -> Rumor {
        let whose = if self.made_up { "strange" } else { "own" };
        match self.what {
            Flooded::Configs => {
                let group = format!("{whose}{number}.flood").parse().expect("a group");
                let version = Version::new(1, b"flooded = true".to_vec(), Some(by));
                Rumor::ServiceConfig(ServiceConfig { group, version })
            }
            Flooded::Bans => {
                let mut id = [if self.made_up { 0xfb } else { 0xfc }; 16];
                id[..4].copy_from_slice(&number.to_le_bytes());
                Rumor::Departure(Departure::ban(MemberId::from_bytes(id)))
            }
        }
    }
}

/// A key that is no member's.
fn made_up(number: u32) -> KeyedHash {
    let mut key = [0xfd; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    KeyedHash::new(key)
}
