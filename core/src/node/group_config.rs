//! Takes configuration and files of service groups from operators and from the ring. A version from an operator must be
//! on disk before it takes effect and before the operator is answered.

use alloc::string::String;
use alloc::vec::Vec;

use super::wire_up::Learned;
use super::{Node, around, ctx, know};
use crate::membership::Heard;
use crate::model::command::{CommandError, Reply};
use crate::model::context::{Context, Follows};
use crate::model::event::EventKind;
use crate::model::facts::{Given, versions_digest};
use crate::model::id::{FileName, MemberId, RequestId, ServiceGroup};
use crate::model::limits::{
    Limit, SEALED_BYTES_MAX, SERVICE_CONFIG_BYTES_MAX, SERVICE_FILE_BYTES_MAX, VERSION_LEAP_MAX, VERSION_MAX,
};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::reach;
use crate::model::rumor::{Rumor, RumorKey, RumorKind, ServiceConfig, ServiceFile, Told, Version};
use crate::model::time::UnixTime;
use crate::rumor::{Priority, RumorStore};
use crate::service::Around;
use crate::store::history::HistoryEntry;

/// The configuration that a member holds for a group.
pub(super) fn config_of<'a>(rumors: &'a RumorStore, group: &ServiceGroup) -> Option<&'a ServiceConfig> {
    let held = rumors.get(&RumorKey::ServiceConfig(group.clone()))?;
    if let Rumor::ServiceConfig(config) = held { Some(config) } else { None }
}

/// The files that a member holds for a group, in order of name.
pub(super) fn files_of<'a>(
    rumors: &'a RumorStore,
    group: &ServiceGroup,
) -> impl Iterator<Item = &'a ServiceFile> + use<'a> {
    let held = rumors.of_kind(RumorKind::ServiceFile, group);
    held.filter_map(|rumor| if let Rumor::ServiceFile(file) = rumor { Some(file) } else { None })
}

/// The sealed configuration that a member holds for a group.
pub(super) fn sealed_config_of<'a>(
    rumors: &'a RumorStore,
    group: &ServiceGroup,
) -> Option<&'a ServiceConfig> {
    let held = rumors.get(&RumorKey::SealedConfig(group.clone()))?;
    if let Rumor::SealedConfig(config) = held { Some(config) } else { None }
}

/// The sealed files that a member holds for a group, in order of name.
pub(super) fn sealed_files_of<'a>(
    rumors: &'a RumorStore,
    group: &ServiceGroup,
) -> impl Iterator<Item = &'a ServiceFile> + use<'a> {
    let held = rumors.of_kind(RumorKind::SealedFile, group);
    held.filter_map(|rumor| if let Rumor::SealedFile(file) = rumor { Some(file) } else { None })
}

impl Node {
    pub(super) fn apply_config(
        &mut self,
        request: RequestId,
        group: ServiceGroup,
        (version, is_sealed): (Version, bool),
        allow_leap: bool,
    ) {
        let config = ServiceConfig { group, version };
        if is_sealed {
            self.take_version(request, Rumor::SealedConfig(config), SEALED_BYTES_MAX, allow_leap);
        } else {
            self.take_version(request, Rumor::ServiceConfig(config), SERVICE_CONFIG_BYTES_MAX, allow_leap);
        }
    }

    pub(super) fn put_file(
        &mut self,
        request: RequestId,
        group: ServiceGroup,
        name: FileName,
        (version, is_sealed): (Version, bool),
        allow_leap: bool,
    ) {
        let file = ServiceFile { group, name, version };
        if is_sealed {
            self.take_version(request, Rumor::SealedFile(file), SEALED_BYTES_MAX, allow_leap);
        } else {
            self.take_version(request, Rumor::ServiceFile(file), SERVICE_FILE_BYTES_MAX, allow_leap);
        }
    }

    /// The version is stored first and takes effect when the disk has answered.
    fn take_version(&mut self, request: RequestId, rumor: Rumor, bytes_max: usize, allow_leap: bool) {
        match self.check_version(&rumor, bytes_max, allow_leap) {
            Err(error) => self.reply(request, Reply::Failed(error)),
            Ok(()) if self.config.planted.has(Bug::VersionAnsweredTooSoon) => {
                let told = self.signed(rumor);
                self.version_stored(request, &told, self.clock.wall(), None);
            }
            Ok(()) => {
                let told = self.signed(rumor);
                self.journal.store_version(ctx!(self), self.clock.wall(), request, told);
            }
        }
    }

    fn check_version(
        &mut self,
        rumor: &Rumor,
        bytes_max: usize,
        allow_leap: bool,
    ) -> Result<(), CommandError> {
        let version = rumor.version().expect("only versions are taken from operators");
        if version.number == 0 || version.number > VERSION_MAX {
            return Err(CommandError::VersionRange);
        }
        if version.body.len() > bytes_max {
            return Err(CommandError::TooLarge { bytes: version.body.len(), limit: bytes_max });
        }
        assert!(version.number > 0 && version.body.len() <= bytes_max, "a refused version goes no further");
        let key = rumor.key();
        let current = self.current_version(&key);
        if mutated!(SameVersionTaken, version.number <= current, version.number < current) {
            return Err(CommandError::Version { current });
        }
        let believed = reach::believed_up_to(current, self.clock.wall());
        if version.number > believed {
            return Err(CommandError::VersionBeyond { version: version.number, current, highest: believed });
        }
        let highest = current.saturating_add(VERSION_LEAP_MAX).min(believed);
        if version.number > highest && !allow_leap {
            return Err(CommandError::VersionLeap { version: version.number, current, highest });
        }
        if let Some(limit) = self.rumors.no_room_for(rumor, &self.signer.public_key()) {
            let ctx = ctx!(self);
            ctx.limit_reached(limit);
            return Err(CommandError::Limit(limit));
        }
        Ok(())
    }

