//! How many event streams there may be. A stream stays as long as its client likes, so streams leave room for probes and
//! scrapes, and those of other users leave room for operators and for each other. Knows nothing of events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Event streams at one time.
const MAX: usize = 128;
/// Those of them that other users of this host than operators may have …
const OF_USERS_MAX: usize = 64;
/// … and that one of these users may have.
const OF_ONE_USER_MAX: usize = 32;

/// The places of event streams.
#[derive(Debug)]
pub(super) struct Streams {
    all: Arc<Semaphore>,
    of_users: Arc<Semaphore>,
    of_one: Mutex<BTreeMap<Option<u32>, Weak<Semaphore>>>,
}

/// The place of one stream, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _in_all: OwnedSemaphorePermit,
    _of_users: Option<[OwnedSemaphorePermit; 2]>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MAX)),
            of_users: Arc::new(Semaphore::new(OF_USERS_MAX)),
            of_one: Mutex::default(),
        }
    }

    /// A place, where there is one. `other_user` is set for a client of this host that is no operator; an unknown user is
    /// like one user.
    pub(super) fn place(&self, other_user: Option<Option<u32>>) -> Option<Place> {
        let take = |of: Arc<Semaphore>| of.try_acquire_owned().ok();
        let of_users = match other_user {
            None => None,
            Some(user) => Some([take(self.of(user))?, take(Arc::clone(&self.of_users))?]),
        };
        Some(Place { _in_all: take(Arc::clone(&self.all))?, _of_users: of_users })
    }

    fn of(&self, user: Option<u32>) -> Arc<Semaphore> {
        let mut of_one = self.of_one.lock().unwrap_or_else(PoisonError::into_inner);
        of_one.retain(|_, places| places.strong_count() > 0);
        if let Some(places) = of_one.get(&user).and_then(Weak::upgrade) {
            return places;
        }
        let places = Arc::new(Semaphore::new(OF_ONE_USER_MAX));
        of_one.insert(user, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(streams: &Streams, other_user: Option<Option<u32>>) -> Vec<Place> {
        std::iter::from_fn(|| streams.place(other_user)).collect()
    }

    #[test]
    fn a_user_leaves_streams_to_other_users_and_to_operators() {
        let streams = Streams::new();
        let first = take(&streams, Some(Some(1)));
        assert_eq!(first.len(), OF_ONE_USER_MAX);
        let second = take(&streams, Some(Some(2)));
        assert_eq!(second.len(), OF_USERS_MAX - OF_ONE_USER_MAX);
        assert_eq!(take(&streams, Some(None)).len(), 0);
        assert_eq!(take(&streams, None).len(), MAX - OF_USERS_MAX);
        drop(first);
        let places = take(&streams, Some(None));
        assert_eq!(places.len(), OF_ONE_USER_MAX, "what was given back is there for others");
        assert_eq!(streams.of_one.lock().expect("whole").len(), 2, "who has none is forgotten");
    }
}
