//! Small mutations of the core, to measure which mistakes the tests, scenarios and sweeps would let pass.
//!
//! A planted defect (`planted`) stands where a checker looks. A mutant is an everyday slip of the pen: a comparison, a
//! number, a step left out. Without the feature `mutants` each is compiled to the original alone. One switch for the
//! whole program selects one of them, because a mutant is measured by a process of its own.

/// Evaluates the original, or the mutated expression while this mutant is switched on.
macro_rules! mutated {
    ($mutant:ident, $original:expr, $instead:expr) => {
        if $crate::model::mutant::is_on($crate::model::mutant::Mutant::$mutant) {
            $instead
        } else {
            $original
        }
    };
}
pub(crate) use mutated;

macro_rules! mutants {
    ($($mutant:ident $name:literal $place:literal $what:literal;)+) => {
        /// A mutation, at one place of the core.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $what] $mutant,)+
        }

        impl Mutant {
            /// Every mutant, in the order of the folders that they stand in.
            pub const ALL: &'static [Self] = &[$(Self::$mutant),+];

            /// The word for it on command lines.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$mutant => $name,)+
                }
            }

            /// The file of the core that it stands in.
            #[must_use]
            pub const fn place(self) -> &'static str {
                match self {
                    $(Self::$mutant => $place,)+
                }
            }

            /// The slip, in words.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$mutant => $what,)+
                }
            }
        }
    };
}

