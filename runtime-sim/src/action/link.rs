//! The action `link`: links change their quality.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known, share};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::link::LinkQuality;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::{Direction, Latency, Percent};

/// Changes the quality of all links from `from` to `to`; empty lists mean every host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLink {
    /// Senders.
    pub from: Vec<HostId>,
    /// Receivers.
    pub to: Vec<HostId>,
    /// The new quality.
    pub quality: LinkQuality,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    link: SpannedNames,
    to: Option<SpannedNames>,
    direction: Option<Spanned<Direction>>,
    latency: Option<Spanned<Latency>>,
    loss: Option<Spanned<Percent>>,
    duplicate: Option<Spanned<Percent>>,
    reorder: Option<Spanned<Percent>>,
}

impl Room for SetLink {
    type Form = Form;

    const WORD: Word = Word {
        key: "link",
        beside: "`to` [all], `direction`, `latency`, `loss`, `duplicate`, `reorder`; a key that is left out is as in `[links]`",
        example: "link = \"ada\", to = \"bob\", direction = \"out\", loss = \"100%\"",
        doc: "change loss, latency, duplication or reordering; a key that is left out is as in [links]",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        // A key that is left out goes back to the value of [links], which is how a disturbance ends.
        let base = reading.context.quality;
        let ratio = |share: Option<Spanned<Percent>>, base| share.map_or(base, |share| share.into_inner().0);
        let quality = LinkQuality {
            latency_min: form.latency.as_ref().map_or(base.latency_min, |latency| latency.get_ref().min),
            latency_max: form.latency.as_ref().map_or(base.latency_max, |latency| latency.get_ref().max),
            loss: ratio(form.loss, base.loss),
            duplicate: ratio(form.duplicate, base.duplicate),
            reorder: ratio(form.reorder, base.reorder),
        };
        let direction = form.direction.map(Spanned::into_inner);
        let links = reading.links(&form.link, form.to.as_ref(), direction);
        links.into_iter().map(|(from, to)| Self { from, to, quality }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.towards(Self::WORD.key, &self.from, &self.to) + &text::quality(&self.quality)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let ends = cast.ends(&self.from, &self.to);
        format!("links {ends} are now so: {}.", quality_words(&self.quality))
    }

    fn traced(&self) -> Traced {
        Traced { loss: Some(self.quality.loss), ..Traced::between("set-link", &self.from, &self.to) }
    }

    fn counted(&self) -> &'static str {
        "link changed"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { from: hosts.some(&self.from)?, to: hosts.some(&self.to)?, quality: self.quality })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, self.from.iter().chain(&self.to))?;
        let quality = &self.quality;
        if quality.latency_min > quality.latency_max {
            return Err(ActionError::Link("the shortest latency exceeds the longest"));
        }
        let ratios = [quality.loss, quality.duplicate, quality.reorder];
        if ratios.iter().any(|ratio| ratio.denominator == 0) {
            return Err(ActionError::Link("a ratio's denominator is zero"));
        }
        Ok(())
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.net.set_quality(&self.from, &self.to, self.quality);
        Ok(())
    }
}

fn quality_words(quality: &LinkQuality) -> String {
    let mut text = format!("{:?} to {:?} on the way", quality.latency_min, quality.latency_max);
    for (ratio, what) in
        [(quality.loss, "lost"), (quality.duplicate, "delivered twice"), (quality.reorder, "overtaken")]
    {
        if ratio.numerator > 0 {
            text.push_str(&format!(", {} of the datagrams {what}", share(ratio)));
        }
    }
    text
}
