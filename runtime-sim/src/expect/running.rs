//! The statements `running` and `stopped`: supervisors run, or do not.

use serde::Deserialize;

use super::room::{Look, Room};
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The supervisor runs on each of these hosts, or on none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The hosts.
    pub on: Vec<HostId>,
    /// Running or not.
    pub running: bool,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    running: Option<SpannedNames>,
    stopped: Option<SpannedNames>,
}

impl Room for Running {
    type Form = Form;

    const WORDS: &'static [Word] = &[
        Word {
            key: "running",
            beside: "",
            example: "running = \"bob\"",
            doc: "the supervisors run (or are paused)",
        },
        Word { key: "stopped", beside: "", example: "stopped = \"bob\"", doc: "the supervisors do not run" },
    ];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let running = form.running.is_some();
        let on = form.running.or(form.stopped)?;
        Some(Self { on: reading.hosts(&on), running })
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("{} = {}", if self.running { "running" } else { "stopped" }, names.list(&self.on))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { on: hosts.some(&self.on)?, running: self.running })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        match self.on.iter().find(|host| look.runs(**host) != self.running) {
            None => Ok(()),
            Some(host) => {
                let does = if self.running { "does not run" } else { "runs" };
                Err(format!("{} {does}", look.name(*host)))
            }
        }
    }
}
