//! The action `replay`: a recorder sends messages again that a member sent before, to a member that had them, or to another
//! one than they were for. Members may have restarted since, or be gone for good.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, known};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::sealed::{Kept, resealed};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::{SpannedNames, keys};

/// How many messages are sent unless the scenario says otherwise.
const COUNT_DEFAULT: u32 = 60;

/// Which of the recorded messages are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// The latest.
    #[default]
    Latest,
    /// The oldest.
    Oldest,
}

impl Taken {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Latest, Self::Oldest];
}

/// The numbers that they are sealed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbers {
    /// Their own: the recorder has no key.
    #[default]
    Recorded,
    /// Those of the member on the host that sends them: an insider, which has the key.
    OfSender,
    /// The next ones of the member that they are of, which an insider uses up.
    UsedUp,
}

impl Numbers {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Recorded, Self::OfSender, Self::UsedUp];
}

/// Messages are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The host that gets them.
    pub host: HostId,
    /// The host that sent them first.
    pub of: HostId,
    /// The host from whose address they come now.
    pub from: HostId,
    /// How many.
    pub count: u32,
    /// Which.
    pub taken: Taken,
    /// The numbers that they have.
    pub numbers: Numbers,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    replay: Spanned<String>,
    to: Option<SpannedNames>,
    by_member: Option<Spanned<String>>,
    messages: Option<Spanned<u32>>,
    taken: Option<Spanned<Taken>>,
    numbers: Option<Spanned<Numbers>>,
}

impl Room for Replay {
    type Form = Form;

    const WORD: Word = Word {
        key: "replay",
        beside: "`to`: who gets them (required); `by_member`: from whose address (default: their sender's); `messages`: how \
                 many (default 60); `taken`: \"latest\" or \"oldest\"; `numbers`: \"recorded\" (default), \"of-sender\", \
                 \"used-up\"",
        example: "replay = \"bob\", to = \"ada\", messages = 40",
        doc: "a recorder sends messages of a member again, in a ring with a key (`ring_key = 1`)",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(to) = &form.to else {
            reading.wrong(
                form.replay.span(),
                "`replay` does not say who gets the messages",
                "add to = \"ada\"",
            );
            return Vec::new();
        };
        let Some(of) = reading.host(&form.replay) else { return Vec::new() };
        let from = match &form.by_member {
            Some(by) => reading.host(by),
            None => Some(of),
        };
        let Some(from) = from else { return Vec::new() };
        let count = form.messages.as_ref().map_or(COUNT_DEFAULT, |count| *count.get_ref());
        let taken = form.taken.as_ref().map_or_else(Taken::default, |taken| *taken.get_ref());
        let numbers = form.numbers.as_ref().map_or_else(Numbers::default, |numbers| *numbers.get_ref());
        reading.each(to, |host| Self { host, of, from, count, taken, numbers })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let taken = match self.taken {
            Taken::Latest => "",
            Taken::Oldest => "\ntaken = \"oldest\"",
        };
        let numbers = match self.numbers {
            Numbers::Recorded => "",
            Numbers::OfSender => "\nnumbers = \"of-sender\"",
            Numbers::UsedUp => "\nnumbers = \"used-up\"",
        };
        names.line(Self::WORD.key, self.of)
            + &names.line("to", self.host)
            + &names.line("by_member", self.from)
            + &format!("\nmessages = {}{taken}{numbers}", self.count)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (of, host, from) = (cast.name(self.of), cast.name(self.host), cast.name(self.from));
        let which = match self.taken {
            Taken::Latest => "latest",
            Taken::Oldest => "oldest",
        };
        let with = match self.numbers {
            Numbers::Recorded => "as they were recorded",
            Numbers::OfSender => "sealed anew with the numbers of the host that sends them",
            Numbers::UsedUp => "sealed anew with the next numbers of their member",
        };
        format!("{} of {of}'s {which} messages are sent to {host} again, from {from}, {with}.", self.count)
    }

    fn traced(&self) -> Traced {
        Traced::between("replay", &[self.from], &[self.host])
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("taken", keys::of::<Taken>()), ("numbers", keys::of::<Numbers>())]
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        let (host, of, from) = (hosts.one(self.host)?, hosts.one(self.of)?, hosts.one(self.from)?);
        Some(Self { host, of, from, ..*self })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.of, &self.from])?;
        expect(ground, self.host, "get a message again", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let recorded = world.recorded(self.of, self.host);
        let count = (self.count as usize).min(recorded.len());
        let chosen: Vec<Kept> = match self.taken {
            Taken::Latest => recorded.into_iter().rev().take(count).rev().collect(),
            Taken::Oldest => recorded.into_iter().take(count).collect(),
        };
        let mut used_up = 0;
        for kept in chosen {
            match self.numbers {
                Numbers::Recorded => world.send_again(self.from, self.host, kept.channel, kept.bytes),
                Numbers::OfSender => {
                    let own = world.next_stamp(self.from, kept.channel).filter(|_| self.from != self.of);
                    if let Some(own) = own {
                        let bytes = resealed(&kept.bytes, own);
                        world.send_again(self.from, self.host, kept.channel, bytes);
                    }
                }
                Numbers::UsedUp => {
                    // An insider knows the number of the last message that it saw.
                    let Some(mut next) = world.last_stamp(self.of, kept.channel) else { continue };
                    used_up += 1;
                    next.counter = next.counter.saturating_add(used_up);
                    let bytes = resealed(&kept.bytes, next);
                    world.inject(self.host, self.from.0, kept.channel, bytes);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::action::world::What;
    use crate::action::{Crash, DiskAfter, Restart};
    use crate::engine::record::Recording;
    use annulus_core::State;
    use std::time::Duration;

    #[test]
    fn a_recorder_finds_what_arrived_and_a_member_drops_it() {
        let mut world = testing::ring(1, 3, testing::quality());
        world.give_key();
        for host in [A, B, HostId(2)] {
            world.apply(&Crash { host }.into()).expect("possible");
            world.apply(&Restart { host, disk: DiskAfter::Kept }.into()).expect("possible");
        }
        world.run_until(world.now() + Duration::from_secs(8));
        world.record(Recording::Events);
        let dropped = |world: &World| world.node(A).expect("it runs").metrics().replays_dropped;
        let before = dropped(&world);
        let (taken, numbers) = (Taken::Latest, Numbers::Recorded);
        let all = Replay { host: A, of: B, from: B, count: 300, taken, numbers };
        world.apply(&all.into()).expect("possible");
        world.run_until(world.now() + Duration::from_millis(1));
        let records = world.drain_records();
        let again = records.iter().filter(|r| matches!(r.what, What::Replayed { to: A, .. })).count();
        assert!(again > 5, "{again}");
        // What B said before its restart waits for an answer; the rest was had.
        assert!(dropped(&world) > before + 5);
        world.apply(&Crash { host: B }.into()).expect("possible");
        world.run_until(world.now() + Duration::from_secs(15));
        world.apply(&all.into()).expect("possible");
        world.run_until(world.now() + Duration::from_secs(1));
        let dead = world.member_id(B).expect("it ran");
        let held = world.node(A).and_then(|node| node.member(&dead)).map(|member| member.state);
        assert_eq!(held, Some(State::Confirmed));
    }
}
