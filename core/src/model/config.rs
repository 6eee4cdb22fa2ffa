//! The parameters of a node. [`Config::validate`] checks them once, so that the rest of the core may rely on them and
//! need not check them again.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::model::error::ConfigError;
use crate::model::limits::{DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN};
use crate::model::mutant::mutated;
use crate::model::planted::Planted;
use crate::model::ring_key::RingKeyId;

/// Time between two looks for newer builds of a service, where the operator does not say (as in Habitat).
pub(crate) const UPDATE_POLL_MS: u64 = 60_000;

/// All parameters of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How the ring keeps time.
    pub timings: Timings,
    /// The UDP port that others reach this member at.
    pub swim_port: u16,
    /// The TCP port that others reach this member at.
    pub gossip_port: u16,
    /// The address that others reach this member at, where they cannot tell from its packets (NAT, containers).
    pub advertise: Option<IpAddr>,
    /// Whether others probe this member for ever, also when it is confirmed dead (`--permanent-peer`).
    pub permanent: bool,
    /// Addresses that are tried while this member is alone (`--peer`), for ever.
    pub peers: Vec<SocketAddr>,
    /// The organization of its service groups (`--org`).
    pub org: Option<String>,
    /// The description of this host for other members.
    pub sys: SysInfo,
    /// What the runtime adds to each message before it is sent, in bytes: the seal of a ring key, where there is one.
    pub seal_bytes: usize,
    /// The keys of the ring; none in an open ring.
    pub ring_keys: Option<RingKeys>,
    /// Time between two looks for newer builds of a service, where the depot cannot say when there is one, in milliseconds
    /// (`--poll`).
    pub update_poll_ms: u64,
    /// A deliberate defect; empty in every build but those that check the checkers.
    pub planted: Planted,
}

impl Config {
    /// A member on this port with the timings of a local network.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self {
            timings: Timings::lan(),
            swim_port: port,
            gossip_port: port,
            advertise: None,
            permanent: false,
            peers: Vec::new(),
            org: None,
            sys: SysInfo::default(),
            seal_bytes: 0,
            ring_keys: None,
            update_poll_ms: UPDATE_POLL_MS,
            planted: Planted::default(),
        }
    }

    /// Checks that the parts do not contradict each other.
    ///
    /// # Errors
    /// Names the option, its value, and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.peers.len() > crate::model::limits::PEERS_MAX {
            return Err(ConfigError::Count {
                name: "peer",
                value: self.peers.len() as u64,
                why: "give at most 256 peer addresses; one that answers is enough",
            });
        }
        if self.update_poll_ms == 0 {
            let why = "looks for newer builds need a pause between them; use at least 1 ms";
            return Err(ConfigError::Count { name: "poll", value: 0, why });
        }
        self.timings.validate()?;
        // A seal takes its room from the rumors of a datagram, and never from a step of an election.
        count(
            self.datagram_bytes() >= DATAGRAM_BYTES_MIN,
            "datagram_bytes_max",
            self.timings.datagram_bytes_max,
            "a ring key takes 47 bytes of each datagram, and a step of an election 900; use at least 947",
        )
    }

    /// What a datagram may have before it is sealed, in bytes.
    #[must_use]
    pub const fn datagram_bytes(&self) -> usize {
        (self.timings.datagram_bytes_max as usize).saturating_sub(self.seal_bytes)
    }
}

/// The keys of a ring that a host has when its supervisor starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingKeys {
    /// Those that it can open; the clear among them where that is heard too.
    pub opens: Vec<RingKeyId>,
    /// The one to speak with where neither the ring nor the last life says another one.
    pub speaks: RingKeyId,
    /// The public key for what is sealed for this member.
    pub box_key: [u8; 32],
}

/// The description of a host that a service rumor carries (as in Habitat).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysInfo {
    /// Address for service traffic.
    pub ip: String,
    /// Host name.
    pub hostname: String,
    /// Gossip listener.
    pub gossip_ip: String,
    /// Gossip listener.
    pub gossip_port: u16,
    /// HTTP gateway.
    pub http_gateway_ip: String,
    /// HTTP gateway.
    pub http_gateway_port: u16,
    /// Ctl gateway.
    pub ctl_gateway_ip: String,
    /// Ctl gateway.
    pub ctl_gateway_port: u16,
}

