//! The actions `apply_config` and `put_file`: the versions that operators give to service groups.

use annulus_core::{Command, FileName, RumorKey, ServiceGroup};
use serde::Deserialize;
use std::time::Duration;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect};
use super::wait::Waiting;
use super::world::World;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::{self, Names};
use crate::form::value::Time;

/// A version that an operator gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// To which group.
    pub group: ServiceGroup,
    /// The file's name; none: the group's configuration.
    pub file: Option<FileName>,
    /// Its number.
    pub version: u64,
    /// Its content.
    pub text: String,
    /// The content has so many bytes at least; dots make up for those that the text lacks.
    pub bytes: u32,
    /// A user sealed it for the members of the group: it stands beside what comes plain.
    pub sealed: bool,
}

impl Given {
    /// The whole content.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut body = self.text.clone().into_bytes();
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        body.resize(body.len().max(bytes), b'.');
        body
    }

    /// The command that the operator sends to a supervisor.
    #[must_use]
    pub fn command(&self) -> Command {
        let (group, version, allow_leap) = (self.group.clone(), self.version, false);
        let is_sealed = self.sealed;
        match &self.file {
            None => Command::ApplyConfig { group, version, toml: self.body(), allow_leap, is_sealed },
            Some(name) => Command::PutFile {
                group,
                name: name.clone(),
                version,
                body: self.body(),
                allow_leap,
                is_sealed,
            },
        }
    }

    /// What is replaced by it.
    #[must_use]
    pub fn key(&self) -> RumorKey {
        let (group, file) = (self.group.clone(), self.file.clone());
        if self.sealed { RumorKey::sealed(group, file) } else { RumorKey::given(group, file) }
    }

    /// The version in words.
    #[must_use]
    pub fn words(&self) -> String {
        let sealed = if self.sealed { "sealed " } else { "" };
        match &self.file {
            None => format!("version {} of the {sealed}configuration of {}", self.version, self.group),
            Some(name) => format!("version {} of the {sealed}file {name} of {}", self.version, self.group),
        }
    }

    /// The entry of a scenario file that is read as this.
    fn write(&self, key: &str, host: HostId, names: &Names<'_>) -> String {
        let Self { group, file, version, text, bytes, sealed } = self;
        let group = group.as_str();
        let file = file.as_ref().map_or_else(String::new, |name| format!("\nfile = {:?}", name.as_str()));
        let bytes = if *bytes == 0 { String::new() } else { format!("\nbytes = {bytes}") };
        let sealed = if *sealed { "\nsealed = true" } else { "" };
        let on = names.line("on", host);
        format!("\n{key} = {group:?}{on}{file}\nversion = {version}\ntext = {text:?}{bytes}{sealed}")
    }
}

/// The keys that both tables have in common.
struct Table<'a> {
    key: &'static str,
    group: &'a Spanned<String>,
    on: Option<&'a SpannedNames>,
    version: Option<&'a Spanned<u64>>,
    text: Option<Spanned<String>>,
    bytes: Option<Spanned<u32>>,
    sealed: Option<bool>,
}

impl Table<'_> {
    /// The version without a file's name, and the hosts at which it is given.
    fn read(self, reading: &mut Reading<'_, '_>) -> Option<(Given, Vec<HostId>)> {
        let group = reading.parsed(self.group, "a service group", "web.default")?;
        let (Some(on), Some(version)) = (self.on, self.version) else {
            let message = format!("`{}` does not name the host or the version", self.key);
            reading.wrong(self.group.span(), message, "add on = \"ada\" and version = 1");
            return None;
        };
        let version = *version.get_ref();
        let text = self.text.map_or_else(|| format!("version = {version}\n"), Spanned::into_inner);
        let bytes = self.bytes.map_or(0, Spanned::into_inner);
        let hosts = reading.hosts(on);
        let sealed = self.sealed.unwrap_or_default();
        Some((Given { group, file: None, version, text, bytes, sealed }, hosts))
    }
}