    /// The highest number that this member has or is about to have.
    fn current_version(&self, key: &RumorKey) -> u64 {
        let held = self.rumors.get(key).and_then(Rumor::version).map_or(0, |v| v.number);
        let current = mutated!(StoringIgnored, self.journal.storing(key).max(held), held);
        assert!(current <= VERSION_MAX, "a version that cannot be outbid is never taken in");
        current
    }

    /// The operator's version is on disk, or could not be stored.
    pub(super) fn version_stored(
        &mut self,
        request: RequestId,
        told: &Told<'_>,
        at: UnixTime,
        failure: Option<String>,
    ) {
        let rumor = told.rumor();
        if let Some(reason) = failure.filter(|_| mutated!(FailedVersionDone, true, false)) {
            return self.reply(request, Reply::Failed(CommandError::NotDurable(reason)));
        }
        let number = rumor.version().map_or(0, |v| v.number);
        let key = rumor.key();
        let held = self.rumors.get(&key).and_then(Rumor::version).map_or(0, |v| v.number);
        if mutated!(SupersededAnsweredDone, held > number, false) {
            // A newer version came from the ring meanwhile; the row on disk is older than the known one, and may not be
            // in effect after a power cut either, when its operator was told that it is not.
            self.journal.store_record(ctx!(self), know!(self), key);
            return self.reply(request, Reply::Failed(CommandError::Version { current: held }));
        }
        self.reply(request, Reply::Done);
        self.learn_version(told, None, at);
        let now_held = self.rumors.get(&rumor.key()).and_then(Rumor::version).map_or(0, |v| v.number);
        assert!(now_held >= held, "a version never goes back");
    }

    /// Takes in a version that the ring tells of. One so high that it could not be outbid is not believed.
    pub(super) fn hear_version(&mut self, told: &Told<'_>, from: &MemberId) -> Heard {
        let (key, number) = (told.rumor().key(), told.rumor().number());
        let held = self.rumors.get(&key).map_or(0, Rumor::number);
        let unbounded = self.config.planted.has(Bug::NumbersUnbounded);
        if number > reach::believed_up_to(held, self.clock.wall()) && !unbounded {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::Numbers);
            return Heard::Known;
        }
        self.learn_version(told, Some(*from), self.clock.wall())
    }

    /// Joins a version that was given or heard `at` that time into the store, and reports when one that this member
    /// acknowledged loses.
    pub(super) fn learn_version(&mut self, told: &Told<'_>, from: Option<MemberId>, at: UnixTime) -> Heard {
        let rumor = told.rumor();
        let key = rumor.key();
        let held = self.rumors.get(&key).and_then(Rumor::version).map(|v| v.number);
        if self.config.planted.has(Bug::FirstVersionKept) && held == rumor.version().map(|v| v.number) {
            return Heard::Known;
        }
        let had_lost = self.has_lost(&key);
        let Learned { heard, after } = self.learn(told, Priority::Operator, from, Follows::Input);
        if heard != Heard::New {
            return heard;
        }
        let lost = mutated!(LossNotTold, self.has_lost(&key) && !had_lost, false);
        let number = |rumor: &Rumor| rumor.version().map(|version| version.number);
        assert!(self.rumors.get(&key).and_then(number) >= held, "a version never goes back");
        if let Some(version) = self.rumors.get(&key).and_then(Rumor::version) {
            self.journal.record(at, &key, version);
            if lost {
                let kind = EventKind::VersionLost { key, version: version.number, winner: version.writer };
                let ctx = ctx!(self);
                ctx.event(after, kind);
            }
        }
        heard
    }

    /// Whether this member acknowledged a body that lost against another one of the same version.
    fn has_lost(&self, key: &RumorKey) -> bool {
        let held = self.rumors.get(key).and_then(Rumor::version);
        held.is_some_and(|version| version.has_lost(&self.me))
    }

    /// The configuration that this member holds for a group.
    #[must_use]
    pub fn group_config(&self, group: &ServiceGroup) -> Option<&ServiceConfig> {
        config_of(&self.rumors, group)
    }

    /// The files that this member holds for a group, in order of name.
    pub fn group_files<'a>(&'a self, group: &'a ServiceGroup) -> impl Iterator<Item = &'a ServiceFile> {
        files_of(&self.rumors, group)
    }

    /// The [`crate::CensusMember::versions_digest`] of a member that runs with everything that this member holds for
    /// the group.
    #[must_use]
    pub fn versions_digest(&self, group: &ServiceGroup) -> u64 {
        let around = around!(self);
        versions_digest(around.config(group).as_ref(), &around.files(group), &around.sealed(group))
    }

    /// Whether a member with this [`crate::CensusMember::versions_digest`] runs with the current version of the group's
    /// configuration, or of this file of it, whatever else it could not open.
    #[must_use]
    pub fn runs_with(&self, group: &ServiceGroup, file: Option<&FileName>, versions_digest: u64) -> bool {
        let around = around!(self);
        let given = Given::of(around.config(group).as_ref(), &around.files(group), &around.sealed(group));
        given.is_among(file.map_or("", FileName::as_str), versions_digest)
    }

    /// The versions of a group's configuration, or of one of its files, that this member has had, oldest first.
    #[must_use]
    pub fn history(&self, key: &RumorKey) -> Vec<HistoryEntry> {
        self.journal.history_of(key)
    }
}
