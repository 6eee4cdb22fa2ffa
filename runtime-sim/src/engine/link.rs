//! How links and supervisors are described: the numbers that a world draws from. Floating point is banned here,
//! because it would not be the same on every machine.

use std::time::Duration;

use annulus_core::Rng;

/// A probability as a ratio, so that no floating point enters a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Cases.
    pub numerator: u32,
    /// Out of so many; not zero.
    pub denominator: u32,
}

impl Ratio {
    /// Never.
    pub const ZERO: Self = Self { numerator: 0, denominator: 1 };

    /// So many of a hundred, in lowest terms, as a scenario file has it.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        let (mut a, mut b) = (percent, 100);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        Self { numerator: percent / a, denominator: 100 / a }
    }

    /// Draws once. Draws also when the ratio is zero, so that changing it does not move later draws.
    pub fn draw(self, rng: &mut Rng) -> bool {
        rng.chance(u64::from(self.numerator), u64::from(self.denominator))
    }
}

/// The longest time on the way in a ring that is drawn, where no fault has touched it.
pub const LATENCY_MAX: Duration = Duration::from_millis(25);

/// How packets travel from one host to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkQuality {
    /// Shortest time on the way.
    pub latency_min: Duration,
    /// Longest time on the way; drawn uniformly in between.
    pub latency_max: Duration,
    /// Datagrams (and stream segments, which are sent again) lost.
    pub loss: Ratio,
    /// Datagrams delivered twice.
    pub duplicate: Ratio,
    /// Datagrams held back long enough for later ones to overtake them.
    pub reorder: Ratio,
}

/// Losses that come in bursts (Gilbert and Elliott): a link is good for a while, then bad for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// How long it is good, on average.
    pub good: Duration,
    /// How long it is bad, on average.
    pub bad: Duration,
    /// Losses while it is bad, on top of the usual ones.
    pub loss: Ratio,
}

/// How many bytes a link can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes in a second; not zero.
    pub bytes_per_s: u32,
    /// Bytes that wait for their turn; what does not fit is dropped.
    pub queue_bytes: u32,
}

/// How late a slow supervisor handles what reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// At least.
    pub min: Duration,
    /// At most; drawn uniformly in between.
    pub max: Duration,
}
