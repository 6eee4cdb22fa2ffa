//! What operators give to service groups: configuration and files, version by version.

use annulus_core::{Command, FileName, ServiceGroup};

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
    /// With so many bytes at least; dots make up for what the text lacks.
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

    /// What the operator asks of a supervisor.
    #[must_use]
    pub fn command(&self) -> Command {
        let (group, version) = (self.group.clone(), self.version);
        match &self.file {
            None => Command::ApplyConfig { group, version, toml: self.body() },
            Some(name) => Command::PutFile { group, name: name.clone(), version, body: self.body() },
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.file {
            None => format!("version {} of the configuration of {}", self.version, self.group),
            Some(name) => format!("version {} of the file {name} of {}", self.version, self.group),
        }
    }
}
