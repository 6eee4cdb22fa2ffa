//! Opens what users sealed for a service's group, with the keys of this host. What it opened last it keeps, sealed as it
//! came, beside the supervisor's data: where a later version cannot be opened, what was there before goes on counting, also
//! after a restart.
//!
//! With a key of the group on this host only what came sealed counts. Without one a group takes what comes plain.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use annulus_core::{Facts, GroupConfig, GroupFile, Obstacle, ObstacleKind, Sealed, ServiceGroup};

use super::Error;
use super::config::is_too_deep;
use super::files::is_plain_name;
use crate::host::atomic;
use crate::keys::{KeyCache, Opened, Purpose};

/// What follows for the configuration.
const BEFORE: &str =
    "until it can be opened, a process that runs keeps what counted before, and none is started with less";
/// Mode of what is kept.
const KEPT_MODE: u32 = 0o600;

/// The keys of this host, and what was opened with them.
#[derive(Debug)]
pub struct Vault {
    keys: KeyCache,
    /// Where what was opened is kept; none where nothing is.
    dir: Option<PathBuf>,
    takes_unsigned: bool,
    opened: Mutex<BTreeMap<PathBuf, Known>>,
}

/// What was opened.
#[derive(Clone, Debug)]
struct Known {
    version: u64,
    opened: Opened,
}

/// What counts for a service's group on this host.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The configuration, and the key of the user who sealed it.
    pub(super) config: Option<(GroupConfig, Option<String>)>,
    pub(super) files: Vec<GroupFile>,
    pub(super) obstacles: Vec<Obstacle>,
}

impl Vault {
    /// The keys of this cache. What is opened is kept, sealed, in `dir`. Boxes that no user signed are opened where
    /// `takes_unsigned` says so.
    #[must_use]
    pub fn new(keys: KeyCache, dir: Option<PathBuf>, takes_unsigned: bool) -> Self {
        Self { keys, dir, takes_unsigned, opened: Mutex::default() }
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &KeyCache {
        &self.keys
    }

    /// Whether boxes that no user signed are opened.
    #[must_use]
    pub fn takes_unsigned(&self) -> bool {
        self.takes_unsigned
    }

    /// Whether what comes plain for this group does not count here: this host holds the group's key, or has.
    #[must_use]
    pub fn is_sealed(&self, group: &ServiceGroup) -> bool {
        let was_opened = || self.dir.as_ref().is_some_and(|dir| dir.join(group.as_str()).is_dir());
        // A folder that cannot be read may hold a key.
        self.keys.opens(group).unwrap_or(true) || was_opened()
    }

    /// What counts of what the ring knows for a group.
    ///
    /// # Errors
    /// What this host has opened before can be opened no longer, nor anything later.
    pub(super) fn open(&self, group: &ServiceGroup, facts: &Facts) -> Result<Given, Error> {
        let mut given = Given::default();
        if self.is_sealed(group) {
            given.note_plain(group, facts);
        } else {
            given.config = facts.config.clone().map(|config| (config, None));
            given.files = facts.files.clone();
        }
        if let Some(config) = &facts.sealed.config
            && let Some(found) = self.open_config(group, config, &mut given.obstacles)?
        {
            given.config = Some(found);
        }
        for file in &facts.sealed.files {
            let Some(opened) = self.open_file(group, file, &mut given.obstacles) else { continue };
            given.files.retain(|other| other.name != file.name);
            given.files.push(opened);
        }
        given.files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(given)
    }

    fn open_config(
        &self,
        group: &ServiceGroup,
        config: &GroupConfig,
        obstacles: &mut Vec<Obstacle>,
    ) -> Result<Option<(GroupConfig, Option<String>)>, Error> {
        let (path, version) = (PathBuf::from(group.as_str()).join("config"), config.incarnation);
        let purpose = Purpose { group, file: None, version };
        let opened = self.unseal(&path, purpose, &config.toml);
        let opened = opened.and_then(|opened| check_toml(&opened).map(|()| opened));
        let known = match opened {
            Ok(opened) => {
                let known = Known { version, opened };
                self.keep(&path, &known, &config.toml);
                Some(known)
            }
            Err(why) => {
                let what = format!("sealed configuration of {group}, version {version}: {why}; {BEFORE}");
                let known = self.known(&path, Purpose { version: 0, ..purpose });
                if known.is_none() && self.kept(&path).is_some() {
                    return Err(Error::Key { message: what });
                }
                obstacles.push(Obstacle::sealed(None, what));
                known
            }
        };
        Ok(known.map(|Known { version, opened }| {
            let config = GroupConfig { incarnation: version, toml: opened.content };
            (config, Some(opened.user.to_string()))
        }))
    }

    fn open_file(
        &self,
        group: &ServiceGroup,
        file: &GroupFile,
        obstacles: &mut Vec<Obstacle>,
    ) -> Option<GroupFile> {
        let (name, version) = (file.name.as_str(), file.incarnation);
        if !is_plain_name(name) {
            obstacles.push(Obstacle::new(
                ObstacleKind::File,
                format!("the group's sealed file {name:?} is not written: that is not a plain name"),
            ));
            return None;
        }
        let path = Path::new(group.as_str()).join("files").join(name);
        match self.unseal(&path, Purpose { group, file: Some(name), version }, &file.body) {
            Ok(opened) => {
                let known = Known { version, opened };
                self.keep(&path, &known, &file.body);
                Some(GroupFile { body: known.opened.content, ..file.clone() })
            }
            Err(why) => {
                let what = format!(
                    "sealed file {name} of {group}, version {version}: {why}; until it can be opened, the file stays as it is"
                );
                obstacles.push(Obstacle::sealed(Some(name.to_owned()), what));
                None
            }
        }
    }

    fn unseal(&self, path: &Path, purpose: Purpose<'_>, body: &[u8]) -> Result<Opened, String> {
        let newest = self.kept(path).map_or(0, |(version, _)| version);
        if purpose.version < newest {
            return Err(format!(
                "version {newest} was opened here before, and an older one does not come back"
            ));
        }
        let opened = self.keys.unseal(Sealed::of_body(body), purpose, self.takes_unsigned);
        opened.map_err(|error| error.to_string())
    }

    /// What was opened here last: from memory, else from disk.
    fn known(&self, path: &Path, purpose: Purpose<'_>) -> Option<Known> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(path) {
            return Some(known.clone());
        }
        let (version, body) = self.kept(path)?;
        let purpose = Purpose { version, ..purpose };
        let opened = self.keys.unseal(Sealed::of_body(&body), purpose, self.takes_unsigned).ok()?;
        check_toml(&opened).ok()?;
        Some(Known { version, opened })
    }

