//! The facts of the ring that a service's templates are rendered with. A service sees its own group and the groups it
//! is bound to, and must not see others.

use alloc::string::String;
use alloc::vec::Vec;

use crate::model::census::Census;
use crate::model::digest;
use crate::model::election::Role;
use crate::model::id::MemberId;
use crate::model::mutant::mutated;

/// The facts that a service's templates may know, as of the time at which the effect that carries them was made.
///
/// The census holds the service's own group and the groups it is bound to, and no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// This member.
    pub me: MemberId,
    /// The own group and the bound ones.
    pub census: Census,
    /// In a group with a leader: the leader; none in every other group.
    pub role: Option<Role>,
    /// The group's configuration, where an operator applied one.
    pub config: Option<GroupConfig>,
    /// The group's files, in order of name.
    pub files: Vec<GroupFile>,
    /// What the group's members alone can open.
    pub sealed: SealedFacts,
    /// Whether the service takes new work: false while it drains, is in maintenance or is being stopped.
    pub accepting: bool,
    /// Why it is in maintenance; none when it is not.
    pub maintenance: Option<String>,
}

impl Facts {
    /// The facts of a service that is alone in the ring: no member, no configuration, no file.
    #[must_use]
    pub fn alone(me: MemberId) -> Self {
        Self {
            me,
            census: Census { local: me, groups: alloc::collections::BTreeMap::new() },
            role: None,
            config: None,
            files: Vec::new(),
            sealed: SealedFacts::default(),
            accepting: true,
            maintenance: None,
        }
    }
}

/// What users sealed for a group, as it came: the content of each is a [`crate::Sealed`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SealedFacts {
    /// The group's configuration.
    pub config: Option<GroupConfig>,
    /// The group's files, in order of name.
    pub files: Vec<GroupFile>,
}

impl SealedFacts {
    /// Whether nothing was sealed for the group.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.config.is_none() && self.files.is_empty()
    }
}

/// What was given to a group by its operators and counts, each part by its name (none: the configuration) with a number that
/// is the same where its version and content are. Where something came sealed, that alone counts: what is plain is for
/// members without the group's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    is_sealed: bool,
    parts: Vec<(String, u64)>,
}

/// Parts whose subsets are compared, beside the one that is asked for; of more, those without one or without all.
const LEFT_OUT_MAX: usize = 10;

impl Given {
    pub(crate) fn of(config: Option<&GroupConfig>, files: &[GroupFile], sealed: &SealedFacts) -> Self {
        let (config, files, is_sealed) = match sealed.is_empty() {
            true => (config, files, false),
            false => (sealed.config.as_ref(), &sealed.files[..], true),
        };
        let part = |name: &str, incarnation: u64, body: &[u8]| {
            let said = digest::mix(incarnation ^ digest::mix(digest::hash_bytes(body)));
            (String::from(name), digest::hash_bytes(name.as_bytes()) ^ said)
        };
        let config = config.map(|config| part("", config.incarnation, &config.toml));
        let files = files
            .iter()
            .map(|file| part(&file.name, mutated!(FileNumberIgnored, file.incarnation, 0), &file.body));
        Self { is_sealed, parts: config.into_iter().chain(files).collect() }
    }

    /// A number that is the same where the same was given; 0 when nothing was.
    pub(crate) fn digest(&self) -> u64 {
        self.digest_where(|_, _| true)
    }

    /// The same of those parts only that are not among these names.
    pub(crate) fn digest_without(&self, names: &[&str]) -> u64 {
        self.digest_where(|_, name| !names.contains(&name))
    }

    fn digest_where(&self, counts: impl Fn(usize, &str) -> bool) -> u64 {
        let parts = self.parts.iter().enumerate().filter(|(place, (name, _))| counts(*place, name));
        parts.fold(u64::from(self.is_sealed), |digest, (_, (_, one))| digest::mix(digest ^ one))
    }

