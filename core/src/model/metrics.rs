//! Plain counters of one node, which the runtime turns into the metrics that operators scrape. No component may decide
//! by them.

/// Counts since the node started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Datagrams sent, by kind.
    pub datagrams_sent: MessageCounts,
    /// Datagrams received and accepted, by kind.
    pub datagrams_received: MessageCounts,
    /// Stream messages sent.
    pub streams_sent: u64,
    /// Stream messages received and accepted.
    pub streams_received: u64,
    /// Bytes of datagrams sent.
    pub datagram_bytes_sent: u64,
    /// Bytes of datagrams received, rejected ones included.
    pub datagram_bytes_received: u64,
    /// Bytes of stream messages sent.
    pub stream_bytes_sent: u64,
    /// Bytes of stream messages received, rejected ones included.
    pub stream_bytes_received: u64,
    /// Messages rejected by a decoder.
    pub decode_errors: u64,
    /// Those of them that were sealed with a ring key, which this member has not.
    pub messages_sealed: u64,
    /// Signatures checked; what was found good lately is not checked again.
    pub signatures_checked: u64,
    /// Statements that were not believed, because their authors' word was missing or false.
    pub statements_refused: u64,
    /// Sealed messages that came a second time and were dropped.
    pub replays_dropped: u64,
    /// Sealed messages that were dropped for another fault of their numbers.
    pub stamps_refused: u64,
    /// Answers by which members proved that they speak now.
    pub senders_proved: u64,
    /// Parts of messages that could not be read and were left out; the messages themselves were accepted.
    pub parts_skipped: u64,
    /// Probes begun.
    pub probes: u64,
    /// Probes that no path answered.
    pub probes_failed: u64,
    /// Members that this node came to suspect.
    pub suspicions: u64,
    /// Members that this node confirmed dead.
    pub confirmations: u64,
    /// Times this node refuted an accusation.
    pub refutations: u64,
    /// Times this process was found not to have been running.
    pub stalls: u64,
    /// Rumors accepted from others.
    pub rumors_accepted: u64,
    /// Rumors received that told nothing new.
    pub rumors_ignored: u64,
    /// Digest exchanges begun.
    pub syncs: u64,
    /// Records learned in digest exchanges.
    pub sync_records_learned: u64,
    /// Times a limit made the node drop something.
    pub limits_reached: u64,
    /// Attempts to reach lost members or, while alone, peers.
    pub reconnects: u64,
}

/// Datagrams by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// Direct probes.
    pub ping: u64,
    /// Answers.
    pub ack: u64,
    /// Requests for an indirect probe.
    pub ping_req: u64,
    /// A helper's word that it got no answer either.
    pub nack: u64,
    /// Rumors alone.
    pub gossip: u64,
    /// Steps of elections: requests and answers.
    pub ballot: u64,
    /// Questions who speaks.
    pub challenge: u64,
    /// Answers to those.
    pub answer: u64,
    /// Kinds of a later version, of which only the sender and the rumors are understood. Never sent.
    pub unknown: u64,
}

impl MessageCounts {
    /// All kinds together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.ping
            + self.ack
            + self.ping_req
            + self.nack
            + self.gossip
            + self.ballot
            + self.challenge
            + self.answer
            + self.unknown
    }
}