/// Periods, timeouts, counts and sizes of the protocol. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// One member is probed in each such period (SWIM's protocol period).
    pub probe_period_ms: u64,
    /// A direct probe that is not answered within this goes to the indirect ones.
    pub probe_timeout_ms: u64,
    /// From the first ping to the verdict, indirect and stream probes included.
    pub probe_verdict_ms: u64,
    /// Members asked to probe for us (SWIM's k).
    pub indirect_probes: u32,
    /// A suspicion that enough members confirm runs out after this; half as much again for each tenfold of the
    /// ring's size above 10.
    pub suspicion_timeout_ms_min: u64,
    /// A suspicion that no other member confirms lasts this many times the minimum (Lifeguard's beta).
    pub suspicion_max_factor: u32,
    /// Independent accusers, the first apart, that shorten a suspicion to its minimum (Lifeguard's K).
    pub suspicion_confirmations: u32,
    /// How many members check a suspect for themselves when they hear of the suspicion, on average.
    pub corroborators: u32,
    /// Highest local health score; every probe time is multiplied by the score plus one.
    pub local_health_max: u32,
    /// Time between rounds of telling hot rumors; nothing is sent when none is hot.
    pub gossip_period_ms: u64,
    /// Members told per round.
    pub gossip_fanout: u32,
    /// Times log10 of the ring's size, rounded up: how often a member tells one rumor (SWIM's lambda).
    pub retransmit_factor: u32,
    /// Largest datagram that this member sends, in bytes; it accepts larger ones. The default is what Habitat's receive
    /// buffer holds and what every network carries in one piece. Larger ones carry more rumors on networks whose packets
    /// are larger too.
    pub datagram_bytes_max: u32,
    /// Longest time between digest exchanges; shorter while they find differences.
    pub sync_period_ms: u64,
    /// Shortest time between digest exchanges.
    pub sync_period_ms_min: u64,
    /// While alone: time between tries of the peers. Otherwise: time between tries of one lost member.
    pub reconnect_period_ms: u64,
    /// A confirmed member counts as departed after this.
    pub departed_after_ms: u64,
    /// Departed members and tombstones are forgotten after this.
    pub forget_after_ms: u64,
    /// How long a leaving member goes on answering, so that its departure spreads.
    pub leave_delay_ms: u64,
    /// Time between batches of records that may be lost in a crash.
    pub persist_period_ms: u64,
    /// A wake-up this late means that the process or its host was not running.
    pub stall_ms: u64,
    /// First wait before a service that ended is started again; doubles up to the maximum.
    pub restart_backoff_ms_min: u64,
    /// Longest wait before a service that ended is started again.
    pub restart_backoff_ms_max: u64,
    /// A service that ran this long starts again with the shortest wait.
    pub restart_cooldown_ms: u64,
    /// A service that fails this often in a row is not tried any more until an operator starts it; 0 tries for ever.
    /// With the default waits, 200 failures take an hour and a half.
    pub restart_failures_max: u32,
    /// How long a leader's lease lasts. A tenth less by the leader's clock and a tenth more by the voters', so that
    /// clocks may run a tenth too slow or too fast.
    pub lease_ms: u64,
    /// A leader renews its lease this often.
    pub lease_renew_ms: u64,
    /// A leader that cannot renew its lease gives up this long before its end: the time that its service has to stop
    /// acting as the leader.
    pub lease_margin_ms: u64,
    /// How long a voter waits for better candidates before it says yes to one.
    pub election_window_ms: u64,
    /// How long a candidate waits for answers, a disk's time included.
    pub election_answer_ms: u64,
    /// Longest wait between rounds of an election that finds no quorum.
    pub election_backoff_ms_max: u64,
}

/// Ten years, in milliseconds.
const TIME_MS_MAX: u64 = 315_360_000_000;

