//! Deliberate defects, to check the checkers: a sweep that cannot find them would not find real ones either.
//!
//! Without the feature `planted-bugs`, [`Planted`] is empty and [`Planted::has`] is `false` at compile time, so the
//! places that ask cost nothing. No daemon is built with the feature.

/// Whether this build can plant defects. A daemon refuses to be built when it is.
pub const CAN_PLANT: bool = cfg!(feature = "planted-bugs");

/// A defect, at the one place of the core that its name concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A refutation repeats the incarnation that was accused.
    RefuteSameIncarnation,
    /// A higher incarnation is used before it is on disk.
    RefuteBeforeStored,
    /// A restart goes on with the incarnation of the last life.
    RestartSameIncarnation,
    /// At equal incarnation, Alive overrides Suspect.
    StaleAliveAccepted,
    /// Members are asked to probe for others by chance alone.
    HelpersChosenBlindly,
    /// The timer of a suspicion goes on after the refutation.
    SuspicionSurvivesRefutation,
    /// A second-hand death is believed without a probe.
    BuryOnHearsay,
    /// One member is never probed.
    ProbeSkipsOne,
    /// A member that was not running blames the others.
    StallUnnoticed,
    /// Members that are held dead are never tried again.
    LostNeverTried,
    /// A rumor is cold after it was told once.
    ColdTooEarly,
    /// A tombstone is forgotten while others still hold the rumor that it buries.
    TombstoneCollectedEarly,
    /// A digest exchange repairs the members' records and no other rumors.
    SyncMembersOnly,
    /// A service that stops is not retracted.
    RetractionForgotten,
    /// A restarted member takes back what it has told in this life together with what the last one told.
    RestoredWithdrawnLate,
    /// The same, and what was taken back is never told again.
    ToldNeverRepaired,
    /// A banned member that speaks is listened to.
    BanUndoneByContact,
    /// A ban that another member told of is not stored.
    BanNotStored,
    /// Of two bodies of one version, the one that came first is kept.
    FirstVersionKept,
    /// An operator is answered before the version is on disk.
    VersionAnsweredTooSoon,
    /// A supervisor that starts again runs a service that was stopped.
    StopForgotten,
    /// A service that is stopped is signalled before the ring is told.
    SignalUnannounced,
    /// A service that is replaced is started again before its process has ended.
    StartBeforeExit,
    /// A voter votes for two candidates in one term.
    VotesTwice,
    /// A restarted voter has forgotten its term and its vote.
    VoteForgotten,
    /// A vote is given before it is on disk.
    VoteBeforeStored,
    /// A restarted voter does not wait until its promises have run out.
    NoWaitAfterRestart,
    /// A voter that is bound to a leader votes for another candidate.
    PromiseIgnored,
    /// A lease is counted from the answer and not from the request.
    LeaseFromAnswer,
    /// A leader without a quorum goes on.
    LeaseNeverEnds,
    /// Leases and promises leave no room for clocks that differ.
    ClockRatesIgnored,
    /// Members that seem dead are no part of the electorate.
    QuorumOfTheLiving,
    /// The electorate changes again before a quorum knows of the last change.
    ElectorateJumps,
    /// A leader that hands over does not free its voters.
    HandOverWithoutRelease,
    /// A demoted process is freed of its deadline before its reconfigure hook has succeeded.
    DeadlineLiftedEarly,
    /// Files say that a service leads before its guard has the lease.
    RenderedBeforeLeased,
    /// The right to resume stays with the guard of a service that leads no longer.
    ResumeNotWithdrawn,
    /// The files of an adopted process are written before the facts for them are known.
    AdoptedRenderedEarly,
    /// A service that an operator moves to another group starts there on the word of the last group's election.
    GateBypassed,
    /// A leader that is stopped gives the lead away before its processes have ended.
    LeadGivenEarly,
    /// A candidate counts a voter's answer to its question as a vote.
    AskCountedAsVote,
    /// A leader counts an answer to a request that it did not send as one to its last request.
    LateAnswerCounted,
    /// A restarted member numbers its requests from the beginning again.
    RoundsRestart,
    /// A restarted leader leads on although its lease has ended.
    ResumePastTheEnd,
    /// A leader frees its voters before its service has stopped acting and its right to resume is withdrawn.
    ReleaseBeforeDemoted,
    /// A restarted leader that leads on keeps the promises of a voter.
    PromiseTakenAlong,
    /// A leader whose service is not known yet is taken for one that is ill.
    UnknownTakenAsUnfit,
    /// A leader whose service is only replaced hands over.
    RestartHandsOver,
    /// A hook that says that the service leads runs without a lease where no process is.
    HookUnleased,
    /// The signal of a stop does not wait until the ring has been told.
    SignalBeforeTold,
    /// The signal of a stop waits until the ring's nearest were told, not until the rest can have heard it from them.
    SignalOnceSent,
    /// A version counts as in effect once it is in the files, also where the process does not know of it yet.
    AppliedBeforeTold,
    /// A leader tells its voters a new electorate before it is on disk.
    ElectorateToldEarly,
    /// A restarted leader leads on although its row says nothing of its victory.
    ResumeWithoutRow,
    /// Statements are believed without their authors' word.
    WordsUnchecked,
    /// A good signature by any key vouches for any member's statement.
    AnyKeyVouches,
    /// The number of a statement is no part of what is signed.
    NumberUnsigned,
    /// What a statement says is no part of what is signed.
    ContentUnsigned,
    /// Only what comes by datagram is checked.
    StreamsUnchecked,
    /// Steps of elections are believed without their senders' word.
    BallotsUnchecked,
    /// A message that came before is heard again.
    WindowOff,
    /// A sender is believed before it has proved that it speaks now.
    StrangerBelieved,
    /// A message of another start or series than the known one is believed.
    OldLifeBelieved,
    /// A message that another member sealed is believed to be of the one that it names.
    StampOfAnotherBelieved,
    /// Every question has the same bits, so that old answers answer it.
    ChallengeNotRandom,
    /// A key of the ring that was offered is current at once, whatever members cannot open it.
    OfferedKeyUsed,
    /// A retired key of the ring opens nothing any more, whatever members have no other.
    RetiredKeyDropped,
    /// Members are spoken to with the current key, whatever they can open.
    CurrentKeyForAll,
    /// A member that was only spoken of counts as one.
    HearsayBelieved,
    /// A member that spoke and was not asked counts as one.
    UnaskedBelieved,
    /// A record says that its member has left, and that is believed.
    LeaveUnsigned,
}