mutants! {
    DepartsAtOnce "departs-at-once" "membership/aging.rs" "A member that is held dead departs ten times too early.";
    NeverForgotten "never-forgotten" "membership/aging.rs" "Departed members are never forgotten.";
    DoubtForWholeHelp "doubt-for-whole-help" "membership/detect.rs" "Nacks do not ease the doubt about the own network.";
    NeverCorroborates "never-corroborates" "membership/detect.rs" "No member checks a suspicion that it heard of.";
    NoNack "no-nack" "membership/detect.rs" "A helper that reaches nothing stays silent.";
    NoStreamPing "no-stream-ping" "membership/detect.rs" "A probe has no way by stream.";
    OwnAccusationNotAdded "own-accusation-not-added" "membership/detect.rs" "A failed probe of a suspect does not confirm the suspicion.";
    PingNotRepeated "ping-not-repeated" "membership/detect.rs" "A ping is sent once.";
    SuspectNotTold "suspect-not-told" "membership/detect.rs" "The suspect does not hear of the accusation first.";
    WokenJudges "woken-judges" "membership/detect.rs" "A member that has just woken confirms deaths.";
    AccusersNotMerged "accusers-not-merged" "membership/hear.rs" "Accusers that others know of are not taken over.";
    AckNotForwarded "ack-not-forwarded" "membership/hear.rs" "A helper does not pass an ack on.";
    NewerNotTold "newer-not-told" "membership/hear.rs" "A member of an old disk does not hear of its later incarnation.";
    NoHealOnReturn "no-heal-on-return" "membership/hear.rs" "A member that comes back is no reason to compare rumors.";
    NotTellingTheDead "not-telling-the-dead" "membership/hear.rs" "A member that is held dead is not told so when it speaks.";
    OldAccusationAnswered "old-accusation-answered" "membership/hear.rs" "An accusation of an incarnation that has passed raises the incarnation again.";
    RefutationNotRepeated "refutation-not-repeated" "membership/hear.rs" "An accuser that missed the refutation does not hear it again.";
    SuspectRumorUnheard "suspect-rumor-unheard" "membership/hear.rs" "A suspicion that was told is not looked into.";
    AloneAndStill "alone-and-still" "membership/lost.rs" "A member that is alone does not try its peers.";
    NoRejoin "no-rejoin" "membership/lost.rs" "A restarted member announces itself to no member that it knew.";
    UnmetPeersNotTried "unmet-peers-not-tried" "membership/lost.rs" "A peer that no member is known at is tried only while alone.";
    DeadKeepTheirDate "dead-keep-their-date" "membership/mod.rs" "A member that comes back keeps the date of its death.";
    DoubtTooShort "doubt-too-short" "membership/mod.rs" "A member that has just woken doubts itself for no time.";
    FarewellInOldIncarnation "farewell-in-old-incarnation" "membership/mod.rs" "A member leaves in its present incarnation although a higher one is stored.";
    LostTriedLate "lost-tried-late" "membership/mod.rs" "A death does not bring the next try to reach the lost forward.";
    OutdoneForgotten "outdone-forgotten" "membership/mod.rs" "A higher accusation during a store is not answered.";
    RaiseFailureSticks "raise-failure-sticks" "membership/mod.rs" "After a failed store of an incarnation no further one is stored.";
    RefutationNotUrgent "refutation-not-urgent" "membership/mod.rs" "A refutation is told like a new member.";
    RingSizeWithoutSuspects "ring-size-without-suspects" "membership/mod.rs" "Suspects do not count as members of the ring.";
    StallKeepsStarted "stall-keeps-started" "membership/mod.rs" "Suspicions go on as if the time of a stall had passed for them.";
    SuspectsAreNotTold "suspects-are-not-told" "membership/mod.rs" "Only members that are alive are chosen to hear rumors and to help.";
    AckOfAnyProbe "ack-of-any-probe" "membership/probe.rs" "An ack ends a probe whatever its number is.";
    ConfirmedIsProbed "confirmed-is-probed" "membership/probe.rs" "Members that are held dead take turns in rounds.";
    NacksNotCounted "nacks-not-counted" "membership/probe.rs" "A helper\x27s nack is not counted.";
    NewcomersNotProbed "newcomers-not-probed" "membership/probe.rs" "A new member waits for the next walk.";
    PermanentNotProbed "permanent-not-probed" "membership/probe.rs" "A permanent peer that is held dead is not probed.";
    RefusalNotQuick "refusal-not-quick" "membership/probe.rs" "A refused ping waits for its time like a lost one.";
    ElsewhereIgnored "elsewhere-ignored" "membership/suspicion.rs" "A death that another member confirmed shortens nothing.";
    HeardDoesNotCount "heard-does-not-count" "membership/suspicion.rs" "A suspect that was heard is buried all the same.";
    NotAskedBeforeTheEnd "not-asked-before-the-end" "membership/suspicion.rs" "A suspect is not asked a last time.";
    SuspicionNeverShrinks "suspicion-never-shrinks" "membership/suspicion.rs" "Confirmations do not shorten a suspicion.";
    AddressDecidesFirst "address-decides-first" "model/member.rs" "At equal incarnation the address counts before the state.";
    TombstonesForgottenSoon "tombstones-forgotten-soon" "node/collection.rs" "Tombstones are kept for a thousandth of their time.";
    FailedVersionDone "failed-version-done" "node/group_config.rs" "A version that could not be stored takes effect.";
    LossNotTold "loss-not-told" "node/group_config.rs" "A version that lost against another of its number is not reported.";
    SameVersionTaken "same-version-taken" "node/group_config.rs" "An operator can give a version number a second time.";
    StoringIgnored "storing-ignored" "node/group_config.rs" "A version on its way to the disk does not count.";
    SupersededAnsweredDone "superseded-answered-done" "node/group_config.rs" "A version that a newer one overtook on the way to the disk is answered as done.";
    HistoryOfOthers "history-of-others" "node/journal.rs" "The history of versions is not stored with them.";
    FarewellNotAwaited "farewell-not-awaited" "node/leave.rs" "A member that leaves ends before the news has spread.";
    FarewellNotTold "farewell-not-told" "node/leave.rs" "A member that leaves tells no member directly.";
    NoSyncOnHeal "no-sync-on-heal" "node/sync.rs" "A member that comes back is not compared with.";
    NothingWanted "nothing-wanted" "node/sync.rs" "A member does not ask for the records that it lacks.";
    StaleNotCorrected "stale-not-corrected" "node/sync.rs" "A record that is older than the held one is not answered.";
    SyncNeverSlows "sync-never-slows" "node/sync.rs" "Exchanges stay as frequent as at the start.";
    SyncStaysSlow "sync-stays-slow" "node/sync.rs" "A difference does not bring the next exchange forward.";
    WantNotAnswered "want-not-answered" "node/sync.rs" "Records that the other side asks for are not sent.";
    BanNotUrgent "ban-not-urgent" "node/wire_up.rs" "A ban is told like any other rumor.";
    BannedNotTold "banned-not-told" "node/wire_up.rs" "A banned member that speaks is not told of its ban.";
    DepartedServicesStay "departed-services-stay" "node/wire_up.rs" "The services of a member that departs stay in the census.";
    NewsNotStored "news-not-stored" "node/wire_up.rs" "A rumor that was learned is not stored.";
    OrphansKept "orphans-kept" "node/wire_up.rs" "Services of a departed owner are learned.";
    LargeNeverTold "large-never-told" "rumor/heat.rs" "Rumors that no datagram holds are not told by stream.";
    LatestFirst "latest-first" "rumor/heat.rs" "The rumor that was told most goes out first.";
    OwnedByNone "owned-by-none" "rumor/store.rs" "The services of a departed member stay known.";
    TombstoneInDigest "tombstone-in-digest" "rumor/store.rs" "A tombstone is told again in each comparison.";
    TombstonesNotTold "tombstones-not-told" "rumor/store.rs" "Comparisons do not tell of tombstones.";
}

/// Whether this build can switch mutants on. A daemon refuses to be built when it can.
pub const CAN_MUTATE: bool = cfg!(feature = "mutants");

/// Whether this mutant is switched on: never.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is_on(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub(crate) use switch::is_on;
#[cfg(feature = "mutants")]
pub use switch::switch_on;

#[cfg(feature = "mutants")]
mod switch {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use super::Mutant;

    /// The number of the mutant that is on, from one; none at zero.
    static ON: AtomicUsize = AtomicUsize::new(0);

    /// Switches a mutant on for the rest of the process, before the first node is made.
    pub fn switch_on(mutant: Mutant) {
        ON.store(mutant as usize + 1, Ordering::Relaxed);
    }

    /// Whether this mutant is switched on.
    pub(crate) fn is_on(mutant: Mutant) -> bool {
        #[cfg(test)]
        chosen_for_tests();
        ON.load(Ordering::Relaxed) == mutant as usize + 1
    }

    /// The core's own tests take the mutant from the environment, because their program has no options of its own.
    #[cfg(test)]
    fn chosen_for_tests() {
        extern crate std;
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            let name = std::env::var("ANNULUS_MUTANT").unwrap_or_default();
            if let Some(mutant) = Mutant::ALL.iter().find(|mutant| mutant.name() == name) {
                switch_on(*mutant);
            }
        });
    }
}