impl Timings {
    /// For hosts in one data centre: round trips of a few milliseconds. The default.
    #[must_use]
    pub fn lan() -> Self {
        Self {
            probe_period_ms: 1_000,
            probe_timeout_ms: 250,
            probe_verdict_ms: 600,
            indirect_probes: 3,
            suspicion_timeout_ms_min: 1_200,
            suspicion_max_factor: 6,
            suspicion_confirmations: 3,
            corroborators: 8,
            local_health_max: 7,
            gossip_period_ms: 100,
            gossip_fanout: 3,
            retransmit_factor: 3,
            datagram_bytes_max: 1_024,
            sync_period_ms: 30_000,
            sync_period_ms_min: 500,
            reconnect_period_ms: 5_000,
            departed_after_ms: 259_200_000,
            forget_after_ms: 259_200_000,
            leave_delay_ms: 1_000,
            persist_period_ms: 10_000,
            stall_ms: 2_000,
            restart_backoff_ms_min: 50,
            restart_backoff_ms_max: 30_000,
            restart_cooldown_ms: 60_000,
            restart_failures_max: 200,
            lease_ms: 2_000,
            lease_renew_ms: 500,
            lease_margin_ms: 300,
            election_window_ms: 100,
            election_answer_ms: 300,
            election_backoff_ms_max: 4_000,
        }
    }

    /// For hosts far apart: round trips of up to half a second.
    #[must_use]
    pub fn wan() -> Self {
        Self {
            probe_period_ms: 3_000,
            probe_timeout_ms: 1_000,
            probe_verdict_ms: 2_400,
            suspicion_timeout_ms_min: 4_000,
            gossip_period_ms: 300,
            gossip_fanout: 4,
            sync_period_ms: 60_000,
            sync_period_ms_min: 2_000,
            reconnect_period_ms: 10_000,
            leave_delay_ms: 3_000,
            stall_ms: 5_000,
            lease_ms: 10_000,
            lease_renew_ms: 2_500,
            lease_margin_ms: 1_500,
            election_window_ms: 600,
            election_answer_ms: 1_500,
            election_backoff_ms_max: 15_000,
            ..Self::lan()
        }
    }

    /// For one machine: round trips well below a millisecond.
    #[must_use]
    pub fn local() -> Self {
        Self {
            probe_period_ms: 500,
            probe_timeout_ms: 150,
            probe_verdict_ms: 350,
            suspicion_timeout_ms_min: 700,
            gossip_period_ms: 50,
            sync_period_ms: 15_000,
            sync_period_ms_min: 200,
            reconnect_period_ms: 2_000,
            leave_delay_ms: 300,
            ..Self::lan()
        }
    }

