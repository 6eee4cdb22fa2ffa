//! The loop: takes one input, carries out every output, takes the next input. It decides nothing; the node does.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use annulus_core::limits::DATAGRAM_BYTES_MAX;
use annulus_core::{
    Channel, Config, EffectId, EffectResult, Event, EventKind, ExitReason, Input, Instant, MemberId, Node,
    Output, Reply, RequestId, Signer, Snapshot, Transmit,
};
use tokio::sync::{mpsc, oneshot};

use crate::host::clock::Clock;
use crate::net::{
    Datagrams, FromStream, Gate, GateParts, INBOUND_MAX, Inward, Outbound, Received, Transport, Way,
    serve_streams,
};
use crate::supervisor::effect::Effects;
use crate::supervisor::event;
use crate::supervisor::handle::{DriverHandle, Ended, Request, Served};

/// Inputs that one source may give in one turn; then the other sources have their turn.
const INPUTS_PER_TURN: u32 = 64;
/// Commands that may wait for their answer; further ones wait in the queue.
const REPLIES_MAX: usize = 1_024;

/// The parts that a driver is made of.
#[derive(Debug)]
pub struct Parts<T: Transport, E> {
    /// The node's parameters, validated.
    pub config: Config,
    /// Signs for the node, whose id is that of its key.
    pub signer: Signer,
    /// The state that the node starts from.
    pub restored: Option<Snapshot>,
    /// The seed of its random stream.
    pub seed: [u8; 32],
    /// The driver's time.
    pub clock: Clock,
    /// Opens connections.
    pub transport: T,
    /// The gossip port's UDP socket.
    pub datagrams: T::Datagrams,
    /// The gossip port's TCP listener.
    pub listener: T::Listener,
    /// What messages pass on their way.
    pub gate: GateParts,
    /// Carries out the node's effects.
    pub effects: E,
    /// Where `effects` reports results.
    pub done: mpsc::Receiver<(EffectId, EffectResult)>,
}

/// Runs one node.
pub struct Driver<T: Transport, E: Effects> {
    node: Node,
    clock: Clock,
    datagrams: T::Datagrams,
    outbound: Outbound<T>,
    gate: Gate,
    streams: mpsc::Receiver<FromStream>,
    // Dropped before `effects`: its workers may be waiting to report, and dropping `effects` waits for them.
    done: mpsc::Receiver<(EffectId, EffectResult)>,
    effects: E,
    served: Served,
    replies: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    next_request: u64,
    deadline: Instant,
    exit: Option<ExitReason>,
}

/// How many inputs of each source this turn still takes.
struct Quota {
    wakes: u32,
    done: u32,
    requests: u32,
    streams: u32,
    datagrams: u32,
}

impl Quota {
    const FULL: Self = Self {
        wakes: INPUTS_PER_TURN,
        done: INPUTS_PER_TURN,
        requests: INPUTS_PER_TURN,
        streams: INPUTS_PER_TURN,
        datagrams: INPUTS_PER_TURN,
    };

    fn spent(&self) -> bool {
        [self.wakes, self.done, self.requests, self.streams, self.datagrams].contains(&0)
    }
}

impl<T: Transport, E: Effects> Driver<T, E> {
    /// Makes the node and the channels that [`Self::run`] needs. It serves the stream port from now on, so it must be
    /// called inside a runtime.
    pub fn new(parts: Parts<T, E>) -> (Self, DriverHandle) {
        let Parts {
            config,
            signer,
            restored,
            seed,
            clock,
            transport,
            datagrams,
            listener,
            gate,
            effects,
            done,
        } = parts;
        let mut node = Node::new(config, signer, restored, seed, clock.now(), clock.wall());
        let gate = gate.into_gate();
        gate.series().into_iter().for_each(|series| node.begin_series(series));
        let (handle, served) = DriverHandle::new();
        let (sink, streams) = mpsc::channel(INBOUND_MAX);
        tokio::spawn(serve_streams(listener, sink.clone(), gate.clone()));
        let driver = Self {
            node,
            clock,
            datagrams,
            outbound: Outbound::new(transport, sink, gate.clone()),
            gate,
            streams,
            effects,
            done,
            served,
            replies: BTreeMap::new(),
            next_request: 0,
            deadline: Instant::FAR_FUTURE,
            exit: None,
        };
        (driver, handle)
    }

