//! Spec files: the services that an operator wants to run here, one file each, which people and programs may read and
//! change. Never overwrites a change by hand that has not been taken in.
//!
//! The core keeps desired state as rows; on a host they are files in `<root>/sup/<name>/specs`. The supervisor writes
//! there what the core stores, and gives the core as a command what a person writes there by hand. It tells the two
//! apart by what each file said when the supervisor last read or wrote it.
//!
//! | seen in the directory | what follows |
//! |---|---|
//! | a new file | the service is loaded |
//! | a file with other content | it is loaded again with force; the core decides whether its process is replaced |
//! | a file that is gone | the service is unloaded |
//! | a file that cannot be used | the log and `svc status` name it, and it is left alone; the service goes on as
//! before |
//!
//! | the directory cannot be read | the log and `svc status` say so, and all services go on as before |
//!
//! A supervisor that starts while a file cannot be used takes the options that it held last, of which it keeps a copy.
//! A command is refused while its file holds a change by hand that was not taken in yet: neither overwrites the other.
//! A file that cannot be used is moved aside as `<service>.spec.rejected-<time>` when a command needs its place.

mod dir;
mod file;
mod last;
#[cfg(test)]
mod tests;
mod watch;

pub use file::{parse, parse_bind, print};

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use annulus_core::{ServiceName, ServiceSpec, limits};
use thiserror::Error;

use crate::host::beneath::Dir;
use crate::host::{atomic, clock, disk, timestamp};
use dir::{Found, Stamp};
use last::LastGood;
pub use watch::follow;

/// The directory cannot be used.
#[derive(Debug, Error)]
#[error(
    "spec directory {}: {source}; {}", .path.display(),
    disk::advice(.source, "it has to be a directory that this user reads and writes")
)]
pub struct SpecsError {
    path: PathBuf,
    source: io::Error,
}

/// A spec file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The service that the file's name stands for, if it stands for one.
    pub service: Option<ServiceName>,
    /// The file.
    pub path: PathBuf,
    /// The reason, in words.
    pub reason: String,
}

/// A change that was made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file is new or says something else.
    Load(Box<ServiceSpec>),
    /// A file is gone.
    Unload(ServiceName),
}

impl Change {
    /// The service that the change is about.
    #[must_use]
    pub fn service(&self) -> ServiceName {
        match self {
            Self::Load(spec) => spec.name(),
            Self::Unload(service) => service.clone(),
        }
    }
}

/// The core's spec of one service, as it is on disk.
#[derive(Debug)]
struct Known {
    spec: ServiceSpec,
    /// The state of the file that holds it; none when the file has to be read again.
    stamp: Option<Stamp>,
    /// Whether the last look found no file. An editor may be about to replace it.
    missing: bool,
}

/// A file that was refused, and why.
#[derive(Debug)]
struct Refused {
    stamp: Stamp,
    problem: Problem,
}

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<ServiceName, Known>,
    /// Refused files by name.
    refused: BTreeMap<String, Refused>,
    /// Why the directory cannot be read.
    unreadable: Option<Problem>,
}

/// The spec files of one supervisor.
#[derive(Debug)]
pub struct Specs {
    dir: PathBuf,
    last: LastGood,
    /// Held while the holder waits for the disk.
    state: Mutex<State>,
    /// A copy of the problems in `state`, for readers that must not wait for a disk.
    problems: Mutex<Vec<Problem>>,
}

/// Why a spec is not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// The disk refuses.
    #[error("{0}")]
    Failed(String),
    /// The file holds a change by hand, which counts first.
    #[error("{0}")]
    Refused(String),
}

/// The result of a look at the directory.
#[derive(Debug)]
pub struct Seen {
    /// Changes by hand since the last look.
    pub changes: Vec<Change>,
    /// Whether a service's file is missing, so that another look is due soon.
    pub unsettled: bool,
}

impl Specs {
    /// Reads the directory, and makes it if it is missing. `rows` are specs that an older database holds: a spec
    /// without a file gets one.
    ///
    /// # Errors
    /// The directory cannot be read, or a row cannot be written there.
    pub fn open(dir: PathBuf, rows: Vec<ServiceSpec>) -> Result<Self, SpecsError> {
        let last = LastGood::beside(&dir);
        let specs = Self { dir, last, state: Mutex::default(), problems: Mutex::default() };
        let error = |source| SpecsError { path: specs.dir.clone(), source };
        Dir::open_or_make(&specs.dir).and_then(|dir| dir.keep(dir::DIR_MODE, None)).map_err(error)?;
        for spec in rows {
            let path = specs.path(&spec.name());
            let text = file::print(&spec).map_err(|reason| error(io::Error::other(reason)))?;
            // An existing file is newer than the row.
            if atomic::create(&path, text.as_bytes(), dir::MODE).map_err(error)? {
                tracing::info!(
                    service = spec.name().as_str(),
                    "spec moved from the database to {}",
                    path.display()
                );
            }
        }
        let found = dir::list(&specs.dir).map_err(error)?;
        {
            let mut state = specs.lock();
            for file in found {
                state.take_first(file, &specs.last);
            }
            specs.tell(&state);
        }
        Ok(specs)
    }