    /// Checks the relations without which the protocol misbehaves.
    ///
    /// # Errors
    /// Names the option, its value, and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_ranges()?;
        self.validate_probes()?;
        self.validate_spread()?;
        self.validate_elections()?;
        self.validate_counts()
    }

    /// Far enough from the ends of numbers that no sum of a few times overflows.
    fn validate_ranges(&self) -> Result<(), ConfigError> {
        for (name, value_ms) in [
            ("probe_period_ms", self.probe_period_ms),
            ("suspicion_timeout_ms_min", self.suspicion_timeout_ms_min),
            ("sync_period_ms", self.sync_period_ms),
            ("reconnect_period_ms", self.reconnect_period_ms),
            ("departed_after_ms", self.departed_after_ms),
            ("forget_after_ms", self.forget_after_ms),
            ("leave_delay_ms", self.leave_delay_ms),
            ("persist_period_ms", self.persist_period_ms),
            ("stall_ms", self.stall_ms),
            ("restart_backoff_ms_max", self.restart_backoff_ms_max),
            ("restart_cooldown_ms", self.restart_cooldown_ms),
        ] {
            timing(value_ms <= TIME_MS_MAX, name, value_ms, "use at most ten years")?;
        }
        timing(
            self.departed_after_ms >= self.reconnect_period_ms.saturating_mul(2),
            "departed_after_ms",
            self.departed_after_ms,
            "a lost member must be tried before it is given up; use at least twice reconnect_period_ms",
        )
    }

    fn validate_probes(&self) -> Result<(), ConfigError> {
        timing(
            self.probe_timeout_ms >= 10,
            "probe_timeout_ms",
            self.probe_timeout_ms,
            "an ack cannot be back that soon; use at least 10",
        )?;
        timing(
            self.probe_timeout_ms.saturating_mul(2) <= self.probe_verdict_ms,
            "probe_verdict_ms",
            self.probe_verdict_ms,
            "indirect probes need as long as the direct one; use at least twice probe_timeout_ms",
        )?;
        timing(
            self.probe_verdict_ms <= self.probe_period_ms,
            "probe_period_ms",
            self.probe_period_ms,
            "a probe must end before the next begins; use at least probe_verdict_ms",
        )?;
        timing(
            self.suspicion_timeout_ms_min >= self.probe_verdict_ms,
            "suspicion_timeout_ms_min",
            self.suspicion_timeout_ms_min,
            "a suspect needs time to refute; use at least probe_verdict_ms",
        )
    }

    fn validate_spread(&self) -> Result<(), ConfigError> {
        timing(
            self.gossip_period_ms >= 10 && self.gossip_period_ms <= self.suspicion_timeout_ms_min / 4,
            "gossip_period_ms",
            self.gossip_period_ms,
            "a refutation must overtake its suspicion; use 10 to a quarter of suspicion_timeout_ms_min",
        )?;
        timing(
            self.sync_period_ms_min >= 50 && self.sync_period_ms_min <= self.sync_period_ms,
            "sync_period_ms_min",
            self.sync_period_ms_min,
            "use 50 to sync_period_ms",
        )?;
        timing(
            self.reconnect_period_ms >= 100,
            "reconnect_period_ms",
            self.reconnect_period_ms,
            "use at least 100, or lost members cost more than living ones",
        )?;
        timing(
            mutated!(ForgetsTooSoon, self.forget_after_ms >= self.sync_period_ms.saturating_mul(2), true),
            "forget_after_ms",
            self.forget_after_ms,
            "a tombstone must outlive the copies of what it deletes; use at least twice sync_period_ms",
        )?;
        timing(
            self.stall_ms >= self.probe_timeout_ms,
            "stall_ms",
            self.stall_ms,
            "ordinary scheduling delay would count as a stall; use at least probe_timeout_ms",
        )?;
        timing(
            self.restart_backoff_ms_min <= self.restart_backoff_ms_max,
            "restart_backoff_ms_min",
            self.restart_backoff_ms_min,
            "use at most restart_backoff_ms_max",
        )
    }

    fn validate_elections(&self) -> Result<(), ConfigError> {
        timing(
            (200..=crate::model::limits::LEASE_MS_MAX).contains(&self.lease_ms),
            "lease_ms",
            self.lease_ms,
            "use 200 to 60000: shorter ones are lost by ordinary delays, and a restarted voter waits one",
        )?;
        timing(
            self.lease_renew_ms >= 20
                && self.lease_renew_ms.saturating_mul(2).saturating_add(self.lease_margin_ms)
                    <= self.lease_ms.saturating_mul(9) / 10,
            "lease_renew_ms",
            self.lease_renew_ms,
            "two renewals and lease_margin_ms must fit into nine tenths of lease_ms; use 20 to that",
        )?;
        timing(
            (5..=10_000).contains(&self.election_window_ms),
            "election_window_ms",
            self.election_window_ms,
            "use 5 to 10000",
        )?;
        timing(
            (20..=60_000).contains(&self.election_answer_ms),
            "election_answer_ms",
            self.election_answer_ms,
            "use 20 to 60000",
        )?;
        timing(
            self.election_backoff_ms_max >= self.election_answer_ms
                && self.election_backoff_ms_max <= TIME_MS_MAX,
            "election_backoff_ms_max",
            self.election_backoff_ms_max,
            "use at least election_answer_ms",
        )
    }

    fn validate_counts(&self) -> Result<(), ConfigError> {
        count(
            (1..=20).contains(&self.suspicion_max_factor),
            "suspicion_max_factor",
            self.suspicion_max_factor,
            "use 1 to 20",
        )?;
        count(
            (1..=crate::model::limits::ACCUSERS_MAX as u32 - 1).contains(&self.suspicion_confirmations),
            "suspicion_confirmations",
            self.suspicion_confirmations,
            "use 1 to 3",
        )?;
        count(
            (1..=10).contains(&self.retransmit_factor),
            "retransmit_factor",
            self.retransmit_factor,
            "use 1 to 10",
        )?;
        count(
            (DATAGRAM_BYTES_MIN..=DATAGRAM_BYTES_MAX).contains(&(self.datagram_bytes_max as usize)),
            "datagram_bytes_max",
            self.datagram_bytes_max,
            "use 970 to 8192: a step of an election needs 970, and more than 8192 is not accepted",
        )?;
        count((1..=16).contains(&self.gossip_fanout), "gossip_fanout", self.gossip_fanout, "use 1 to 16")?;
        count(self.indirect_probes <= 16, "indirect_probes", self.indirect_probes, "use 0 to 16")?;
        count(self.local_health_max <= 15, "local_health_max", self.local_health_max, "use 0 to 15")
    }
}

