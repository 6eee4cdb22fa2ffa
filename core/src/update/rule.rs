//! Which build is to be taken, of those that were found. Data in, verdict out.

use core::cmp::Ordering;

use crate::model::ident::PackageIdent;
use crate::model::service::UpdateCondition;
use crate::model::update::Found;
use crate::store::build::Builds;

/// Whether `a` is newer than `b`. Versions that count as equal, such as 1.0 and 1.0.0, are ordered by their text.
fn is_newer(a: &PackageIdent, b: &PackageIdent) -> bool {
    a.cmp_version(b).then_with(|| a.cmp(b)) == Ordering::Greater
}

/// The build that is to take the place of what runs; none when there is none.
pub(super) fn target<'a>(
    builds: &Builds,
    condition: UpdateCondition,
    found: &'a Found,
    counts_refused: bool,
) -> Option<&'a PackageIdent> {
    let runs = builds.runs.as_ref()?;
    let refused = builds.refused.as_ref().map(|refused| &refused.ident).filter(|_| !counts_refused);
    let is_allowed = |ident: &&PackageIdent| {
        ident.is_fully_qualified() && ident.satisfies(&builds.of) && Some(*ident) != refused
    };
    let head = found.head().filter(is_allowed);
    let target = match condition {
        UpdateCondition::TrackChannel => head,
        UpdateCondition::Latest => {
            let local = found.local.as_ref().filter(is_allowed);
            let newest = match (local, head) {
                (Some(local), Some(head)) if is_newer(local, head) => Some(local),
                (local, head) => head.or(local),
            };
            newest.filter(|ident| is_newer(ident, runs))
        }
    };
    let target = target.filter(|ident| *ident != runs);
    assert!(target.is_none_or(|ident| ident.satisfies(&builds.of)), "only what the spec allows is taken");
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::update::{Head, Refused};
    use alloc::format;
    use alloc::string::String;

    fn build(version: &str) -> PackageIdent {
        format!("acme/web/{version}/20260101000000").parse().expect("valid")
    }

    fn found(local: &str, channel: Option<&str>) -> Found {
        let head = |version| Head { ident: build(version), number: 1, service_version: None };
        Found { local: Some(build(local)), channel: channel.map(head) }
    }

    fn take(of: &str, refused: Option<&str>, condition: UpdateCondition, found: &Found) -> Option<String> {
        let of: PackageIdent = of.parse().expect("valid");
        let refused =
            refused.map(|ident| Refused { ident: build(ident), reason: String::new(), left: false });
        let new = Builds::new(of.service_name(), of);
        let builds = Builds { runs: Some(build("2.0")), refused, ..new };
        target(&builds, condition, found, false).and_then(PackageIdent::version).map(String::from)
    }

    #[test]
    fn the_newest_is_taken_and_a_channel_is_tracked_both_ways() {
        use UpdateCondition::{Latest, TrackChannel};
        let none = |condition, found: &Found| take("acme/web", None, condition, found);
        assert_eq!(none(Latest, &found("2.0", Some("2.1"))).as_deref(), Some("2.1"));
        assert_eq!(none(Latest, &found("2.2", Some("2.1"))).as_deref(), Some("2.2"));
        assert_eq!(none(Latest, &found("2.2", None)).as_deref(), Some("2.2"));
        assert_eq!(none(Latest, &found("2.0", Some("1.9"))), None, "the newest never goes back");
        assert_eq!(none(TrackChannel, &found("2.2", Some("1.9"))).as_deref(), Some("1.9"));
        assert_eq!(none(TrackChannel, &found("2.2", Some("2.0"))), None);
        assert_eq!(none(TrackChannel, &found("2.2", None)), None, "an empty channel takes nothing away");
    }

    #[test]
    fn what_is_refused_or_not_allowed_leaves_the_next_best() {
        use UpdateCondition::{Latest, TrackChannel};
        let both = found("2.2", Some("2.1"));
        assert_eq!(take("acme/web", Some("2.2"), Latest, &both).as_deref(), Some("2.1"));
        assert_eq!(take("acme/web", Some("2.1"), TrackChannel, &both), None);
        assert_eq!(take("acme/web/2.0", None, Latest, &both), None);
        assert_eq!(take("acme/web/2.0", None, TrackChannel, &both), None);
    }
}