/// Makes the room of an action that gives a version; the expression takes the file's name out of the table.
macro_rules! gives {
    ($(#[$doc:meta])* $name:ident in $form:ident {
        key: $key:ident, beside: $beside:literal, example: $example:literal, doc: $about:literal,
        counted: $counted:literal,
        fields: { $($field:ident: $type:ty,)* },
        file: $table:ident, $reading:ident => $file:expr,
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// At this host.
            pub host: HostId,
            /// The version that is given.
            pub given: Box<Given>,
            /// The operator waits for so long until the version is in effect on every alive member of the group.
            pub wait: Option<Duration>,
        }

        /// Its table.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $form {
            $key: Spanned<String>,
            on: Option<SpannedNames>,
            version: Option<Spanned<u64>>,
            text: Option<Spanned<String>>,
            bytes: Option<Spanned<u32>>,
            sealed: Option<bool>,
            wait: Option<Spanned<Time>>,
            $($field: $type,)*
        }

        impl Room for $name {
            type Form = $form;

            const WORD: Word =
                Word { key: stringify!($key), beside: $beside, example: $example, doc: $about };

            const COMMAND: bool = true;

            fn read($table: $form, $reading: &mut Reading<'_, '_>) -> Vec<Self> {
                let table = Table {
                    key: Self::WORD.key,
                    group: &$table.$key,
                    on: $table.on.as_ref(),
                    version: $table.version.as_ref(),
                    text: $table.text.clone(),
                    bytes: $table.bytes.clone(),
                    sealed: $table.sealed,
                };
                let Some((mut given, hosts)) = table.read($reading) else { return Vec::new() };
                let file: Option<Option<FileName>> = $file;
                let Some(file) = file else { return Vec::new() };
                given.file = file;
                let wait = $table.wait.map(|time| time.into_inner().0);
                hosts.into_iter().map(|host| Self { host, given: Box::new(given.clone()), wait }).collect()
            }

            fn write(&self, names: &Names<'_>) -> String {
                let mut text = self.given.write(Self::WORD.key, self.host, names);
                text.extend(self.wait.map(|time| format!("\nwait = {}", text::time(time))));
                text
            }

            fn words(&self, cast: &Cast<'_>) -> String {
                let waits = if self.wait.is_some() { ", and waits until it is in effect" } else { "" };
                format!("an operator gives {} {}{waits}.", cast.name(self.host), self.given.words())
            }

            fn traced(&self) -> Traced {
                Traced::at("give", self.host)
            }

            fn counted(&self) -> &'static str {
                $counted
            }

            fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
                Some(Self { host: hosts.one(self.host)?, ..self.clone() })
            }

            fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
                expect(ground, self.host, "be given a version", PROCESS)
            }

            fn act(&self, world: &mut World) -> Result<(), ActionError> {
                world.command(self.host, self.given.command());
                if let Some(time) = self.wait {
                    let key = self.given.key();
                    Waiting::begin(world, self.host, key, self.given.version, time);
                }
                Ok(())
            }
        }
    };
}

gives! {
    /// `config apply` at a host.
    ApplyConfig in ConfigForm {
        key: apply_config,
        beside: "`on` and `version` (both required), `text` [one that tells the version], `bytes`: made up with dots to so many, `sealed`: a user sealed it for the members of the group [false], `wait`: the scenario fails unless it is in effect on every alive member of the group by then, or, with `impossible = \"skip\"`, its operator gives up",
        example: "apply_config = \"web.default\", on = \"ada\", version = 2, text = \"port = 81\", wait = \"5s\"",
        doc: "give a service group another configuration; without `text`, one that tells its version",
        counted: "config apply",
        fields: {},
        file: form, reading => Some(None),
    }
}

gives! {
    /// `file upload` at a host.
    PutFile in FileForm {
        key: put_file,
        beside: "`file`: its name, `on` and `version` (all required), `text`, `bytes`, `sealed` and `wait` as with `apply_config`",
        example: "put_file = \"web.default\", file = \"users.acl\", on = \"ada\", version = 1, bytes = 65536",
        doc: "give a service group a file, of so many `bytes` at least",
        counted: "file upload",
        fields: { file: Option<Spanned<String>>, },
        file: form, reading => file_of(&form, reading).map(Some),
    }
}

/// The file's name, without which `put_file` says nothing.
fn file_of(form: &FileForm, reading: &mut Reading<'_, '_>) -> Option<FileName> {
    let Some(file) = &form.file else {
        let help = "add file = \"users.acl\"";
        reading.wrong(form.put_file.span(), "`put_file` does not name the file", help);
        return None;
    };
    reading.parsed(file, "a file", "users.acl")
}