fn timing(ok: bool, name: &'static str, value_ms: u64, why: &'static str) -> Result<(), ConfigError> {
    if ok { Ok(()) } else { Err(ConfigError::Timing { name, value_ms, why }) }
}

fn count(ok: bool, name: &'static str, value: u32, why: &'static str) -> Result<(), ConfigError> {
    if ok { Ok(()) } else { Err(ConfigError::Count { name, value: u64::from(value), why }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_profiles_are_valid() {
        for timings in [Timings::lan(), Timings::wan(), Timings::local()] {
            assert_eq!(timings.validate(), Ok(()));
        }
    }

    #[test]
    fn contradictions_name_the_option() {
        let bad = Timings { probe_verdict_ms: 300, ..Timings::lan() };
        let Err(ConfigError::Timing { name, value_ms, .. }) = bad.validate() else { panic!("accepted") };
        assert_eq!((name, value_ms), ("probe_verdict_ms", 300));
        let bad = Timings { gossip_fanout: 0, ..Timings::lan() };
        assert!(matches!(bad.validate(), Err(ConfigError::Count { name: "gossip_fanout", .. })));
        for bytes in [0, DATAGRAM_BYTES_MIN as u32 - 1, DATAGRAM_BYTES_MAX as u32 + 1, u32::MAX] {
            let bad = Timings { datagram_bytes_max: bytes, ..Timings::lan() };
            assert!(matches!(bad.validate(), Err(ConfigError::Count { name: "datagram_bytes_max", .. })));
        }
        for bytes in [DATAGRAM_BYTES_MIN, DATAGRAM_BYTES_MAX] {
            let good = Timings { datagram_bytes_max: bytes as u32, ..Timings::lan() };
            assert_eq!(good.validate(), Ok(()));
        }
    }

    /// Each relation that the protocol rests on, turned round once.
    #[test]
    fn every_contradiction_is_refused_by_the_name_of_its_option() {
        let lan = Timings::lan;
        let bad = [
            ("probe_period_ms", Timings { probe_period_ms: 599, ..lan() }),
            ("probe_timeout_ms", Timings { probe_timeout_ms: 9, ..lan() }),
            ("suspicion_timeout_ms_min", Timings { suspicion_timeout_ms_min: 599, ..lan() }),
            ("gossip_period_ms", Timings { gossip_period_ms: 301, ..lan() }),
            ("sync_period_ms_min", Timings { sync_period_ms_min: 30_001, ..lan() }),
            ("reconnect_period_ms", Timings { reconnect_period_ms: 99, ..lan() }),
            ("departed_after_ms", Timings { departed_after_ms: 9_999, ..lan() }),
            ("forget_after_ms", Timings { forget_after_ms: 59_999, ..lan() }),
            ("stall_ms", Timings { stall_ms: 249, ..lan() }),
            ("restart_backoff_ms_min", Timings { restart_backoff_ms_min: 30_001, ..lan() }),
            ("lease_ms", Timings { lease_ms: 60_001, ..lan() }),
            ("lease_renew_ms", Timings { lease_renew_ms: 751, ..lan() }),
            ("election_window_ms", Timings { election_window_ms: 4, ..lan() }),
            ("election_answer_ms", Timings { election_answer_ms: 19, ..lan() }),
            ("election_backoff_ms_max", Timings { election_backoff_ms_max: 299, ..lan() }),
            ("leave_delay_ms", Timings { leave_delay_ms: TIME_MS_MAX + 1, ..lan() }),
        ];
        for (option, timings) in bad {
            let Err(ConfigError::Timing { name, .. }) = timings.validate() else {
                panic!("{option} is accepted")
            };
            assert_eq!(name, option);
        }
        // The limits themselves are allowed.
        let good = Timings { gossip_period_ms: 300, forget_after_ms: 60_000, lease_renew_ms: 750, ..lan() };
        assert_eq!(good.validate(), Ok(()));
    }
}
