//! Work side by side: several runs at a time, each in one thread of its own. A run itself uses no threads.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "people wait in real time")]

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the caller is asked whether to go on while nothing ends.
const TICK: Duration = Duration::from_millis(100);

/// News of the work.
#[derive(Debug)]
pub(super) enum News<R> {
    /// The piece of this number has begun.
    Began(usize),
    /// It has ended so.
    Ended(usize, R),
    /// Time has passed.
    Tick,
}

/// As many as this machine has processors.
pub(super) fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// The time on the wall.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Does `work` for every number below `count`, `jobs` at a time, in order; tells `on` until all is done or `on` breaks
/// off. What is under way then is left behind: its threads end with the process.
pub(super) fn spread<R: Send + 'static>(
    count: usize,
    jobs: usize,
    work: impl Fn(usize) -> R + Send + Sync + 'static,
    mut on: impl FnMut(News<R>) -> ControlFlow<()>,
) {
    let (work, next) = (Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let (told, news) = mpsc::channel();
    for _ in 0..jobs.clamp(1, count.max(1)) {
        let (work, next, told) = (Arc::clone(&work), Arc::clone(&next), told.clone());
        thread::spawn(move || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                // Nobody listens any more once the caller has broken off.
                if number >= count
                    || told.send(News::Began(number)).is_err()
                    || told.send(News::Ended(number, work(number))).is_err()
                {
                    return;
                }
            }
        });
    }
    drop(told);
    loop {
        let flow = match news.recv_timeout(TICK) {
            Ok(news) => on(news),
            Err(RecvTimeoutError::Timeout) => on(News::Tick),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if flow.is_break() {
            next.store(count, Ordering::Relaxed);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        let mut ended = Vec::new();
        spread(
            50,
            3,
            |number| number * 2,
            |news| {
                if let News::Ended(number, result) = news {
                    assert_eq!(result, number * 2);
                    ended.push(number);
                }
                ControlFlow::Continue(())
            },
        );
        ended.sort_unstable();
        assert_eq!(ended, (0..50).collect::<Vec<_>>());
        spread(0, 3, |number| number, |_| panic!("there is nothing to do"));
    }

    #[test]
    fn what_is_under_way_is_not_waited_for() {
        let (_kept, never) = mpsc::channel::<()>();
        let never = std::sync::Mutex::new(never);
        let mut ended = 0;
        let stands_still = move |number| {
            if number == 1 {
                let _ = never.lock().map(|never| never.recv());
            }
        };
        spread(2, 2, stands_still, |news| match news {
            News::Ended(..) => {
                ended += 1;
                ControlFlow::Break(())
            }
            News::Began(_) | News::Tick => ControlFlow::Continue(()),
        });
        assert_eq!(ended, 1);
    }
}
