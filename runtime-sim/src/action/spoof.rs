//! The action `spoof`: a message in a member's name comes from another host's address, as if the member had moved there.

use annulus_core::Channel;
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, known, member_of};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::hostile::greeting;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// A message with a false address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoof {
    /// The host that gets it.
    pub host: HostId,
    /// The host in whose member's name it speaks.
    pub of: HostId,
    /// The host from whose address it comes.
    pub from: HostId,
    /// How it is sent.
    pub channel: Channel,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    spoof: Spanned<String>,
    to: Option<SpannedNames>,
    by_member: Option<Spanned<String>>,
    by_stream: Option<bool>,
}

impl Room for Spoof {
    type Form = Form;

    const WORD: Word = Word {
        key: "spoof",
        beside: "`to`: who gets it, `by_member`: from whose address it comes (both required); `by_stream`: not by datagram",
        example: "spoof = \"bob\", to = \"ada\", by_member = \"eve\"",
        doc: "a message in a member's name comes from another one's address, as if it had moved there",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let (Some(to), Some(by)) = (&form.to, &form.by_member) else {
            reading.wrong(
                form.spoof.span(),
                "`spoof` does not say from where to whom",
                "add to = \"ada\" and by_member = \"eve\"",
            );
            return Vec::new();
        };
        let (Some(of), Some(from)) = (reading.host(&form.spoof), reading.host(by)) else { return Vec::new() };
        let channel = if form.by_stream == Some(true) { Channel::Stream } else { Channel::Datagram };
        reading.each(to, |host| Self { host, of, from, channel })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.of)
            + &names.line("to", self.host)
            + &names.line("by_member", self.from)
            + if self.channel == Channel::Stream { "\nby_stream = true" } else { "" }
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (of, host, from) = (cast.name(self.of), cast.name(self.host), cast.name(self.from));
        format!("a message in {of}'s name reaches {host} from {from}'s address.")
    }

    fn traced(&self) -> Traced {
        Traced::between("spoof", &[self.from], &[self.host])
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        let (host, of, from) = (hosts.one(self.host)?, hosts.one(self.of)?, hosts.one(self.from)?);
        Some(Self { host, of, from, ..*self })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.from])?;
        expect(ground, self.of, "be spoken for", PROCESS)?;
        expect(ground, self.host, "get a message", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let member = member_of(world, self.of)?;
        let incarnation = world.node(self.of).map_or(0, |node| node.incarnation().0);
        let message = greeting(self.channel, member, incarnation);
        world.inject(self.host, self.from.0, self.channel, message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::engine::host::address;
    use std::time::Duration;

    #[test]
    fn a_false_address_moves_no_member() {
        let mut ring = testing::ring(1, 3, testing::quality());
        ring.run_until(ring.now() + Duration::from_secs(3));
        let member = ring.member_id(B).expect("it runs");
        for channel in Channel::ALL {
            ring.apply(&Spoof { host: A, of: B, from: HostId(2), channel }.into()).expect("possible");
            ring.run_until(ring.now() + Duration::from_millis(1));
            let held = ring.node(A).and_then(|node| node.member(&member)).expect("known");
            assert_eq!(held.swim_addr(), address(B.0), "{channel:?}");
        }
    }
}