impl Bug {
    /// Every defect.
    pub const ALL: [Self; 71] = [
        Self::RefuteSameIncarnation,
        Self::RefuteBeforeStored,
        Self::RestartSameIncarnation,
        Self::StaleAliveAccepted,
        Self::HelpersChosenBlindly,
        Self::SuspicionSurvivesRefutation,
        Self::BuryOnHearsay,
        Self::ProbeSkipsOne,
        Self::StallUnnoticed,
        Self::LostNeverTried,
        Self::ColdTooEarly,
        Self::TombstoneCollectedEarly,
        Self::SyncMembersOnly,
        Self::RetractionForgotten,
        Self::RestoredWithdrawnLate,
        Self::ToldNeverRepaired,
        Self::BanUndoneByContact,
        Self::BanNotStored,
        Self::FirstVersionKept,
        Self::VersionAnsweredTooSoon,
        Self::StopForgotten,
        Self::SignalUnannounced,
        Self::StartBeforeExit,
        Self::VotesTwice,
        Self::VoteForgotten,
        Self::VoteBeforeStored,
        Self::NoWaitAfterRestart,
        Self::PromiseIgnored,
        Self::LeaseFromAnswer,
        Self::LeaseNeverEnds,
        Self::ClockRatesIgnored,
        Self::QuorumOfTheLiving,
        Self::ElectorateJumps,
        Self::HandOverWithoutRelease,
        Self::DeadlineLiftedEarly,
        Self::RenderedBeforeLeased,
        Self::ResumeNotWithdrawn,
        Self::AdoptedRenderedEarly,
        Self::GateBypassed,
        Self::LeadGivenEarly,
        Self::AskCountedAsVote,
        Self::LateAnswerCounted,
        Self::RoundsRestart,
        Self::ResumePastTheEnd,
        Self::ReleaseBeforeDemoted,
        Self::PromiseTakenAlong,
        Self::UnknownTakenAsUnfit,
        Self::RestartHandsOver,
        Self::HookUnleased,
        Self::SignalBeforeTold,
        Self::SignalOnceSent,
        Self::AppliedBeforeTold,
        Self::ElectorateToldEarly,
        Self::ResumeWithoutRow,
        Self::WordsUnchecked,
        Self::AnyKeyVouches,
        Self::NumberUnsigned,
        Self::ContentUnsigned,
        Self::StreamsUnchecked,
        Self::BallotsUnchecked,
        Self::WindowOff,
        Self::StrangerBelieved,
        Self::OldLifeBelieved,
        Self::StampOfAnotherBelieved,
        Self::ChallengeNotRandom,
        Self::OfferedKeyUsed,
        Self::RetiredKeyDropped,
        Self::CurrentKeyForAll,
        Self::HearsayBelieved,
        Self::UnaskedBelieved,
        Self::LeaveUnsigned,
    ];

