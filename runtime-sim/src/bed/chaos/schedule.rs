//! The meaning of a seed: which fault strikes when, where and for how long. All of it is drawn before the run begins,
//! and whether it is used or not, so that leaving a kind out does not move the others. What a fault does then depends on
//! real time: which host leads, and which is down.
//!
//! A run is a row of acts. Each begins with a supervisor that is hit while nothing else is wrong, and the time to look
//! whether its services outlive it. In a calm act faults then come one by one with time to recover; in a wild one they
//! overlap, most of them around the same group. Each act ends with everything mended for a while, in which operators give
//! configurations and stop a service. Kinds are dealt from a shuffled deck, so that a short run has nearly all of them.

use std::time::Duration;

use annulus_core::Rng;

use super::fault::Fault;
use super::plans::SERVICES;

/// The service whose hook ends its lead: there a hook that does not work does most harm.
const DEMOTED_BY_HOOK: usize = 0;

/// A fault that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Since the ring was ready.
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    /// Until it is mended, for those that last.
    pub(crate) lasts: Duration,
    /// Strikes the host that leads the drawn service's group, where there is one; else the drawn host.
    pub(crate) at_leader: bool,
    pub(crate) host: u64,
    pub(crate) service: usize,
    /// Whatever else a fault has to choose.
    pub(crate) chance: u64,
}

impl Planned {
    /// Whether the operator who gives a configuration waits until it is everywhere.
    pub(crate) const fn waits(&self) -> bool {
        !self.chance.is_multiple_of(4)
    }
}

/// Faults that a service outlives.
const OF_SUPERVISORS: [Fault; 3] = [Fault::KillSupervisor, Fault::RestartSupervisor, Fault::HangupSupervisor];
/// After such a fault nothing else happens until its services were looked at.
const LOOKED: Duration = Duration::from_millis(5_500);
/// After all faults have ended: the ring is in order.
const SETTLED: Duration = Duration::from_millis(3_000);
/// Between two commands of operators in the quiet.
const BETWEEN: Duration = Duration::from_millis(2_000);
/// How long a service is stopped in the quiet.
const STOPPED: Duration = Duration::from_millis(1_500);
/// From the end of the quiet's commands to the next act: those of another service excuse nothing.
const QUIET: Duration = Duration::from_millis(2_500);

/// A step of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Strike(Planned),
    /// All faults end at this time, and none begins for a while.
    Calm(Duration),
}

impl Step {
    pub(crate) fn at(&self) -> Duration {
        match self {
            Self::Strike(planned) => planned.at,
            Self::Calm(at) => *at,
        }
    }
}

/// The schedule of a seed, for so long.
pub(crate) fn draw(seed: u64, length: Duration, without: &[Fault]) -> Vec<Step> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = Rng::from_seed(bytes);
    let mut steps = Vec::new();
    let (mut now, mut deck) = (Duration::from_secs(1), Vec::new());
    while now < length {
        let is_wild = rng.below(3) > 0;
        let end = now + LOOKED + millis(&mut rng, 20_000, 45_000);
        let focus = rng.below(SERVICES.len() as u64);
        let mut alone = strike(&mut rng, now, focus, &mut Vec::new());
        alone.fault = OF_SUPERVISORS[usize::try_from(rng.below(3)).unwrap_or(0)];
        push(&mut steps, alone, without);
        now += LOOKED;
        while now < end && now < length {
            let mut planned = strike(&mut rng, now, focus, &mut deck);
            if matches!(planned.fault, Fault::FailHooks | Fault::HangHooks | Fault::SlowHooks)
                && rng.below(2) == 0
            {
                planned.service = DEMOTED_BY_HOOK;
            }
            let cut = cut_after(&mut rng, &planned);
            if cut.is_some() {
                (planned.at_leader, planned.lasts) = (true, planned.lasts.max(Duration::from_secs(8)));
            }
            for planned in [Some(planned), cut].into_iter().flatten() {
                now = planned.at;
                push(&mut steps, planned, without);
            }
            now += if is_wild { millis(&mut rng, 200, 3_000) } else { millis(&mut rng, 6_000, 11_000) };
        }
        steps.push(Step::Calm(now.min(length)));
        now = quiet(&mut rng, now + SETTLED, length, &mut steps, without);
    }
    steps
}

fn push(steps: &mut Vec<Step>, planned: Planned, without: &[Fault]) {
    if !without.contains(&planned.fault) {
        steps.push(Step::Strike(planned));
    }
}

