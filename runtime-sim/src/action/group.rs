//! The versions that operators give to service groups: configuration and files.

use annulus_core::{Command, FileName, ServiceGroup};
use toml::Spanned;

use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::reading::Reading;
use crate::form::text::Names;

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
        let (group, version) = (self.group.clone(), self.version);
        match &self.file {
            None => Command::ApplyConfig { group, version, toml: self.body() },
            Some(name) => Command::PutFile { group, name: name.clone(), version, body: self.body() },
        }
    }

    /// The version in words.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.file {
            None => format!("version {} of the configuration of {}", self.version, self.group),
            Some(name) => format!("version {} of the file {name} of {}", self.version, self.group),
        }
    }

    /// The entry of a scenario file that is read as this.
    pub(super) fn write(&self, key: &str, host: HostId, names: &Names<'_>) -> String {
        let Self { group, file, version, text, bytes } = self;
        let group = group.as_str();
        let file = file.as_ref().map_or_else(String::new, |name| format!("\nfile = {:?}", name.as_str()));
        let bytes = if *bytes == 0 { String::new() } else { format!("\nbytes = {bytes}") };
        let on = names.line("on", host);
        format!("\n{key} = {group:?}{on}{file}\nversion = {version}\ntext = {text:?}{bytes}")
    }
}

/// The keys that entries about a version have in common.
pub(super) struct Table<'a> {
    pub(super) key: &'static str,
    pub(super) group: &'a Spanned<String>,
    pub(super) on: Option<&'a SpannedNames>,
    pub(super) version: Option<&'a Spanned<u64>>,
    pub(super) text: Option<Spanned<String>>,
    pub(super) bytes: Option<Spanned<u32>>,
}

impl Table<'_> {
    /// The version without a file's name, and the hosts at which it is given.
    pub(super) fn read(self, reading: &mut Reading<'_, '_>) -> Option<(Given, Vec<HostId>)> {
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
        Some((Given { group, file: None, version, text, bytes }, hosts))
    }
}
