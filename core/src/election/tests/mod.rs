//! A group of electing members on a network that a test commands: it cuts links, delays disks and crashes members.
//! Every step takes a millisecond.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;

use super::*;
use crate::model::context::{Context, Outputs, is_due};
use crate::model::election::{ElectionEvent, ElectionStatus, Readiness};
use crate::model::event::EventKind;
use crate::model::id::{Incarnation, InputId};
use crate::model::metrics::Metrics;
use crate::model::rng::Rng;
use crate::model::time::UnixTime;
use crate::store::vote;

mod bench;
mod candidate;
mod disk;
mod drive;
mod hand_over;
mod lead;
mod one_leader;
mod random;
mod resume;
mod seats;
mod voter;

const STEP: Duration = Duration::from_millis(1);

fn id(n: u8) -> MemberId {
    MemberId::from_bytes([n; 16])
}

fn election() -> ElectionId {
    ElectionId::leader("redis.prod".parse().expect("a valid group"))
}

fn update() -> ElectionId {
    ElectionId { purpose: ElectionPurpose::Update, ..election() }
}

struct Member {
    elections: Option<Elections>,
    fitness: Option<Fitness>,
    disk: BTreeMap<alloc::vec::Vec<u8>, alloc::vec::Vec<u8>>,
    role: Option<Role>,
    /// Yields are acknowledged at once, unless a test wants to see what happens until then.
    demotes: bool,
    /// Counts its lives.
    incarnation: u64,
    /// The guard of its process: the end of its lease, at which the process is killed, and the right to resume, with
    /// term and end. The right is withdrawn only with an acknowledged yield, which is the least that a service does.
    acts_until: Option<Instant>,
    resume: Option<(u64, Instant)>,
    /// Its disk refuses writes, or takes so many steps for one.
    disk_fails: bool,
    disk_steps: u32,
}

/// A write on its way.
struct Pending {
    at: Instant,
    owner: u8,
    election: ElectionId,
    write: Write,
}

struct Bench {
    now: Instant,
    members: BTreeMap<u8, Member>,
    cut: BTreeSet<(u8, u8)>,
    banned: BTreeSet<u8>,
    wire: VecDeque<(Instant, u8, u8, Message)>,
    /// How long messages take at most; each takes its own time.
    delay_ms_max: u64,
    chance: Rng,
    stores: VecDeque<Pending>,
    told: VecDeque<ElectionRumor>,
    outputs: Outputs,
    metrics: Metrics,
    /// Every term of an election with its winner.
    won: BTreeMap<(ElectionId, u64), MemberId>,
    sent: usize,
    /// Where the group elects a member that carries out updates: the members that are fit for it.
    updaters: BTreeMap<u8, Fitness>,
}

/// The greatest of three leads, and has for a while.
fn led_by_three() -> Bench {
    let mut bench = Bench::new(3);
    assert_eq!(bench.elect(1_000).0, 3);
    bench.run(2_000);
    bench
}
