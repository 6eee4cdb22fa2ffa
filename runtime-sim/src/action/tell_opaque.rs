//! The action `tell_opaque`: a member tells another one a rumor as only a later version knows: of a kind that no member
//! here understands.

use annulus_core::{Channel, MemberId};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, member_of};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::hostile::{bytes_of, number, telling};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The number of the kind: one that no version has given to any.
const KIND: u64 = 99;

/// A member is told a rumor that it does not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TellOpaque {
    /// The host that is told.
    pub host: HostId,
    /// The host that tells it.
    pub by: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    tell_opaque: SpannedNames,
    by_member: Option<Spanned<String>>,
}

impl Room for TellOpaque {
    type Form = Form;

    const WORD: Word = Word {
        key: "tell_opaque",
        beside: "`by_member`: who tells it (required)",
        example: "tell_opaque = \"ada\", by_member = \"eve\"",
        doc: "a member of a later version tells another one a rumor of a kind that no member here understands",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(by) = &form.by_member else {
            reading.wrong(
                form.tell_opaque.span(),
                "`tell_opaque` does not say who tells it",
                "add by_member = \"eve\" with the name of a member that runs then",
            );
            return Vec::new();
        };
        match reading.host(by) {
            Some(by) => reading.each(&form.tell_opaque, |host| Self { host, by }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host) + &names.line("by_member", self.by)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (by, host) = (cast.name(self.by), cast.name(self.host));
        format!("{by} tells {host} a rumor of a kind that only later versions understand.")
    }

    fn traced(&self) -> Traced {
        Traced::between("tell-opaque", &[self.by], &[self.host])
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, by: hosts.one(self.by)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.by, "tell a rumor", PROCESS)?;
        expect(ground, self.host, "hear a rumor", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let member = member_of(world, self.by)?;
        let incarnation = world.node(self.by).map_or(0, |node| node.incarnation().0);
        let message = telling(Channel::Datagram, member, incarnation, &rumor(member));
        world.send_bytes(self.by, self.host, Channel::Datagram, message);
        Ok(())
    }
}

/// A rumor of a kind that no member here understands.
fn rumor(member: MemberId) -> Vec<u8> {
    let about = [bytes_of(1, b"a fact of a later version"), number(2, 1)].concat();
    [number(1, KIND), bytes_of(3, &member.to_hex()), bytes_of(110, &about)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::engine::scene::Scene as _;
    use annulus_core::Instant;

    #[test]
    fn what_is_told_is_read_as_a_rumor_that_is_not_understood() {
        let mut world = testing::pair(1, testing::quality());
        world.run_until(Instant::from_millis(3_000));
        world.apply(&TellOpaque { host: B, by: A }.into()).expect("possible");
        world.run_until(Instant::from_millis(6_000));
        for host in [A, B] {
            assert_eq!(world.opaque(host), 1, "{host:?}");
        }
    }
}
