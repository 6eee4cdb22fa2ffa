//! The action `invent`: a member tells of members that do not exist, or speaks in their names.

use annulus_core::{
    Channel, Incarnation, KeyedHash, MemberId, MemberRecord, MemberRumor, Rumor, Sign as _, State,
};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, member_of};
use super::world::World;
use crate::engine::host::{self, HostId};
use crate::engine::hostile::{greeting, telling_all};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The first number of the addresses at which invented members are said to be: no host has it.
const NOWHERE: u32 = 1 << 20;
/// Members that one datagram tells of.
const TOLD_IN_DATAGRAM: usize = 8;
/// Members that one stream message tells of.
const TOLD_IN_STREAM: usize = 4_096;
/// More of them would take a simulation too long.
const COUNT_MAX: u32 = 100_000;

/// Members that do not exist are spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invent {
    /// The host that is told.
    pub host: HostId,
    /// The host that makes them up.
    pub by: HostId,
    /// How many.
    pub count: u32,
    /// The number of the first: those of two entries are others.
    pub first: u32,
    /// How they are told.
    pub channel: Channel,
    /// Each speaks itself, from an address of its own, instead of being told of.
    pub speaking: bool,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    invent: Spanned<u32>,
    to: Option<SpannedNames>,
    by_member: Option<Spanned<String>>,
    first: Option<u32>,
    by_stream: Option<bool>,
    speaking: Option<bool>,
}

impl Room for Invent {
    type Form = Form;

    const WORD: Word = Word {
        key: "invent",
        beside: "`to`: who is told, `by_member`: who makes them up (both required); `first`: the number of the first of \
                 them [0], `by_stream`: not by datagram, `speaking`: each speaks itself, from an address of its own",
        example: "invent = 50, to = \"ada\", by_member = \"eve\"",
        doc: "a member tells of so many members that do not exist",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let (Some(to), Some(by)) = (&form.to, &form.by_member) else {
            reading.wrong(
                form.invent.span(),
                "`invent` does not say who tells whom",
                "add to = \"ada\" and by_member = \"eve\" with names of members that run then",
            );
            return Vec::new();
        };
        let count = *form.invent.get_ref();
        if count == 0 || count > COUNT_MAX {
            reading.wrong(
                form.invent.span(),
                "so many members cannot be made up",
                "give a number from 1 to 100000",
            );
            return Vec::new();
        }
        let channel = if form.by_stream == Some(true) { Channel::Stream } else { Channel::Datagram };
        let (first, speaking) = (form.first.unwrap_or(0), form.speaking == Some(true));
        match reading.host(by) {
            Some(by) => reading.each(to, |host| Self { host, by, count, first, channel, speaking }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        let first = if self.first == 0 { String::new() } else { format!("\nfirst = {}", self.first) };
        let by_stream = if self.channel == Channel::Stream { "\nby_stream = true" } else { "" };
        let speaking = if self.speaking { "\nspeaking = true" } else { "" };
        format!("\ninvent = {}", self.count)
            + &names.line("to", self.host)
            + &names.line("by_member", self.by)
            + &format!("{first}{by_stream}{speaking}")
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (by, host, count) = (cast.name(self.by), cast.name(self.host), self.count);
        match self.speaking {
            true => format!("{by} speaks to {host} in the names of {count} members that do not exist."),
            false => format!("{by} tells {host} of {count} members that do not exist."),
        }
    }

    fn traced(&self) -> Traced {
        Traced::between("invent", &[self.by], &[self.host])
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, by: hosts.one(self.by)?, ..*self })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.by, "make members up", PROCESS)?;
        expect(ground, self.host, "hear of members", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let sender = member_of(world, self.by)?;
        let incarnation = world.node(self.by).map_or(0, |node| node.incarnation().0);
        let numbers: Vec<u32> = (0..self.count).map(|n| self.first.saturating_add(n)).collect();
        if self.speaking {
            for number in numbers {
                let message = greeting(self.channel, invented(number), 1);
                world.inject(self.host, NOWHERE + number, self.channel, message);
            }
            return Ok(());
        }
        let together = match self.channel {
            Channel::Datagram => TOLD_IN_DATAGRAM,
            Channel::Stream => TOLD_IN_STREAM,
        };
        for numbers in numbers.chunks(together) {
            let rumors: Vec<Vec<u8>> = numbers.iter().map(|number| record(*number).encode()).collect();
            let message = telling_all(self.channel, sender, incarnation, &rumors);
            world.send_bytes(self.by, self.host, self.channel, message);
        }
        Ok(())
    }
}

/// The id of an invented member: of a key that the forger made.
fn invented(number: u32) -> MemberId {
    let mut key = [0xfa; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    KeyedHash::new(key).id()
}

fn record(number: u32) -> Rumor {
    let at = host::address(NOWHERE + number);
    Rumor::Member(MemberRumor::new(MemberRecord {
        id: invented(number),
        incarnation: Incarnation(1),
        address: at.ip(),
        swim_port: at.port(),
        gossip_port: at.port(),
        state: State::Alive,
        permanent: true,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use std::time::Duration;

    #[test]
    fn members_that_do_not_exist_are_asked_and_never_listed() {
        let mut ring = testing::ring(1, 3, testing::quality());
        ring.run_until(ring.now() + Duration::from_secs(3));
        let invent =
            |channel, first, speaking| Invent { host: A, by: B, count: 40, first, channel, speaking };
        for (n, channel) in Channel::ALL.into_iter().enumerate() {
            ring.apply(&invent(channel, n as u32 * 100, false).into()).expect("possible");
        }
        ring.apply(&invent(Channel::Datagram, 300, true).into()).expect("possible");
        ring.run_until(ring.now() + Duration::from_secs(2));
        let node = ring.node(A).expect("it runs");
        assert_eq!((node.members().len(), node.hearsay_count()), (3, 120));
        assert_eq!(ring.node(B).expect("it runs").hearsay_count(), 0, "what is hearsay is not told on");
    }
}
