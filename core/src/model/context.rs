//! The shape that all components share: the context that the node gives to their verbs, and the outputs that they leave
//! in it. A component reaches the outside and other components by this way only.
//!
//! Every component has the verbs `handle_*(&mut Context, …)` and `handle_timeout(&mut Context)`, says with
//! `poll_timeout()` when it wants that, and gives its owner with `poll_event()` the news for other components.
//! Events of the node and numbers of effects come from the [`Context`]; no component names another one.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::model::event::{Cause, Event, EventKind};
use crate::model::id::{EffectId, EventId, InputId};
use crate::model::io::{Effect, Output, WakeReason};
use crate::model::limits::{Limit, OUTPUTS_MAX};
use crate::model::metrics::Metrics;
use crate::model::time::{Instant, UnixTime};

/// Outputs of the current input, in the order in which they came about.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    queue: VecDeque<Output>,
    events: u64,
    effects: u64,
}

/// A queue that grew beyond this gives its memory back once it is empty.
const CAPACITY_KEPT: usize = 4;

impl Outputs {
    pub(crate) fn push(&mut self, output: Output) {
        assert!(self.queue.len() < OUTPUTS_MAX, "one input led to more outputs than any input can");
        self.queue.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        let output = self.queue.pop_front();
        if self.queue.is_empty() {
            if self.queue.capacity() > CAPACITY_KEPT {
                self.queue = VecDeque::new();
            }
            // An empty queue begins again at the front of its buffer, which is warm in the processor's cache.
            self.queue.clear();
        }
        output
    }

    /// The number of an effect that a component asks for itself.
    fn next_effect_id(&mut self) -> EffectId {
        self.effects += 1;
        assert!(self.effects > 0, "effects are counted from 1");
        EffectId(self.effects)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// The cause of an event, besides the input that is being handled. The component that reports the event names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Only the input itself: a command, a message, a result, the time.
    Input,
    /// This earlier event, at once or after a wait that it began.
    Event(EventId),
}

impl Follows {
    /// The event, where there is one.
    pub(crate) const fn event(self) -> Option<EventId> {
        match self {
            Self::Input => None,
            Self::Event(id) => Some(id),
        }
    }

    /// This cause, or the other one where this is only the input.
    pub(crate) const fn or(self, other: Self) -> Self {
        match self {
            Self::Input => other,
            Self::Event(_) => self,
        }
    }
}

impl From<Option<EventId>> for Follows {
    fn from(event: Option<EventId>) -> Self {
        event.map_or(Self::Input, Self::Event)
    }
}

/// Passed to every component's verbs.
pub(crate) struct Context<'a> {
    /// Now, monotonic.
    pub(crate) now: Instant,
    /// Now, by the wall clock; shown to people and never compared with `now`.
    pub(crate) wall: UnixTime,
    /// The input that is being handled.
    pub(crate) input: InputId,
    /// The cause of the verb: the event of another component that the node carries to this one.
    pub(crate) after: Follows,
    /// Where outputs go.
    pub(crate) outputs: &'a mut Outputs,
    /// The node's counters.
    pub(crate) metrics: &'a mut Metrics,
}

impl Context<'_> {
    /// Reports a change and its cause.
    pub(crate) fn event(&mut self, after: Follows, kind: EventKind) -> EventId {
        self.outputs.events += 1;
        let id = EventId(self.outputs.events);
        let after = after.event();
        assert!(after.is_none_or(|after| after.0 < id.0), "a cause comes before what it causes");
        let event = Event { id, cause: Cause { input: self.input, event: after }, kind };
        self.outputs.push(Output::Event(Box::new(event)));
        id
    }

    /// Asks the runtime for work.
    pub(crate) fn effect(&mut self, effect: Effect) -> EffectId {
        let id = self.outputs.next_effect_id();
        self.outputs.push(Output::Effect(id, effect));
        id
    }

    /// Reports that a limit made the node drop a record or refuse a request.
    pub(crate) fn limit_reached(&mut self, limit: Limit) -> EventId {
        self.metrics.limits_reached += 1;
        self.event(self.after, EventKind::LimitReached { limit })
    }
}

/// The answer of `poll_timeout`: the earliest of these deadlines, the first of equal ones; none when all are "never".
pub(crate) fn earliest(
    deadlines: impl IntoIterator<Item = (Instant, WakeReason)>,
) -> Option<(Instant, WakeReason)> {
    // A plain loop: this runs several times for each input, and adapters cost a multiple of it.
    let mut first: Option<(Instant, WakeReason)> = None;
    for (at, reason) in deadlines {
        if at < first.map_or(Instant::FAR_FUTURE, |(first, _)| first) {
            first = Some((at, reason));
        }
    }
    first
}

/// Whether the time that `poll_timeout` answered has come.
pub(crate) fn is_due(deadline: Option<(Instant, WakeReason)>, now: Instant) -> bool {
    deadline.is_some_and(|(at, _)| at <= now)
}
