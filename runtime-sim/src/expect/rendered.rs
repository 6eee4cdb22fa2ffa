//! The statement `rendered`: what the templates of a service were given.

use annulus_core::ServiceName;
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room};
use crate::engine::host::HostId;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::value::Count;
use crate::form::{SpannedNames, keys};

/// The files of a service on these hosts were last written with this; what is none is not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The service.
    pub service: ServiceName,
    /// The hosts.
    pub on: Vec<HostId>,
    /// The member's part in its group.
    pub role: Option<RoleWord>,
    /// The leader by name.
    pub led_by: Option<HostId>,
    /// The term of its part, at least and at most.
    pub term: Option<(u32, u32)>,
    /// The version of the group's configuration; 0: none.
    pub config: Option<u64>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    rendered: Spanned<String>,
    on: Option<SpannedNames>,
    role: Option<Spanned<RoleWord>>,
    led_by: Option<Spanned<String>>,
    term: Option<Spanned<Count>>,
    config: Option<Spanned<u64>>,
}

impl Room for Rendered {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "rendered",
        beside: "`on` (required); of these at least one: `role`: `leader`, `follower`, `waiting`, or `none` in a group \
                 without a leader; `led_by`: the member that is named as the leader; `term`; `config`: the version of the \
                 group's configuration, 0 for none",
        example: "rendered = \"redis\", on = \"ada\", role = \"follower\", led_by = \"bob\", term = \"1..3\", config = 2",
        doc: "the service's files there were last written with this, which is all that its processes and hooks can know",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let Some(on) = &form.on else {
            let help = "add on = \"ada\", or on = \"all\"";
            reading.wrong(form.rendered.span(), "`rendered` does not name the host", help);
            return None;
        };
        if form.role.is_none() && form.led_by.is_none() && form.term.is_none() && form.config.is_none() {
            let help = "add role = \"leader\", led_by = \"bob\", term = 2 or config = 1";
            reading.wrong(form.rendered.span(), "`rendered` asks for nothing", help);
            return None;
        }
        let led_by = match &form.led_by {
            Some(name) => Some(reading.host(name)?),
            None => None,
        };
        Some(Self {
            service: reading.parsed(&form.rendered, "a service", "web")?,
            on: reading.hosts(on),
            role: form.role.map(Spanned::into_inner),
            led_by,
            term: form.term.map(|term| (term.get_ref().least, term.get_ref().most)),
            config: form.config.map(Spanned::into_inner),
        })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let mut text = format!("rendered = {:?}\non = {}", self.service.as_str(), names.list(&self.on));
        text.extend(self.role.map(|role| format!("\nrole = {:?}", role.word())));
        text.extend(self.led_by.map(|leader| names.line("led_by", leader)));
        text.extend(self.term.map(|(least, most)| format!("\nterm = \"{least}..{most}\"")));
        text.extend(self.config.map(|version| format!("\nconfig = {version}")));
        text
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        let led_by = match self.led_by {
            Some(leader) => Some(hosts.one(leader)?),
            None => None,
        };
        Some(Self { on: hosts.some(&self.on)?, led_by, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        self.on.iter().map(|host| Need::loaded(self.service.as_str(), *host)).collect()
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        for host in &self.on {
            let (name, service) = (look.name(*host), &self.service);
            let Some(given) = look.scene.rendering(*host, service) else {
                return Err(format!("no file of {service} was written on {name}"));
            };
            let part = given.part().unwrap_or("none");
            if let Some(role) = self.role.filter(|role| role.word() != part) {
                return Err(format!("the files of {service} on {name} say {part}, not {}", role.word()));
            }
            let leader = given.leader.and_then(|leader| look.scene.host_by_member(&leader));
            if self.led_by.is_some() && leader != self.led_by {
                let leader = leader.map_or("no member", |leader| look.name(leader));
                return Err(format!("the files of {service} on {name} name {leader} as the leader"));
            }
            let term = given.term().unwrap_or(0);
            if let Some((least, most)) = self.term
                && !(u64::from(least)..=u64::from(most)).contains(&term)
            {
                return Err(format!("the files of {service} on {name} name the term {term}"));
            }
            if let Some(version) = self.config.filter(|version| *version != given.config) {
                let has = given.config;
                return Err(format!(
                    "{service} on {name} has version {has} of its configuration, not {version}"
                ));
            }
        }
        Ok(())
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("role", keys::of::<RoleWord>())]
    }
}

/// A member's part in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleWord {
    /// It leads.
    Leader,
    /// Another member leads.
    Follower,
    /// No member leads yet.
    Waiting,
    /// The group has no leader.
    None,
}

impl RoleWord {
    const fn word(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Waiting => "waiting",
            Self::None => "none",
        }
    }
}
