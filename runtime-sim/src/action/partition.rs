//! The action `partition`: the network breaks between some members and others.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known};
use super::world::World;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::value::Direction;

/// Nothing passes from any of `from` to any of `to`, nor back when `both`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Senders.
    pub from: Vec<HostId>,
    /// Receivers.
    pub to: Vec<HostId>,
    /// Both directions.
    pub both: bool,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    partition: SpannedNames,
    from: Option<SpannedNames>,
    direction: Option<Spanned<Direction>>,
}

impl Room for Partition {
    type Form = Form;

    const WORD: Word = Word {
        key: "partition",
        beside: "`from`: the others [all other members]; `direction`: `both`, only packets from the named members (`out`), only packets to them (`in`)",
        example: "partition = \"east\", from = \"west\", direction = \"both\"",
        doc: "nothing passes between the two sides; without `from`, between the named members and all others",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let (side, rest) = reading.opposite(&form.partition, form.from.as_ref());
        vec![match form.direction.map(Spanned::into_inner).unwrap_or_default() {
            Direction::Both => Self { from: side, to: rest, both: true },
            Direction::Out => Self { from: side, to: rest, both: false },
            Direction::In => Self { from: rest, to: side, both: false },
        }]
    }

    fn write(&self, names: &Names<'_>) -> String {
        let direction = if self.both { "both" } else { "out" };
        let (from, to) = (names.list(&self.from), names.list(&self.to));
        format!("\npartition = {from}\nfrom = {to}\ndirection = \"{direction}\"")
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (from, to) = (cast.list(&self.from), cast.list(&self.to));
        if self.both {
            return format!("the network breaks between {from} and {to}.");
        }
        let send = if self.from.len() == 1 { "sends" } else { "send" };
        format!("nothing that {from} {send} reaches {to} any more.")
    }

    fn traced(&self) -> Traced {
        Traced { both: self.both, ..Traced::between("cut", &self.from, &self.to) }
    }

    fn counted(&self) -> &'static str {
        if self.both { "cut" } else { "cut one way" }
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("direction", keys::of::<Direction>())]
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { from: hosts.some(&self.from)?, to: hosts.some(&self.to)?, both: self.both })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, self.from.iter().chain(&self.to))
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.net.cut(&self.from, &self.to, self.both);
        Ok(())
    }
}
