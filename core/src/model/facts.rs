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

/// A number that is the same where the same was given to a group by its operators; 0 when nothing was. Where something
/// came sealed, that alone counts: what is plain is for members without the group's key.
pub(crate) fn versions_digest(
    config: Option<&GroupConfig>,
    files: &[GroupFile],
    sealed: &SealedFacts,
) -> u64 {
    let (config, files, seal) = match sealed.is_empty() {
        true => (config, files, 0),
        false => (sealed.config.as_ref(), &sealed.files[..], 1),
    };
    let mut digest = seal;
    let mut take = |name: &[u8], incarnation: u64, body: &[u8]| {
        let one = digest::hash_bytes(name) ^ digest::mix(incarnation ^ digest::mix(digest::hash_bytes(body)));
        digest = digest::mix(digest ^ one);
    };
    if let Some(config) = config {
        take(b"", config.incarnation, &config.toml);
    }
    for file in files {
        take(file.name.as_bytes(), mutated!(FileNumberIgnored, file.incarnation, 0), &file.body);
    }
    digest
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
}
