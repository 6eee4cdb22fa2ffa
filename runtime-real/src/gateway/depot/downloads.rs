//! Places for files that go out: so many in all, and so many of one host, so that one that takes its time over all of its own
//! leaves some for others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;
use super::{Load, place};

/// The places.
#[derive(Debug)]
pub(super) struct Downloads {
    all: Arc<Semaphore>,
    of_one_host: usize,
    hosts: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Downloads>,
    host: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Downloads {
    pub(super) fn new(load: Load) -> Self {
        Self {
            all: Arc::new(Semaphore::new(load.downloads)),
            of_one_host: load.downloads_of_one_host,
            hosts: Mutex::default(),
        }
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a host.
    pub(super) fn place(self: &Arc<Self>, host: Option<IpAddr>) -> Result<Place, Refusal> {
        let permit = place(&self.all)?;
        if let Some(host) = host {
            let mut hosts = self.hosts();
            let own = hosts.entry(host).or_default();
            if *own >= self.of_one_host {
                return Err(Refusal::busy("this host takes as much of this depot as one may at one time"));
            }
            *own += 1;
        }
        Ok(Place { of: Arc::clone(self), host, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(host) = self.host else { return };
        let mut hosts = self.of.hosts();
        if let Some(own) = hosts.get_mut(&host) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                hosts.remove(&host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_leaves_places_for_others() {
        let downloads =
            Arc::new(Downloads::new(Load { downloads: 3, downloads_of_one_host: 2, ..Load::BESIDE }));
        let host = |last| Some(IpAddr::from([10, 0, 0, last]));
        let first = downloads.place(host(1)).expect("free");
        let _second = downloads.place(host(1)).expect("free");
        assert!(downloads.place(host(1)).is_err(), "it has its share");
        let _third = downloads.place(host(2)).expect("left for another host");
        assert!(downloads.place(host(3)).is_err(), "all are taken");
        drop(first);
        let _again = downloads.place(host(1)).expect("free again");
        assert_eq!(downloads.hosts().len(), 2, "who has none is not remembered");
    }
}