    /// Whether a service with this digest runs with the part of this name, whatever others could not be opened there.
    pub(crate) fn is_among(&self, name: &str, digest: u64) -> bool {
        if self.digest() == digest {
            return true;
        }
        let Some(asked) = self.parts.iter().position(|(part, _)| part == name) else { return false };
        if !self.is_sealed {
            return false;
        }
        let others: Vec<usize> = (0..self.parts.len()).filter(|place| *place != asked).collect();
        assert!(others.len() < self.parts.len(), "the one that is asked for is none of the others");
        let without = |left_out: &dyn Fn(usize) -> bool| self.digest_where(|place, _| !left_out(place));
        if others.len() > LEFT_OUT_MAX {
            let one = others.iter().any(|other| without(&|place| place == *other) == digest);
            return one || without(&|place| place != asked) == digest;
        }
        (0_u32..1 << others.len()).any(|left_out| {
            let is_left_out = |place| others.iter().position(|other| *other == place);
            without(&|place| is_left_out(place).is_some_and(|bit| left_out & 1 << bit != 0)) == digest
        })
    }
}

/// [`Given::digest`] of these.
pub(crate) fn versions_digest(
    config: Option<&GroupConfig>,
    files: &[GroupFile],
    sealed: &SealedFacts,
) -> u64 {
    Given::of(config, files, sealed).digest()
}

/// A group's configuration, the uppermost layer of its services' configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupConfig {
    /// The version that the operator gave it.
    pub incarnation: u64,
    /// TOML text.
    pub toml: Vec<u8>,
}

/// A file that every service of a group gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupFile {
    /// Its name, without a path.
    pub name: String,
    /// The version that the operator gave it.
    pub incarnation: u64,
    /// Its content.
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_run_with_the_same_exactly_when_all_that_was_given_is_the_same() {
        let file = |name: &str, incarnation, body: &[u8]| GroupFile {
            name: name.into(),
            incarnation,
            body: body.to_vec(),
        };
        let config = |incarnation, toml: &[u8]| GroupConfig { incarnation, toml: toml.to_vec() };
        let plain = |config: Option<&GroupConfig>, files: &[GroupFile]| {
            versions_digest(config, files, &SealedFacts::default())
        };
        assert_eq!(plain(None, &[]), 0);
        let given = [
            plain(Some(&config(1, b"a = 1")), &[]),
            plain(Some(&config(2, b"a = 1")), &[]),
            plain(Some(&config(1, b"a = 2")), &[]),
            plain(None, &[file("a", 1, b"x")]),
            plain(None, &[file("b", 1, b"x")]),
            plain(None, &[file("a", 1, b"y")]),
            // Given once more with the same content: an operator waits for this one.
            plain(None, &[file("a", 2, b"x")]),
            plain(Some(&config(1, b"a = 1")), &[file("a", 1, b"x")]),
            plain(None, &[file("a", 1, b"x"), file("b", 1, b"x")]),
        ];
        let distinct: alloc::collections::BTreeSet<u64> = given.into_iter().chain([0]).collect();
        assert_eq!(distinct.len(), given.len() + 1);
        assert_eq!(plain(None, &[file("a", 1, b"x")]), given[3]);
        let sealed = SealedFacts { config: Some(config(1, b"a = 1")), files: Vec::new() };
        let digest = versions_digest(None, &[], &sealed);
        assert!(!given.contains(&digest), "sealed and plain are told apart");
        let beside = versions_digest(Some(&config(9, b"b = 1")), &[], &sealed);
        assert_eq!(beside, digest, "plain ones do not count beside it");
    }

    #[test]
    fn what_cannot_be_opened_stands_in_the_way_of_nothing_else() {
        let file = |name: &str| GroupFile { name: name.into(), incarnation: 1, body: b"box".to_vec() };
        let config = GroupConfig { incarnation: 3, toml: b"box".to_vec() };
        for count in [2, LEFT_OUT_MAX + 3] {
            let files = (0..count).map(|n| file(&alloc::format!("f{n:02}"))).collect();
            let sealed = SealedFacts { config: Some(config.clone()), files };
            let given = Given::of(None, &[], &sealed);
            assert!(given.is_among("", given.digest()) && given.is_among("f01", given.digest()));
            let without = given.digest_without(&["f01"]);
            assert!(given.is_among("", without) && given.is_among("f00", without), "of {count}");
            assert!(!given.is_among("f01", without) && !given.is_among("", given.digest_without(&[""])));
            assert!(!given.is_among("", 0) && !given.is_among("", 7));
        }
        let plain = Given::of(Some(&config), &[file("a")], &SealedFacts::default());
        assert!(!plain.is_among("", plain.digest_without(&["a"])), "what is plain needs no key");
    }
}