    /// The specs that the core starts with.
    #[must_use]
    pub fn known(&self) -> Vec<ServiceSpec> {
        self.lock().known.values().map(|known| known.spec.clone()).collect()
    }

    /// The files that cannot be used. Never waits for the disk.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, state: &State) {
        let refused = state.refused.values().map(|refused| refused.problem.clone());
        let problems = state.unreadable.iter().cloned().chain(refused).collect();
        *self.problems.lock().unwrap_or_else(PoisonError::into_inner) = problems;
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of a service.
    #[must_use]
    pub fn path(&self, service: &ServiceName) -> PathBuf {
        self.dir.join(format!("{service}.spec"))
    }

    /// Stores a spec of the core, or removes it. The change is on disk when this returns.
    ///
    /// # Errors
    /// The disk refuses, or the file holds a change by hand that was not taken in yet. Nothing is changed then.
    pub fn persist(&self, service: &ServiceName, spec: Option<&ServiceSpec>) -> Result<(), NotStored> {
        let mut state = self.lock();
        let stored = self.store(&mut state, service, spec);
        match spec {
            Some(spec) if stored.is_ok() => self.last.keep(spec),
            None if stored.is_ok() => self.last.forget(service),
            _ => {}
        }
        self.tell(&state);
        stored
    }

