//! Performs a program in a simulated ring, and looks at the ring sixty seconds after the attacker's last message.

use std::time::Duration;

use annulus_core::{Channel, Instant, Message, Rng, Rumor, State, Write};
use annulus_sim::action::{
    Action, ApplyConfig, Given, HostId, Join, LinkQuality, Load, LoadService, PutFile, Ratio,
};
use annulus_sim::engine::record::Recording;
use annulus_sim::engine::{settled, view};
use annulus_sim::report::narrate::Narrator;
use annulus_sim::{HostSpec, HostState, World};

use super::program::{Deed, MEMBERS, Program};
use crate::mutate::protobuf;

/// The ring has formed, loaded its services and elected before the attacker begins.
const QUIET_FIRST: Duration = Duration::from_secs(10);
/// A deed waits in steps of this.
pub(super) const STEP: Duration = Duration::from_millis(20);
/// The ring is whole so long after the last hostile message.
pub(super) const WHOLE_WITHIN: Duration = Duration::from_secs(60);
/// Steps of the world in one simulated second: a ring of three at work takes a few hundred, and an attacker's messages
/// a few each. A node that asks to be woken at once, again and again, takes as many as it is given.
const STEPS_PER_SEC_MAX: u64 = 50_000;

fn quality() -> LinkQuality {
    LinkQuality {
        latency_min: Duration::from_millis(1),
        latency_max: Duration::from_millis(3),
        loss: Ratio::ZERO,
        duplicate: Ratio::ZERO,
        reorder: Ratio::ZERO,
    }
}

pub(super) fn apply(world: &mut World, action: impl Into<Action>) {
    let action = action.into();
    world.apply(&action).unwrap_or_else(|error| panic!("{action:?}: {error}"));
}

/// Tells what happens in a world, for people; keeps silent in the loop.
pub(super) struct Teller<'a> {
    narrator: Narrator,
    say: Option<&'a mut dyn FnMut(String)>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(world: &mut World, say: Option<&'a mut dyn FnMut(String)>) -> Self {
        if say.is_some() {
            world.record(Recording::Events);
        }
        let names = world.hosts().map(|host| world.spec(host).name.clone()).collect();
        Self { narrator: Narrator::new(names), say }
    }

    pub(super) fn tell(&mut self, world: &mut World) {
        let Some(say) = &mut self.say else { return };
        for record in world.drain_records() {
            self.narrator.tell(&record).into_iter().for_each(&mut **say);
        }
    }

    pub(super) fn injected(&mut self, world: &World, to: u32, from: u32, channel: Channel, bytes: &[u8]) {
        if let Some(say) = &mut self.say {
            let what =
                Message::read(channel, bytes).map_or_else(|error| error.to_string(), |m| format!("{m:?}"));
            say(format!("{:8.3}s  ATTACKER as {from} to {to}: {what}", world.now().as_millis() as f64 / 1e3));
        }
    }
}

/// Lets time pass, and notices a node that keeps the world from it.
pub(super) fn pass(world: &mut World, time: Duration) {
    let end = world.now() + time;
    while world.now() < end {
        let second = end.min(world.now() + Duration::from_secs(1));
        let most = world.counters().steps + STEPS_PER_SEC_MAX;
        while world.step_until(second) {
            assert!(
                world.counters().steps < most,
                "endless wake loop: over {STEPS_PER_SEC_MAX} steps in one second"
            );
        }
        world.run_until(second);
    }
}

/// A ring with its services: bit 0 a standalone one, bit 1 one with a leader, bit 2 configuration and a file for them.
///
/// An attacker listens once it stands, or, for its messages of joining, from the beginning.
pub(super) fn ring(members: u32, (services, seed): (u8, u8), from_the_beginning: bool) -> World {
    let mut world = World::new(u64::from(seed), quality());
    if from_the_beginning {
        world.listen();
    }
    for n in 0..members {
        let mut spec = HostSpec::new(["ada", "bob", "cyd", "eve"][n as usize]);
        spec.peers = (n > 0).then_some(HostId(0)).into_iter().collect();
        spec.permanent = n == 0 && services & 8 != 0;
        let host = world.add_host(spec);
        apply(&mut world, Join { host });
    }
    pass(&mut world, Duration::from_secs(2));
    for n in 0..members {
        let host = HostId(n);
        if services & 1 != 0 {
            apply(&mut world, LoadService { host, service: "web".to_owned(), how: Load::default() });
        }
        if services & 2 != 0 {
            let how = Load { suitability: Some(u64::from(n)), ..Load::led() };
            apply(&mut world, LoadService { host, service: "redis".to_owned(), how });
        }
    }
    pass(&mut world, Duration::from_secs(3));
    if services & 4 != 0 {
        for (name, file) in [("web.default", None), ("redis.default", Some("users.acl"))] {
            let group = name.parse().expect("a group");
            let file = file.map(|file| file.parse().expect("a file name"));
            let is_config = file.is_none();
            let given = Box::new(Given {
                group,
                file,
                version: 3,
                text: "a = 1\n".to_owned(),
                bytes: 0,
                sealed: false,
            });
            let (host, wait) = (HostId(1), None);
            if is_config {
                apply(&mut world, ApplyConfig { given, host, wait });
            } else {
                apply(&mut world, PutFile { given, host, wait });
            }
        }
    }
    world.listen();
    pass(&mut world, QUIET_FIRST);
    world
}

