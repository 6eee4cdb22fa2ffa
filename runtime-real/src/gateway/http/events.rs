//! `/events`: the events of this supervisor, as server-sent events that survive a broken connection. A slow client
//! loses events and never holds up the loop.
//!
//! The id of an event is `<run>.<number>`; a client that reconnects with `Last-Event-ID` gets the events that it
//! missed, as far as they are kept. One event `gap` announces how many are kept no longer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use annulus_core::{Event, EventKind, UnixTime};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_core::Stream;
use serde_json::json;
use tokio::sync::{broadcast, mpsc, watch};

use super::Gateway;
use super::access::Sight;
use super::problem::Problem;
use super::streams::Place;
use crate::supervisor::event;

/// Events kept for clients that reconnect or fall behind.
pub(super) const HISTORY_MAX: usize = 1_024;
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The last events of this supervisor.
#[derive(Debug)]
pub(super) struct History {
    /// Tells the events of this run from those of an earlier run, whose numbers began at 1 too.
    run: u64,
    recorded: Mutex<Recorded>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Recorded {
    events: VecDeque<(UnixTime, Arc<Event>)>,
    leaving: bool,
    missed: u64,
}

impl History {
    pub(super) fn new(run: u64) -> Self {
        Self { run, recorded: Mutex::default(), changed: watch::Sender::new(0) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, at: UnixTime, event: Arc<Event>) {
        let mut recorded = self.lock();
        recorded.leaving |= matches!(event.kind, EventKind::Leaving);
        if recorded.events.len() >= HISTORY_MAX {
            recorded.events.pop_front();
        }
        recorded.events.push_back((at, event));
        drop(recorded);
        self.changed.send_modify(|version| *version += 1);
    }

    pub(super) fn leaving(&self) -> bool {
        self.lock().leaving
    }

    /// Events that the supervisor produced faster than they could be recorded.
    pub(super) fn missed(&self) -> u64 {
        self.lock().missed
    }

    /// The events after number `after`, and how many between are no longer kept.
    fn since(&self, after: u64) -> (u64, Vec<(UnixTime, Arc<Event>)>) {
        let recorded = self.lock();
        let list: Vec<_> = recorded.events.iter().filter(|(_, event)| event.id.0 > after).cloned().collect();
        let first = list.first().map_or(after + 1, |(_, event)| event.id.0);
        (first.saturating_sub(after + 1), list)
    }

    fn newest(&self) -> u64 {
        self.lock().events.back().map_or(0, |(_, event)| event.id.0)
    }

    /// The number after which a client goes on: that of the event it saw last; the oldest kept one when it saw another
    /// run; the newest when it saw none.
    fn resume(&self, last_event_id: Option<&str>) -> u64 {
        let Some(id) = last_event_id else { return self.newest() };
        match id.split_once('.') {
            Some((run, number)) if run.parse() == Ok(self.run) => number.parse().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Records every event until the supervisor ends; calls `also` for each.
pub(super) async fn record(
    history: Arc<History>,
    mut events: broadcast::Receiver<Arc<Event>>,
    clock: crate::host::clock::Clock,
    also: impl Fn(&Event),
) {
    loop {
        match events.recv().await {
            Ok(event) => {
                also(&event);
                history.record(clock.wall(), event);
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => history.lock().missed += missed,
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

pub(super) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Extension(sight): Extension<Sight>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    // Events name processes, addresses and what programs wrote.
    sight.wants_more()?;
    let place = gateway.streams.place(sight.other_user().await).ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "this supervisor serves as many event streams as it may; close one or try again later",
        )
    })?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = gateway.history.resume(last);
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(feed(Arc::clone(&gateway.history), after, sender));
    let feed = Feed { events: receiver, _place: place };
    Ok(Sse::new(feed).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive")))
}

/// Sends events to one client until it goes away.
async fn feed(history: Arc<History>, mut after: u64, client: mpsc::Sender<sse::Event>) {
    let mut changed = history.changed.subscribe();
    loop {
        changed.mark_unchanged();
        let (gap, list) = history.since(after);
        // A client that begins without an id has seen none, so it misses none.
        if gap > 0 && after > 0 && client.send(gap_event(gap)).await.is_err() {
            return;
        }
        for (at, event) in list {
            after = event.id.0;
            if client.send(sse_event(history.run, at, &event)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            biased;
            () = client.closed() => return,
            result = changed.changed() => if result.is_err() { return },
        }
    }
}

fn sse_event(run: u64, at: UnixTime, event: &Event) -> sse::Event {
    sse::Event::default()
        .id(format!("{run}.{}", event.id))
        .event(event.kind.name())
        .data(event::to_json(event, at).to_string())
}

fn gap_event(missed: u64) -> sse::Event {
    let text = format!("{missed} events are no longer kept");
    sse::Event::default()
        .event("gap")
        .data(json!({ "kind": "gap", "missed": missed, "text": text }).to_string())
}

struct Feed {
    events: mpsc::Receiver<sse::Event>,
    _place: Place,
}

impl Stream for Feed {
    type Item = Result<sse::Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(cx).map(|event| event.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use annulus_core::{Cause, EventId, InputId};

    fn filled(count: u64) -> History {
        let history = History::new(77);
        for id in 1..=count {
            let cause = Cause { input: InputId(id), event: None };
            let event = Event { id: EventId(id), cause, kind: EventKind::LocalHealth { score: 1 } };
            history.record(UnixTime::from_millis(id), Arc::new(event));
        }
        history
    }

    #[test]
    fn a_client_resumes_where_it_was() {
        let history = filled(10);
        assert_eq!(history.resume(None), 10, "a new client gets what happens from now on");
        assert_eq!(history.resume(Some("77.4")), 4);
        assert_eq!(history.resume(Some("76.9")), 0, "an earlier run: everything that is kept");
        assert_eq!(history.resume(Some("rubbish")), 0);
        let (gap, list) = history.since(4);
        assert_eq!((gap, list.len()), (0, 6));
    }

    #[test]
    fn history_is_bounded_and_says_what_it_lost() {
        let history = filled(HISTORY_MAX as u64 + 50);
        let (gap, list) = history.since(10);
        assert_eq!((gap, list.len()), (40, HISTORY_MAX));
        assert!(!history.leaving());
    }
}
