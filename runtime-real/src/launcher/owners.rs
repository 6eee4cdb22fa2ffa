//! The services whose directories this launcher's supervisor owns. Decides nothing about services.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::host::owner::OwnerLock;

#[derive(Debug)]
struct Held {
    lock: OwnerLock,
    /// It is let go as soon as nothing of the service runs.
    is_leaving: bool,
}

/// The locks that are held, by service.
#[derive(Debug)]
pub(super) struct Owners {
    folder: PathBuf,
    /// The supervisor's name.
    name: String,
    held: BTreeMap<String, Held>,
}

impl Owners {
    /// Locks in this folder for the supervisor of this name.
    pub(super) fn new(folder: PathBuf, name: &str) -> Self {
        Self { folder, name: name.to_owned(), held: BTreeMap::new() }
    }

    /// Takes the lock of a service, or goes on holding it.
    ///
    /// # Errors
    /// In words: which supervisor has it, or what the system says.
    pub(super) fn claim(&mut self, service: &str) -> Result<(), String> {
        // The name becomes that of a file, and of a directory of a control group.
        if service.parse::<annulus_core::ServiceName>().is_err() {
            return Err(format!("{service:?} is not the name of a service"));
        }
        if !self.held.contains_key(service) {
            let lock = OwnerLock::acquire(&self.folder, service, &self.name);
            let lock = lock.map_err(|error| error.to_string())?;
            self.held.insert(service.to_owned(), Held { lock, is_leaving: false });
        }
        self.keep(service);
        Ok(())
    }

    /// Takes the lock of a service for a hook, unless it is held. A hook that ends a service, such as that after its stop, does
    /// not make it one that goes on.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub(super) fn claim_for_hook(&mut self, service: &str) -> Result<(), String> {
        let is_new = !self.held.contains_key(service);
        let is_leaving = self.held.get(service).is_none_or(|held| held.is_leaving);
        if is_new {
            self.claim(service)?;
        }
        if let Some(held) = self.held.get_mut(service) {
            held.is_leaving = is_leaving;
        }
        Ok(())
    }

    /// A service whose supervisor goes on with it.
    pub(super) fn keep(&mut self, service: &str) {
        if let Some(held) = self.held.get_mut(service) {
            held.is_leaving = false;
        }
    }

    /// The lock for a guard of the service.
    ///
    /// # Errors
    /// The system gives no further descriptors.
    pub(super) fn share(&self, service: &str) -> io::Result<Option<OwnedFd>> {
        self.held.get(service).map(|held| held.lock.share()).transpose()
    }

    /// The supervisor has unloaded a service.
    pub(super) fn release(&mut self, service: &str, is_over: bool) {
        if let Some(held) = self.held.get_mut(service) {
            held.is_leaving = true;
        }
        if is_over {
            self.rest(service);
        }
    }

    /// Nothing of a service runs any more.
    pub(super) fn rest(&mut self, service: &str) {
        if self.held.get(service).is_some_and(|held| held.is_leaving) {
            self.held.remove(service);
        }
    }

    /// Another supervisor is connected, which claims what it wants; what runs stays held until it ends.
    pub(super) fn unclaim(&mut self, runs: impl Fn(&str) -> bool) {
        self.held.retain(|service, _| runs(service));
        self.held.values_mut().for_each(|held| held.is_leaving = true);
    }
}
