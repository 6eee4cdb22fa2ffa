//! The action `capacity`: links carry a bounded number of bytes.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::link::Capacity;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::value::Direction;

/// The queue's length where the entry gives none: a few full datagrams.
const QUEUE_BYTES: u32 = 16 * 1024;

/// All links from `from` to `to` carry so many bytes in a second, each on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCapacity {
    /// Senders.
    pub from: Vec<HostId>,
    /// Receivers.
    pub to: Vec<HostId>,
    /// The limit; none: the links have none any more.
    pub capacity: Option<Capacity>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    capacity: SpannedNames,
    to: Option<SpannedNames>,
    direction: Option<Spanned<Direction>>,
    bytes_per_s: Option<Spanned<u32>>,
    queue_bytes: Option<Spanned<u32>>,
}

impl Room for SetCapacity {
    type Form = Form;

    const WORD: Word = Word {
        key: "capacity",
        beside: "`to` [all], `direction`; `bytes_per_s`; `queue_bytes`: how much may wait, the rest is dropped [16384]",
        example: "capacity = \"ada\", to = \"bob\", bytes_per_s = 4000, queue_bytes = 3000",
        doc: "each link carries so much, and a packet that does not fit its queue is dropped; without `bytes_per_s`, no longer",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let capacity = form.bytes_per_s.map(|bytes_per_s| Capacity {
            bytes_per_s: bytes_per_s.into_inner(),
            queue_bytes: form.queue_bytes.map_or(QUEUE_BYTES, Spanned::into_inner),
        });
        reading.sound(sound(capacity.as_ref()), form.capacity.span());
        let direction = form.direction.map(Spanned::into_inner);
        let links = reading.links(&form.capacity, form.to.as_ref(), direction);
        links.into_iter().map(|(from, to)| Self { from, to, capacity }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let parameters = self.capacity.map(|Capacity { bytes_per_s, queue_bytes }| {
            format!("\nbytes_per_s = {bytes_per_s}\nqueue_bytes = {queue_bytes}")
        });
        names.towards(Self::WORD.key, &self.from, &self.to) + &parameters.unwrap_or_default()
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let ends = cast.ends(&self.from, &self.to);
        match self.capacity {
            Some(Capacity { bytes_per_s, queue_bytes }) => {
                format!("links {ends} carry {bytes_per_s} bytes in a second and let {queue_bytes} wait.")
            }
            None => format!("links {ends} carry all that is sent."),
        }
    }

    fn traced(&self) -> Traced {
        Traced::between("capacity", &self.from, &self.to)
    }

    fn counted(&self) -> &'static str {
        if self.capacity.is_some() { "capacity" } else { "capacity ends" }
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { from: hosts.some(&self.from)?, to: hosts.some(&self.to)?, capacity: self.capacity })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, self.from.iter().chain(&self.to))?;
        sound(self.capacity.as_ref())
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.net.faults.set_capacity(&self.from, &self.to, self.capacity);
        Ok(())
    }
}

fn sound(capacity: Option<&Capacity>) -> Result<(), ActionError> {
    match capacity {
        Some(capacity) if capacity.bytes_per_s == 0 => {
            Err(ActionError::Link("it carries nothing; cut it instead"))
        }
        Some(_) | None => Ok(()),
    }
}