    fn store(
        &self,
        state: &mut State,
        service: &ServiceName,
        spec: Option<&ServiceSpec>,
    ) -> Result<(), NotStored> {
        let path = self.path(service);
        let name = format!("{service}.spec");
        let io_error = |error: io::Error| NotStored::Failed(format!("{}: {error}", path.display()));
        let on_disk = dir::look(&path).map_err(io_error)?;
        match on_disk.as_ref().map(|found| (found.stamp, found.spec.as_ref())) {
            // There is no file, which is also what is known and wanted.
            None if spec.is_none() || !state.known.contains_key(service) => {}
            None => return Err(changed_by_hand(&path, "removed")),
            // The file holds the wanted spec already, often because the command came from it: its text stays.
            Some((stamp, Ok(there))) if Some(there) == spec => {
                dir::sync(&path).map_err(io_error)?;
                state.store(service, there.clone(), Some(stamp));
                state.refused.remove(&name);
                return Ok(());
            }
            Some((stamp, there)) => {
                let refused = state.refused.get(&name).is_some_and(|refused| refused.stamp == stamp);
                let known = state.known.get(service);
                let unchanged = known.is_some_and(|k| k.stamp == Some(stamp) || Ok(&k.spec) == there);
                if refused || there.is_err() {
                    set_aside(&path).map_err(io_error)?;
                } else if !unchanged {
                    return Err(changed_by_hand(&path, "changed"));
                }
            }
        }
        state.refused.remove(&name);
        if let Some(spec) = spec {
            let text = file::print(spec).map_err(NotStored::Failed)?;
            atomic::write(&path, text.as_bytes(), dir::MODE).map_err(io_error)?;
            state.store(service, spec.clone(), dir::stamp(&path));
        } else {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
                _ => atomic::sync_dir(&self.dir).map_err(io_error)?,
            }
            state.known.remove(service);
        }
        Ok(())
    }

    /// Looks at the directory. Files of a service that is `busy` are left for the next look.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn scan(&self, busy: impl Fn(&ServiceName) -> bool) -> io::Result<Seen> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let found = dir::list_unless(&self.dir, |name, stamp| state.is_as_before(name, stamp));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                state.cannot_read(&self.dir, &error);
                self.tell(state);
                return Err(error);
            }
        };
        state.can_read(&self.dir);
        let mut changes = Vec::new();
        state.refused.retain(|name, _| found.names.contains(name));
        for file in found.changed {
            if !file.service.as_ref().is_ok_and(&busy) {
                changes.extend(state.take_change(file));
            }
        }
        for (service, known) in &mut state.known {
            let there = found.names.contains(&format!("{service}.spec"));
            if !there && known.missing && !busy(service) {
                changes.push(Change::Unload(service.clone()));
            }
            known.missing = !there;
        }
        self.tell(state);
        Ok(Seen { changes, unsettled: state.known.values().any(|known| known.missing) })
    }

    /// Notes that the core refused what a file says; the file is left alone.
    pub fn refuse(&self, spec: &ServiceSpec, reason: String) {
        let service = spec.name();
        let path = self.path(&service);
        if let Ok(Some(found)) = dir::look(&path)
            && found.spec.as_ref() == Ok(spec)
        {
            let mut state = self.lock();
            state.refuse(found, reason);
            self.tell(&state);
        }
    }

    /// Notes that the core holds what a file says, so that it is no change.
    pub fn agree(&self, spec: &ServiceSpec) {
        let service = spec.name();
        if let Ok(Some(found)) = dir::look(&self.path(&service))
            && found.spec.as_ref() == Ok(spec)
        {
            self.last.keep(spec);
            self.lock().store(&service, spec.clone(), Some(found.stamp));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn store(&mut self, service: &ServiceName, spec: ServiceSpec, stamp: Option<Stamp>) {
        self.known.insert(service.clone(), Known { spec, stamp, missing: false });
    }

    /// The directory cannot be read: all that is known goes on.
    fn cannot_read(&mut self, dir: &Path, error: &io::Error) {
        let reason = format!("the directory cannot be read: {error}");
        if self.unreadable.as_ref().is_none_or(|problem| problem.reason != reason) {
            tracing::warn!(dir = %dir.display(), "spec directory {}: {error}; services go on as before", dir.display());
        }
        self.unreadable = Some(Problem { service: None, path: dir.to_owned(), reason });
    }

    fn can_read(&mut self, dir: &Path) {
        if self.unreadable.take().is_some() {
            tracing::info!(dir = %dir.display(), "spec directory {} can be read again", dir.display());
        }
    }

    /// Takes in a file when the supervisor starts: every valid file counts, and of others what they said last.
    fn take_first(&mut self, file: Found, last: &LastGood) {
        let has_room = self.known.len() < limits::SERVICES_MAX;
        match &file.spec {
            Ok(spec) if has_room => {
                last.keep(spec);
                self.store(&spec.name(), spec.clone(), Some(file.stamp));
            }
            Ok(_) => self.refuse(file, format!("more than {} services", limits::SERVICES_MAX)),
            Err(reason) => {
                let reason = reason.clone();
                let service = file.service.as_ref().ok().filter(|_| has_room);
                if let Some(spec) = service.and_then(|service| last.get(service)) {
                    let service = spec.name();
                    self.store(&service, spec, None);
                }
                self.refuse(file, reason);
            }
        }
    }

    fn is_as_before(&self, name: &str, stamp: Stamp) -> bool {
        let refused = self.refused.get(name).is_some_and(|refused| refused.stamp == stamp);
        let service = file::service_of(name).and_then(Result::ok);
        let known = service.and_then(|service| self.known.get(&service));
        refused || known.is_some_and(|known| known.stamp == Some(stamp))
    }

    /// The change that a file asks for which was written since the last look.
    fn take_change(&mut self, file: Found) -> Option<Change> {
        match &file.spec {
            Err(reason) => {
                let reason = reason.clone();
                self.refuse(file, reason);
                None
            }
            Ok(spec) => {
                self.refused.remove(&file.name);
                match self.known.get_mut(&spec.name()) {
                    // Only a comment or the order of the lines has changed.
                    Some(known) if known.spec == *spec => {
                        known.stamp = Some(file.stamp);
                        None
                    }
                    _ => Some(Change::Load(Box::new(spec.clone()))),
                }
            }
        }
    }

    fn refuse(&mut self, file: Found, reason: String) {
        let Found { name, path, stamp, service, .. } = file;
        let service = service.ok();
        let goes_on = service.as_ref().is_some_and(|service| self.known.contains_key(service));
        let then = if goes_on { "; the service goes on with its last good options" } else { "" };
        tracing::warn!(file = %path.display(), "spec file {} is left alone: {reason}{then}", path.display());
        self.refused.insert(name, Refused { stamp, problem: Problem { service, path, reason } });
    }
}

fn changed_by_hand(path: &Path, how: &str) -> NotStored {
    NotStored::Refused(format!(
        "{} was {how} by hand a moment ago and that is being taken in; try again in a second",
        path.display()
    ))
}

fn set_aside(path: &Path) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".rejected-{}", timestamp::digits(clock::wall())));
    std::fs::rename(path, &aside)?;
    tracing::warn!(
        "spec file {} could not be used and is now {}",
        path.display(),
        Path::new(&aside).display()
    );
    Ok(())
}
