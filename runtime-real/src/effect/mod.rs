//! What a node wants done outside itself, away from the loop.

use annulus_core::{Effect, EffectId};

/// Does what a node wants done. Results go into the channel that the driver reads.
pub trait Effects {
    /// Begins `effect` and returns at once. `Effect::Exit` never comes here.
    fn start(&mut self, id: EffectId, effect: Effect);
}
