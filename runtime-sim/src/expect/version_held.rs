//! The statement `version_held`: members hold a version of a group's configuration or file.

use annulus_core::{FileName, RumorKey, ServiceGroup};
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room, Who};
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Each of `seen_by` holds this version of a group's configuration or file, and all the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionHeld {
    /// The group.
    pub group: ServiceGroup,
    /// The file; none: the configuration.
    pub file: Option<FileName>,
    /// What came sealed; else what came plain.
    pub sealed: bool,
    /// The number; zero: none at all.
    pub version: u64,
    /// The members that look.
    pub seen_by: Who,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    version_held: Spanned<u64>,
    group: Option<Spanned<String>>,
    file: Option<Spanned<String>>,
    sealed: Option<bool>,
    seen_by: Option<SpannedNames>,
}

impl Room for VersionHeld {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "version_held",
        beside: "`group` (required), `file`, `sealed`: the one that came sealed is meant [false], `seen_by`",
        example: "version_held = 2, group = \"web.default\", seen_by = \"all\"",
        doc: "they hold this version of the group's configuration, or of its `file`, and all the same content; 0: none",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let seen_by = Who::read(form.seen_by.as_ref(), reading);
        let Some(group) = &form.group else {
            let help = "add group = \"web.default\", and file = \"users.acl\" where a file is meant";
            reading.wrong(form.version_held.span(), "`version_held` does not name the group", help);
            return None;
        };
        let group = reading.parsed(group, "a service group", "web.default")?;
        let file = match &form.file {
            Some(file) => Some(reading.parsed(file, "a file", "users.acl")?),
            None => None,
        };
        let sealed = form.sealed.unwrap_or_default();
        Some(Self { group, file, sealed, version: *form.version_held.get_ref(), seen_by })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let file = self.file.as_ref().map(|name| format!("\nfile = {:?}", name.as_str()));
        let (group, seen_by) = (self.group.as_str(), self.seen_by.write(names));
        let file = file.unwrap_or_default();
        let sealed = if self.sealed { "\nsealed = true" } else { "" };
        format!("version_held = {}\ngroup = {group:?}{file}{sealed}\nseen_by = {seen_by}", self.version)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { seen_by: self.seen_by.moved(hosts)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        match self.version {
            0 => Vec::new(),
            version => vec![Need::Given { group: self.group.clone(), file: self.file.clone(), version }],
        }
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let (key, version) = (self.key(), self.version);
        let mut first: Option<(HostId, u64)> = None;
        for host in look.observers(&self.seen_by)? {
            let held = look.scene.version(host, &key);
            let number = held.map_or(0, |(number, _)| number);
            if number != version {
                return Err(format!("{} holds version {number}", look.name(host)));
            }
            let Some((_, hash)) = held else { continue };
            let (other, first) = *first.get_or_insert((host, hash));
            if hash != first {
                let (a, b) = (look.name(other), look.name(host));
                return Err(format!("{a} and {b} hold different contents of version {version}"));
            }
        }
        Ok(())
    }
}

impl VersionHeld {
    fn key(&self) -> RumorKey {
        let (group, file) = (self.group.clone(), self.file.clone());
        if self.sealed { RumorKey::sealed(group, file) } else { RumorKey::given(group, file) }
    }
}
