//! A fourth member that says whatever it likes, with its own key and so with signatures that count: its own messages of the
//! last seconds with numbers at their limits, statements about every kind of thing, and lists of what does not exist. After
//! its last message its host is lost, and sixty seconds later the ring of the others has to be whole.
//!
//! An input is two bytes for the ring, then deeds of six bytes each. Every sequence of bytes is such a program.

use annulus_core::{
    Channel, Departure, ElectionId, ElectionRumor, Health, Incarnation, MemberId, MemberRecord, MemberRumor,
    Message, Rng, Rumor, ServiceConfig, ServiceFile, ServiceGroup, ServiceHealth, State, Version, reach,
};
use annulus_sim::World;
use annulus_sim::action::{Crash, HostId};

use super::super::Seen;
use super::program::MEMBERS;
use super::world::{self, Teller};
use crate::mutate::{border, bytes, protobuf};

/// The insider's host.
const EVE: HostId = HostId(MEMBERS);
const HEAD_BYTES: usize = 2;
const DEED_BYTES: usize = 6;
const DEEDS_MAX: usize = 200;
/// What does not exist and is told of in one deed.
const LIST_MAX: u64 = 24;

/// One deed: which kind, to whom, and four bytes of chance.
#[derive(Clone, Copy)]
struct Deed {
    kind: u8,
    to: HostId,
    args: [u8; 4],
}

fn deeds(input: &[u8]) -> impl Iterator<Item = Deed> {
    let rest = input.get(HEAD_BYTES..).unwrap_or_default();
    let (all, _) = rest.as_chunks::<DEED_BYTES>();
    all.iter().take(DEEDS_MAX).map(|[kind, to, args @ ..]| Deed {
        kind: *kind,
        to: HostId(u32::from(*to) % MEMBERS),
        args: *args,
    })
}

/// The numbers at which something could go wrong, as seen by a member that holds `held`.
fn driven(world: &World, rng: &mut Rng, held: u64) -> u64 {
    let highest = reach::reach(world.wall(EVE));
    match rng.below(10) {
        0 => held,
        1 => held.wrapping_add(1),
        2 => held.saturating_add(reach::STEP_MAX),
        3 => held.saturating_add(reach::STEP_MAX + 1),
        4 => highest,
        5 => highest - 1,
        6 => highest + 1,
        7 => reach::NUMBER_MAX,
        _ => border(rng),
    }
}

/// An id that no member has.
fn invented(rng: &mut Rng) -> MemberId {
    let mut id = [0; 16];
    rng.fill(&mut id);
    MemberId::from_bytes(id)
}

/// Statements about what there is.
fn statement(world: &World, rng: &mut Rng, (kind, other): (u8, u8)) -> Option<Rumor> {
    let node = world.node(EVE)?;
    let me = node.id();
    let about = HostId(u32::from(other) % MEMBERS);
    let theirs = node.members().into_iter().find(|member| world.host_by_member(&member.id) == Some(about));
    let group: ServiceGroup = ["redis.default", "web.default"][usize::from(other & 1)].parse().ok()?;
    let election = ElectionId::leader(group.clone());
    let led = node.leads().next().map_or(1, |(_, term, ..)| term);
    let version = |number| Version::new(number, b"a = 2\n".to_vec(), Some(me));
    let record = theirs?;
    Some(match kind % 7 {
        0 | 1 => {
            let state = if kind & 8 == 0 { State::Suspect } else { State::Confirmed };
            let incarnation = Incarnation(driven(world, rng, record.incarnation.0));
            Rumor::Member(MemberRumor::new(MemberRecord { incarnation, state, ..record }))
        }
        2 => {
            let term = driven(world, rng, led);
            Rumor::Election(ElectionRumor { election, term, leader: me, ended: kind & 8 != 0 })
        }
        3 => Rumor::ServiceConfig(ServiceConfig { group, version: version(driven(world, rng, 3)) }),
        4 => {
            let file = "users.acl".parse().ok()?;
            Rumor::ServiceFile(ServiceFile { group, name: file, version: version(driven(world, rng, 3)) })
        }
        5 => {
            let incarnation = Incarnation(driven(world, rng, 1));
            let (member_id, health, tombstone) = (me, Health::Critical, kind & 8 != 0);
            Rumor::ServiceHealth(ServiceHealth { member_id, group, incarnation, health, tombstone })
        }
        _ => Rumor::Departure(Departure {
            member_id: invented(rng),
            epoch: driven(world, rng, 0),
            lifted: kind & 8 != 0,
        }),
    })
}

/// Members and bans that do not exist.
fn list(world: &World, rng: &mut Rng, (kind, times): (u8, u8)) -> Vec<Rumor> {
    let Some(node) = world.node(EVE) else { return Vec::new() };
    let Some(like) = node.members().first().copied() else { return Vec::new() };
    let mut one = || {
        let id = invented(rng);
        if kind & 1 == 0 {
            return Rumor::Departure(Departure {
                member_id: id,
                epoch: driven(world, rng, 0),
                lifted: kind & 2 == 0,
            });
        }
        let incarnation = Incarnation(driven(world, rng, 1));
        let state = [State::Alive, State::Suspect, State::Confirmed][usize::from(kind >> 1) % 3];
        Rumor::Member(MemberRumor::new(MemberRecord { id, incarnation, state, ..like }))
    };
    (0..=u64::from(times) % LIST_MAX).map(|_| one()).collect()
}