    /// Drives the node until it has finished.
    pub async fn run(mut self) -> ExitReason {
        let mut buffer = vec![0_u8; DATAGRAM_BYTES_MAX + 1];
        let mut quota = Quota::FULL;
        self.drain();
        loop {
            if let Some(reason) = self.exit {
                self.done.close();
                self.served.ended.send_replace(Some(Ended::Exit(reason)));
                return reason;
            }
            tokio::select! {
                biased;
                // 1: time, because a late verdict on a probe is a wrong one.
                () = self.clock.sleep_until(self.deadline), if quota.wakes > 0 => {
                    quota.wakes -= 1;
                    self.handle(Input::Wake);
                }
                // 2: results of effects on this host.
                Some((id, result)) = self.done.recv(), if quota.done > 0 => {
                    quota.done -= 1;
                    self.handle(Input::EffectDone(id, result));
                }
                // 3: commands of operators.
                Some(request) = self.served.requests.recv(),
                    if quota.requests > 0 && self.replies.len() < REPLIES_MAX =>
                {
                    quota.requests -= 1;
                    self.serve(request);
                }
                // 4: messages of other members; datagrams last, because any host can send many of them.
                Some(message) = self.streams.recv(), if quota.streams > 0 => {
                    quota.streams -= 1;
                    self.on_stream(message);
                }
                received = self.datagrams.recv(&mut buffer), if quota.datagrams > 0 => {
                    quota.datagrams -= 1;
                    self.on_datagram(received, &buffer);
                }
                // 5: every source that is ready has had its share of this turn.
                () = tokio::task::yield_now(), if quota.spent() => quota = Quota::FULL,
            }
        }
    }

    /// Handles one input, and then every output.
    fn handle(&mut self, input: Input<'_>) {
        let now = self.effects.turn(&self.clock);
        self.node.handle_input(now, self.clock.wall(), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Effect(_, annulus_core::Effect::Exit(reason)) => self.exit = Some(reason),
                Output::Effect(id, effect) => self.effects.start(id, effect),
                Output::Reply(id, reply) => self.reply(id, reply),
                Output::Event(event) => self.publish(*event),
                Output::WakeAt(deadline, _) => self.deadline = deadline,
            }
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        let Transmit { to, channel, key, bytes, stamp } = transmit;
        match channel {
            Channel::Stream => self.outbound.send(to, key, bytes, stamp),
            Channel::Datagram => {
                // A full buffer or a missing route loses the datagram, as the network may; probes notice that.
                let sealed = self.gate.outward(&key, stamp, &bytes);
                let sent = sealed.map_or(Ok(0), |sealed| self.datagrams.try_send(&sealed, to));
                if let Err(error) = sent {
                    tracing::debug!(%to, %error, "datagram not sent");
                }
            }
        }
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        if let Some(answer) = self.replies.remove(&id) {
            // The task that asked may have gone.
            let _ = answer.send(reply);
        }
    }

    fn publish(&mut self, event: Event) {
        if matches!(event.kind, EventKind::Stalled { .. }) {
            // The host may have been put back to an earlier state, in which it used the next numbers before.
            self.gate.series().into_iter().for_each(|series| self.node.begin_series(series));
        }
        event::log(&event, &|id| event::name_in(&self.node, id));
        // There may be no listener.
        let _ = self.served.events.send(Arc::new(event));
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Read(look) => look(&self.node),
            Request::Command(command, answer) => {
                self.next_request += 1;
                let id = RequestId(self.next_request);
                self.replies.insert(id, answer);
                self.handle(Input::Command(id, *command));
            }
        }
    }

    fn on_stream(&mut self, message: FromStream) {
        match message {
            FromStream::Frame { from, key, bytes, stamp, share: _share } => {
                self.handle(Input::Stream { from, key, bytes: &bytes, stamp })
            }
            FromStream::Refused { to } => self.handle(Input::Refused { to }),
        }
    }

    fn on_datagram(&mut self, received: io::Result<Received>, buffer: &[u8]) {
        match received {
            Ok(Received::Datagram { len, from }) => {
                let bytes = buffer.get(..len).unwrap_or(buffer);
                if let Some(Inward { key, bytes, stamp }) = self.gate.inward(from, Way::Datagram, bytes) {
                    self.handle(Input::Datagram { from, key, bytes: &bytes, stamp });
                }
            }
            Ok(Received::Refused { to }) => self.handle(Input::Refused { to }),
            Err(error) => tracing::debug!(%error, "gossip port cannot be read"),
        }
    }

    /// The id of this node.
    #[must_use]
    pub fn member_id(&self) -> MemberId {
        self.node.id()
    }
}

#[cfg(test)]
mod host_tests;
#[cfg(test)]
mod tests;