    /// The word for it on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RefuteSameIncarnation => "refute-same-incarnation",
            Self::RefuteBeforeStored => "refute-before-stored",
            Self::RestartSameIncarnation => "restart-same-incarnation",
            Self::StaleAliveAccepted => "stale-alive-accepted",
            Self::HelpersChosenBlindly => "helpers-chosen-blindly",
            Self::SuspicionSurvivesRefutation => "suspicion-survives-refutation",
            Self::BuryOnHearsay => "bury-on-hearsay",
            Self::ProbeSkipsOne => "probe-skips-one",
            Self::StallUnnoticed => "stall-unnoticed",
            Self::LostNeverTried => "lost-never-tried",
            Self::ColdTooEarly => "cold-too-early",
            Self::TombstoneCollectedEarly => "tombstone-collected-early",
            Self::SyncMembersOnly => "sync-members-only",
            Self::RetractionForgotten => "retraction-forgotten",
            Self::RestoredWithdrawnLate => "restored-withdrawn-late",
            Self::ToldNeverRepaired => "told-never-repaired",
            Self::BanUndoneByContact => "ban-undone-by-contact",
            Self::BanNotStored => "ban-not-stored",
            Self::FirstVersionKept => "first-version-kept",
            Self::VersionAnsweredTooSoon => "version-answered-too-soon",
            Self::StopForgotten => "stop-forgotten",
            Self::SignalUnannounced => "signal-unannounced",
            Self::StartBeforeExit => "start-before-exit",
            Self::VotesTwice => "votes-twice",
            Self::VoteForgotten => "vote-forgotten",
            Self::VoteBeforeStored => "vote-before-stored",
            Self::NoWaitAfterRestart => "no-wait-after-restart",
            Self::PromiseIgnored => "promise-ignored",
            Self::LeaseFromAnswer => "lease-from-answer",
            Self::LeaseNeverEnds => "lease-never-ends",
            Self::ClockRatesIgnored => "clock-rates-ignored",
            Self::QuorumOfTheLiving => "quorum-of-the-living",
            Self::ElectorateJumps => "electorate-jumps",
            Self::HandOverWithoutRelease => "hand-over-without-release",
            Self::DeadlineLiftedEarly => "deadline-lifted-early",
            Self::RenderedBeforeLeased => "rendered-before-leased",
            Self::ResumeNotWithdrawn => "resume-not-withdrawn",
            Self::AdoptedRenderedEarly => "adopted-rendered-early",
            Self::GateBypassed => "gate-bypassed",
            Self::LeadGivenEarly => "lead-given-early",
            Self::AskCountedAsVote => "ask-counted-as-vote",
            Self::LateAnswerCounted => "late-answer-counted",
            Self::RoundsRestart => "rounds-restart",
            Self::ResumePastTheEnd => "resume-past-the-end",
            Self::ReleaseBeforeDemoted => "release-before-demoted",
            Self::PromiseTakenAlong => "promise-taken-along",
            Self::UnknownTakenAsUnfit => "unknown-taken-as-unfit",
            Self::RestartHandsOver => "restart-hands-over",
            Self::HookUnleased => "hook-unleased",
            Self::SignalBeforeTold => "signal-before-told",
            Self::SignalOnceSent => "signal-once-sent",
            Self::AppliedBeforeTold => "applied-before-told",
            Self::ElectorateToldEarly => "electorate-told-early",
            Self::ResumeWithoutRow => "resume-without-row",
            Self::WordsUnchecked => "words-unchecked",
            Self::AnyKeyVouches => "any-key-vouches",
            Self::NumberUnsigned => "number-unsigned",
            Self::ContentUnsigned => "content-unsigned",
            Self::StreamsUnchecked => "streams-unchecked",
            Self::BallotsUnchecked => "ballots-unchecked",
            Self::WindowOff => "window-off",
            Self::StrangerBelieved => "stranger-believed",
            Self::OldLifeBelieved => "old-life-believed",
            Self::StampOfAnotherBelieved => "stamp-of-another-believed",
            Self::ChallengeNotRandom => "challenge-not-random",
            Self::OfferedKeyUsed => "offered-key-used",
            Self::RetiredKeyDropped => "retired-key-dropped",
            Self::CurrentKeyForAll => "current-key-for-all",
            Self::HearsayBelieved => "hearsay-believed",
            Self::UnaskedBelieved => "unasked-believed",
            Self::LeaveUnsigned => "leave-unsigned",
        }
    }
}

/// Which defect a node has: none, always, without the feature `planted-bugs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    #[cfg(feature = "planted-bugs")]
    bug: Option<Bug>,
}

impl Planted {
    /// This defect and no other.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub const fn only(bug: Bug) -> Self {
        Self { bug: Some(bug) }
    }

    /// Whether the node has this defect.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn has(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether the node has this defect: never.
    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the feature decides")]
    pub(crate) const fn has(self, _: Bug) -> bool {
        false
    }
}

#[cfg(not(feature = "planted-bugs"))]
const _: () = assert!(size_of::<Planted>() == 0, "a node without defects carries nothing of them");
