//! The action `heal`: the network works again.

use serde::Deserialize;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known};
use super::world::World;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::reading::Sides;
use crate::form::text::Names;

/// Undoes partitions, in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heal {
    /// Partitions between these two sets of hosts; none: all of them.
    pub between: Option<Sides>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    heal: SpannedNames,
    from: Option<SpannedNames>,
}

impl Room for Heal {
    type Form = Form;

    const WORD: Word = Word {
        key: "heal",
        beside: "`from`: the others [all other members]",
        example: "heal = \"all\"",
        doc: "undo every partition, or those between the named members and `from`",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let words = form.heal.get_ref().at(&form.heal.span());
        if form.from.is_none() && words.iter().any(|(_, word)| *word == "all") {
            return vec![Self::EVERYWHERE];
        }
        vec![Self { between: Some(reading.opposite(&form.heal, form.from.as_ref())) }]
    }

    fn write(&self, names: &Names<'_>) -> String {
        match &self.between {
            None => String::from("\nheal = \"all\""),
            Some((from, to)) => format!("\nheal = {}\nfrom = {}", names.list(from), names.list(to)),
        }
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        match &self.between {
            None => String::from("the network works everywhere again."),
            Some((from, to)) => {
                format!("the network between {} and {} works again.", cast.list(from), cast.list(to))
            }
        }
    }

    fn traced(&self) -> Traced {
        match &self.between {
            None => Traced::everywhere("heal"),
            Some((from, to)) => Traced::between("mend", from, to),
        }
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(match &self.between {
            None => Self::EVERYWHERE,
            Some((from, to)) => Self { between: Some((hosts.some(from)?, hosts.some(to)?)) },
        })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        let hosts = self.between.iter().flat_map(|(from, to)| from.iter().chain(to));
        known(ground, hosts)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        match &self.between {
            None => world.net.heal(),
            Some((from, to)) => world.net.mend(from, to),
        }
        Ok(())
    }
}

impl Heal {
    /// Undoes every partition.
    pub const EVERYWHERE: Self = Self { between: None };

    /// Undoes the partitions between two sets of hosts.
    #[must_use]
    pub const fn between(from: Vec<HostId>, to: Vec<HostId>) -> Self {
        Self { between: Some((from, to)) }
    }
}