/// What an attacker without a key can do for good by what it says, until members sign their statements: a ban, and the
/// word of a leave. Messages that say so of a member of the ring are not sent.
pub(super) fn is_for_good(world: &World, channel: Channel, bytes: &[u8]) -> bool {
    let Ok(message) = Message::read(channel, bytes) else { return false };
    let ours = |id| world.host_by_member(id).is_some();
    message.rumors.iter().any(|rumor| match rumor {
        Rumor::Departure(ban) => ours(&ban.member_id),
        Rumor::Member(member) => member.record.state == State::Departed && ours(&member.record.id),
        _ => false,
    })
}

fn inject(world: &mut World, to: u32, from: u32, channel: Channel, bytes: Vec<u8>) -> bool {
    if is_for_good(world, channel, &bytes) {
        return false;
    }
    let understood = Message::read(channel, &bytes).is_ok();
    world.inject(HostId(to), from, channel, bytes);
    understood
}

/// Performs a program. Says which kind of ring it was, how many messages were sent, and how many of them could be read.
/// With `say` it tells the story.
pub(super) fn perform(program: &Program, say: Option<&mut dyn FnMut(String)>) -> (String, usize, usize) {
    let mut world = ring(MEMBERS, (program.services, program.seed), false);
    let mut teller = Teller::new(&mut world, say);
    let (mut injected, mut understood) = (0, 0);
    for deed in &program.deeds {
        let (to, from, channel, bytes) = match deed {
            Deed::Wait(times) => {
                pass(&mut world, STEP * u32::from(*times));
                teller.tell(&mut world);
                continue;
            }
            Deed::Send { to, from, channel, bytes } => (*to, *from, *channel, bytes.clone()),
            Deed::Replay { to, from, back, times, chance, other } => {
                let heard = world.overheard();
                let at = |back: u8| heard.len().checked_sub(1 + usize::from(back)).map(|at| &heard[at]);
                let (Some(message), Some(other)) = (at(*back), at(*other)) else { continue };
                let mut bytes = message.bytes.clone();
                let mut key = [0x6d; 32];
                key[..2].copy_from_slice(&chance.to_be_bytes());
                let mut rng = Rng::from_seed(key);
                for _ in 0..*times & 7 {
                    protobuf::mutate(&mut rng, &mut bytes, &other.bytes);
                }
                (*to, *from, message.channel, bytes)
            }
        };
        injected += 1;
        teller.injected(&world, to, from, channel, &bytes);
        understood += usize::from(inject(&mut world, to, from, channel, bytes));
    }
    pass(&mut world, WHOLE_WITHIN);
    teller.tell(&mut world);
    check(&world, &world.hosts().collect::<Vec<_>>());
    (format!("{}", program.services & 15), injected, understood)
}

/// The ring of these hosts is whole: nothing that was sent may have done lasting harm.
pub(super) fn check(world: &World, hosts: &[HostId]) {
    for host in hosts.iter().copied() {
        assert!(world.state(host) == HostState::Running, "a supervisor has ended: {}", world.spec(host).name);
        world.node(host).expect("it runs").check_invariants();
    }
    if let Some(why) = view::difference(world) {
        panic!("no one view 60 s after the last hostile message: {why}");
    }
    if let Some(why) = settled::unsettled(world) {
        panic!("services not settled 60 s after the last hostile message: {why}");
    }
    assert!(world.now() > Instant::ZERO + WHOLE_WITHIN, "the ring had its time");
}

/// Messages that members send each other in such rings: of each kind, a few of different lengths.
pub(super) fn traffic(channel: Channel) -> Vec<Vec<u8>> {
    let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
    for services in [7, 15] {
        let world = ring(MEMBERS, (services, services), true);
        for heard in world.overheard().iter().filter(|heard| heard.channel == channel) {
            let message = Message::read(channel, &heard.bytes).expect("members send what can be read");
            let step = message.ballot.as_ref().map_or("", |ballot| ballot.step);
            let verdict = message.ballot.as_ref().and_then(|ballot| ballot.verdict).unwrap_or("");
            let rumors: Vec<&str> = message.rumors.iter().map(|rumor| rumor.key().kind().name()).collect();
            let kind = format!("{} {step} {verdict} {}", message.kind, rumors.first().unwrap_or(&""));
            if kept.iter().filter(|(of, _)| *of == kind).count() < 2 {
                kept.push((kind, heard.bytes.clone()));
            }
        }
    }
    kept.into_iter().map(|(_, bytes)| bytes).collect()
}

/// The rows that such a ring's members have stored.
pub(super) fn disks() -> Vec<Vec<Write>> {
    let stored = |services: u8| {
        let world = ring(MEMBERS, (services, services), false);
        world.stored(HostId(1)).expect("a readable disk").expect("it has run").rows()
    };
    [0, 7].map(stored).to_vec()
}

/// A message of this member that tells one rumor, in the clear.
pub(super) fn telling(member: annulus_core::MemberId, incarnation: u64, rumor: &[u8]) -> Vec<u8> {
    annulus_sim::engine::hostile::telling(Channel::Datagram, member, incarnation, rumor)
}
