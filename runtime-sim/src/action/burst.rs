//! The action `burst`: losses come in bursts.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known, share};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::link::{Burst, Ratio};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::{Direction, Percent, Time};

/// Losses on all links from `from` to `to` come in bursts from now on, each link on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetBurst {
    /// Senders.
    pub from: Vec<HostId>,
    /// Receivers.
    pub to: Vec<HostId>,
    /// The bursts; none: they end.
    pub burst: Option<Burst>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    burst: SpannedNames,
    to: Option<SpannedNames>,
    direction: Option<Spanned<Direction>>,
    good: Option<Spanned<Time>>,
    bad: Option<Spanned<Time>>,
    loss: Option<Spanned<Percent>>,
}

impl Room for SetBurst {
    type Form = Form;

    const WORD: Word = Word {
        key: "burst",
        beside: "`to` [all], `direction`; `good` and `bad`: how long a link is so on average; `loss`: while it is bad [100%]",
        example: "burst = \"ada\", to = \"all\", good = \"2s\", bad = \"300ms\", loss = \"90%\"",
        doc: "losses come in bursts; without `bad`, no longer",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let span = form.burst.span();
        let burst = match (form.good, form.bad) {
            (None, None) => None,
            (good, bad) => {
                let good = reading.required(span.clone(), good, "good = \"2s\"");
                let bad = reading.required(span.clone(), bad, "bad = \"300ms\"");
                let loss = form.loss.map_or(Ratio::percent(100), |loss| loss.into_inner().0);
                good.zip(bad).map(|(good, bad)| Burst { good: good.0, bad: bad.0, loss })
            }
        };
        reading.sound(sound(burst.as_ref()), span);
        let direction = form.direction.map(Spanned::into_inner);
        let links = reading.links(&form.burst, form.to.as_ref(), direction);
        links.into_iter().map(|(from, to)| Self { from, to, burst }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let parameters = self.burst.map(|Burst { good, bad, loss }| {
            let (good, bad, loss) = (text::time(good), text::time(bad), text::share(loss));
            format!("\ngood = {good}\nbad = {bad}\nloss = {loss}")
        });
        names.towards(Self::WORD.key, &self.from, &self.to) + &parameters.unwrap_or_default()
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let ends = cast.ends(&self.from, &self.to);
        match self.burst {
            Some(Burst { good, bad, loss }) => format!(
                "losses {ends} come in bursts: {} for about {bad:?}, after about {good:?} without.",
                share(loss)
            ),
            None => format!("no more bursts of losses {ends}."),
        }
    }

    fn traced(&self) -> Traced {
        Traced::between("burst", &self.from, &self.to)
    }

    fn counted(&self) -> &'static str {
        if self.burst.is_some() { "burst" } else { "burst ends" }
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { from: hosts.some(&self.from)?, to: hosts.some(&self.to)?, burst: self.burst })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, self.from.iter().chain(&self.to))?;
        sound(self.burst.as_ref())
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.net.faults.set_burst(&self.from, &self.to, self.burst);
        Ok(())
    }
}

fn sound(burst: Option<&Burst>) -> Result<(), ActionError> {
    match burst {
        Some(burst) if burst.loss.denominator == 0 => Err(ActionError::Link("a ratio's denominator is zero")),
        Some(burst) if burst.good.is_zero() || burst.bad.is_zero() => {
            Err(ActionError::Link("a burst needs a good time and a bad time"))
        }
        Some(_) | None => Ok(()),
    }
}