/// A message of the insider's own with some of its numbers driven, and signed again.
fn changed(world: &mut World, rng: &mut Rng, deed: Deed) -> Option<Vec<u8>> {
    let own = |at: usize| {
        let mut heard = world.overheard().iter().filter(|heard| heard.from == EVE);
        let count = heard.clone().filter(|heard| heard.channel == Channel::Datagram).count();
        let nth = count.checked_sub(1 + at % count.max(1))?;
        heard
            .by_ref()
            .filter(|heard| heard.channel == Channel::Datagram)
            .nth(nth)
            .map(|heard| heard.bytes.clone())
    };
    let mut message = own(usize::from(deed.args[0]))?;
    let other = own(usize::from(deed.args[1])).unwrap_or_default();
    for _ in 0..=deed.args[2] & 3 {
        protobuf::mutate(rng, &mut message, &other);
    }
    let to = world.node(deed.to)?.id();
    let key = world.key(EVE);
    Message::signed_again(&message, &to, &key)
}

/// Carries out a deed; returns what was sent.
fn act(world: &mut World, deed: Deed) -> Vec<Vec<u8>> {
    let mut seed = [0x69; 32];
    seed[..4].copy_from_slice(&deed.args);
    seed[4] = deed.kind;
    let mut rng = Rng::from_seed(seed);
    let rumors = match deed.kind % 8 {
        0 => {
            world::pass(world, world::STEP * u32::from(deed.args[0]));
            return Vec::new();
        }
        1..=3 => return changed(world, &mut rng, deed).into_iter().collect(),
        4..=6 => statement(world, &mut rng, (deed.args[0], deed.args[1])).into_iter().collect(),
        _ => list(world, &mut rng, (deed.args[0], deed.args[1])),
    };
    let Some((me, incarnation)) = world.node(EVE).map(|node| (node.id(), node.incarnation().0)) else {
        return Vec::new();
    };
    let key = world.key(EVE);
    let of = |rumor: Rumor| world::telling(me, incarnation, &rumor.encode_signed(&key));
    rumors.into_iter().map(of).collect()
}

/// Performs a program: the kind of ring, how many messages were sent, and how many of them could be read.
fn perform(input: &[u8], say: Option<&mut dyn FnMut(String)>) -> (u8, usize, usize) {
    let (services, seed) =
        (input.first().copied().unwrap_or_default(), input.get(1).copied().unwrap_or_default());
    let mut world = world::ring(MEMBERS + 1, (services, seed), false);
    let mut teller = Teller::new(&mut world, say);
    let (mut sent, mut understood) = (0, 0);
    for deed in deeds(input) {
        for message in act(&mut world, deed) {
            // A ban is a member's right, and undone by `sup reset` alone.
            if world::is_for_good(&world, Channel::Datagram, &message) {
                continue;
            }
            teller.injected(&world, deed.to.0, EVE.0, Channel::Datagram, &message);
            sent += 1;
            understood += usize::from(Message::read(Channel::Datagram, &message).is_ok());
            world.send_bytes(EVE, deed.to, Channel::Datagram, message);
        }
        teller.tell(&mut world);
    }
    world::pass(&mut world, world::STEP);
    world::apply(&mut world, Crash { host: EVE });
    world::pass(&mut world, world::WHOLE_WITHIN);
    teller.tell(&mut world);
    world::check(&world, &(0..MEMBERS).map(HostId).collect::<Vec<_>>());
    (services & 15, sent, understood)
}

pub(super) fn run(input: &[u8]) -> Seen {
    if deeds(input).next().is_none() {
        return Seen::refused("nothing is done");
    }
    let (kind, sent, understood) = perform(input, None);
    Seen { accepted: understood > 0, ..Seen::accepted(&kind.to_string(), sent) }
}

pub(super) fn tell(input: &[u8], say: &mut dyn FnMut(String)) {
    perform(input, Some(say));
}

fn deed(rng: &mut Rng) -> [u8; DEED_BYTES] {
    let mut deed = [0; DEED_BYTES];
    rng.fill(&mut deed);
    if rng.chance(1, 8) {
        deed[0] = 0;
        deed[2] >>= rng.below(6);
    }
    deed
}

/// One change: a deed is added, dropped, repeated, changed or taken from another program.
pub(super) fn mutate(rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
    input.resize(input.len().max(HEAD_BYTES), 0);
    let count = (input.len() - HEAD_BYTES) / DEED_BYTES;
    let at = HEAD_BYTES + DEED_BYTES * rng.index(count.max(1)).min(count);
    let theirs = other.get(HEAD_BYTES..).unwrap_or_default().as_chunks::<DEED_BYTES>().0;
    match rng.below(8) {
        0 => rng.fill(&mut input[..HEAD_BYTES]),
        1 if count > 1 => drop(input.drain(at..at + DEED_BYTES)),
        2 if count > 0 => {
            let twin = input[at..at + DEED_BYTES].to_vec();
            let times = 1 + rng.index(8);
            input.splice(at..at, twin.repeat(times));
        }
        3 if !theirs.is_empty() => {
            let first = rng.index(theirs.len());
            let taken = theirs[first..].iter().take(1 + rng.index(8)).flatten().copied();
            input.splice(at..at, taken.collect::<Vec<_>>());
        }
        4 => bytes::mutate(rng, input, other),
        _ => drop(input.splice(at..at, deed(rng))),
    }
    input.truncate(HEAD_BYTES + DEED_BYTES * DEEDS_MAX);
}

/// Attacks of each kind at each kind of ring.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::from_seed([0x45; 32]);
    let program = |services: u8| {
        let deeds: Vec<[u8; DEED_BYTES]> = (0..24).map(|_| deed(&mut rng)).collect();
        [&[services, services][..], deeds.as_flattened()].concat()
    };
    (0..8).map(program).collect()
}