    /// What was opened here last, as it came.
    fn kept(&self, path: &Path) -> Option<(u64, Vec<u8>)> {
        let bytes = fs::read(self.dir.as_ref()?.join(path)).ok()?;
        let (version, body) = bytes.split_first_chunk::<8>()?;
        Some((u64::from_le_bytes(*version), body.to_vec()))
    }

    fn keep(&self, path: &Path, known: &Known, body: &[u8]) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.insert(path.to_owned(), known.clone());
        let Some(dir) = &self.dir else { return };
        let (path, bytes) = (dir.join(path), [&known.version.to_le_bytes()[..], body].concat());
        if fs::read(&path).is_ok_and(|kept| kept == bytes) {
            return;
        }
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = made.and_then(|()| atomic::write(&path, &bytes, KEPT_MODE)) {
            tracing::warn!(%error, "{} could not be written: a restart may not know what was opened", path.display());
        }
    }
}

impl Given {
    /// What came plain does not count. It stands in the way of nothing where something came sealed.
    fn note_plain(&mut self, group: &ServiceGroup, facts: &Facts) {
        let kind = if facts.sealed.is_empty() { ObstacleKind::Key } else { ObstacleKind::Layer };
        let mut plain: Vec<String> = Vec::new();
        if let Some(config) = facts.config.as_ref().filter(|config| !sets_nothing(&config.toml)) {
            let (version, next) = (config.incarnation, config.incarnation.saturating_add(1));
            plain.push(format!(
                "configuration of {group}, version {version}, came plain and does not count: this host has a key of the group; \
                 `annulus config apply {group} VERSION FILE --user NAME` seals it, `annulus config apply {group} {next} --empty` \
                 takes it back"
            ));
        }
        for file in facts.files.iter().filter(|file| !file.body.is_empty()) {
            plain.push(format!(
                "file {} of {group}, version {}, came plain and is not written: this host has a key of the group; \
                 `annulus file upload {group} VERSION FILE --user NAME` seals it, `annulus file remove {group} {}` takes it back",
                file.name, file.incarnation, file.name
            ));
        }
        self.obstacles.extend(plain.into_iter().map(|what| Obstacle::new(kind, what)));
    }
}

/// Whether a plain configuration was taken back.
fn sets_nothing(toml: &[u8]) -> bool {
    let table = std::str::from_utf8(toml).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| table.is_empty())
}

/// Whether opened content is a configuration. The reason quotes nothing of it.
fn check_toml(opened: &Opened) -> Result<(), String> {
    let user = &opened.user;
    let text = std::str::from_utf8(&opened.content)
        .map_err(|_| format!("what {user} sealed is not text; seal valid TOML under a higher version"))?;
    match text.parse::<toml::Table>() {
        Ok(table) if is_too_deep(&table) => {
            Err(format!("the tables that {user} sealed lie in each other too deep; flatten them"))
        }
        Ok(_) => Ok(()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
            Err(format!(
                "what {user} sealed is not valid TOML in line {line}; seal it again under a higher version"
            ))
        }
    }
}
