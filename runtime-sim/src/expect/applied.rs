//! The statement `applied`: a version is in effect on every alive member of its group.

use annulus_core::{FileName, RumorKey, ServiceGroup};
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room, Who};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Each of `seen_by` knows, from the members' own word, that every alive member of the group runs with this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The group.
    pub group: ServiceGroup,
    /// The file; none: the configuration.
    pub file: Option<FileName>,
    /// The number.
    pub version: u64,
    /// The members that are asked.
    pub seen_by: Who,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    applied: Spanned<u64>,
    group: Option<Spanned<String>>,
    file: Option<Spanned<String>>,
    seen_by: Option<SpannedNames>,
}

impl Room for Applied {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "applied",
        beside: "`group` (required), `file`, `seen_by`: the members that say so",
        example: "applied = 2, group = \"web.default\", seen_by = \"ada\"",
        doc: "as `config apply --wait` would say at those members: every alive member of the group runs with this version",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let seen_by = Who::read(form.seen_by.as_ref(), reading);
        let Some(group) = &form.group else {
            let help = "add group = \"web.default\", and file = \"users.acl\" where a file is meant";
            reading.wrong(form.applied.span(), "`applied` does not name the group", help);
            return None;
        };
        let group = reading.parsed(group, "a service group", "web.default")?;
        let file = match &form.file {
            Some(file) => Some(reading.parsed(file, "a file", "users.acl")?),
            None => None,
        };
        Some(Self { group, file, version: *form.applied.get_ref(), seen_by })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let file = self.file.as_ref().map(|name| format!("\nfile = {:?}", name.as_str()));
        let (group, seen_by) = (self.group.as_str(), self.seen_by.write(names));
        format!(
            "applied = {}\ngroup = {group:?}{}\nseen_by = {seen_by}",
            self.version,
            file.unwrap_or_default()
        )
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { seen_by: self.seen_by.moved(hosts)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Given { group: self.group.clone(), file: self.file.clone(), version: self.version }]
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let key = RumorKey::given(self.group.clone(), self.file.clone());
        for host in look.observers(&self.seen_by)? {
            let Some(missing) = look.scene.not_applied(host, &key, self.version) else {
                let held = look.scene.version(host, &key).map_or(0, |(number, _)| number);
                return Err(format!("{} holds version {held}", look.name(host)));
            };
            let names = missing.iter().map(|member| look.scene.host_by_member(member));
            let names: Vec<&str> =
                names.map(|host| host.map_or("a member of no host", |host| look.name(host))).collect();
            if !names.is_empty() {
                let names = names.join(", ");
                return Err(format!("as {} knows, these do not run with it: {names}", look.name(host)));
            }
        }
        Ok(())
    }
}