/// While nothing is wrong: two configurations whose operators wait, and a stop. Says when that is over.
fn quiet(
    rng: &mut Rng,
    mut now: Duration,
    length: Duration,
    steps: &mut Vec<Step>,
    without: &[Fault],
) -> Duration {
    for fault in [Fault::ConfigApply, Fault::ConfigApply, Fault::SvcStop] {
        let service = rng.below(SERVICES.len() as u64);
        let planned = strike(rng, now, service, &mut vec![fault]);
        let planned = Planned {
            service: usize::try_from(service).unwrap_or(0),
            chance: planned.chance | 1,
            lasts: STOPPED,
            ..planned
        };
        if now < length {
            push(steps, planned, without);
        }
        now += BETWEEN;
    }
    now + QUIET + millis(rng, 0, 2_000)
}

fn millis(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + rng.below(to - from))
}

/// Deals the next kind; a new deck has every kind as often as it weighs.
fn deal(rng: &mut Rng, deck: &mut Vec<Fault>) -> Fault {
    if deck.is_empty() {
        deck.extend(Fault::ALL.iter().flat_map(|fault| std::iter::repeat_n(*fault, fault.weight())));
    }
    let at = usize::try_from(rng.below(deck.len() as u64)).unwrap_or(0);
    deck.swap_remove(at)
}

/// A leader that cannot do what it has to when it loses its lead: what hinders it, and then the cut that takes the lead
/// away.
fn cut_after(rng: &mut Rng, planned: &Planned) -> Option<Planned> {
    let (is_wanted, wait, lasts) = (rng.below(2) == 0, millis(rng, 100, 1_000), millis(rng, 4_000, 9_000));
    let is_hindered = matches!(
        planned.fault,
        Fault::FreezeDisk
            | Fault::StopLauncher
            | Fault::StopSupervisor
            | Fault::FailHooks
            | Fault::HangHooks
            | Fault::SlowHooks
    );
    (is_wanted && is_hindered).then(|| Planned {
        at: planned.at + wait,
        fault: Fault::Isolate,
        lasts,
        at_leader: true,
        ..planned.clone()
    })
}

fn strike(rng: &mut Rng, at: Duration, focus: u64, deck: &mut Vec<Fault>) -> Planned {
    let fault = deal(rng, deck);
    let (is_focused, other) = (rng.below(3) > 0, rng.below(SERVICES.len() as u64));
    let service = if is_focused { focus } else { other };
    // Most are over within the life of a lease or shortly after, some last for several.
    let lasts = match rng.below(4) {
        0 => millis(rng, 100, 1_000),
        1 | 2 => millis(rng, 1_000, 5_000),
        _ => millis(rng, 5_000, 12_000),
    };
    Planned {
        at,
        fault,
        lasts,
        at_leader: rng.below(3) > 0,
        host: rng.next_u64(),
        service: usize::try_from(service).unwrap_or(0),
        chance: rng.next_u64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(1_800);

    #[test]
    fn a_seed_is_a_schedule() {
        assert_eq!(draw(7, LENGTH, &[]), draw(7, LENGTH, &[]));
        assert_ne!(draw(7, LENGTH, &[]), draw(8, LENGTH, &[]));
        let all = draw(7, LENGTH, &[]);
        assert!(all.windows(2).all(|pair| pair[0].at() <= pair[1].at()), "in the order of time");
        assert!(all.iter().all(|step| step.at() <= LENGTH));
    }

    #[test]
    fn leaving_a_fault_out_does_not_move_the_others() {
        let all = draw(3, LENGTH, &[]);
        let some = draw(3, LENGTH, &[Fault::KillHost, Fault::FreezeDisk]);
        let is_out = |step: &&Step| matches!(step, Step::Strike(planned) if [Fault::KillHost, Fault::FreezeDisk].contains(&planned.fault));
        assert!(all.iter().any(|step| is_out(&step)));
        assert_eq!(
            all.iter().filter(|step| !is_out(step)).collect::<Vec<_>>(),
            some.iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn five_minutes_have_every_fault() {
        for seed in 0..20 {
            let all = draw(seed, Duration::from_secs(300), &[]);
            for fault in Fault::ALL {
                let is_in = |step: &Step| matches!(step, Step::Strike(planned) if planned.fault == fault);
                assert!(all.iter().any(is_in), "seed {seed}: {fault}");
            }
        }
    }
}
