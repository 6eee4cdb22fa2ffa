//! Deliberate defects, to check the checkers: a sweep that cannot find them would not find real ones either.
//!
//! Without the feature `planted-bugs`, [`Planted`] is empty and [`Planted::has`] is `false` at compile time, so the
//! places that ask cost nothing. No daemon is built with the feature.

/// Whether this build can plant defects. A daemon refuses to be built when it is.
pub const CAN_PLANT: bool = cfg!(feature = "planted-bugs");

/// An enumeration of defects, each with its word.
macro_rules! bugs {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every defect.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it on command lines.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

bugs! {
    /// A defect, at the one place of the core that its name concerns.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    Bug {
        /// A refutation repeats the incarnation that was accused.
        RefuteSameIncarnation = "refute-same-incarnation",
        /// A higher incarnation is used before it is on disk.
        RefuteBeforeStored = "refute-before-stored",
        /// A restart goes on with the incarnation of the last life.
        RestartSameIncarnation = "restart-same-incarnation",
        /// At equal incarnation, Alive overrides Suspect.
        StaleAliveAccepted = "stale-alive-accepted",
        /// Members are asked to probe for others by chance alone.
        HelpersChosenBlindly = "helpers-chosen-blindly",
        /// The timer of a suspicion goes on after the refutation.
        SuspicionSurvivesRefutation = "suspicion-survives-refutation",
        /// A second-hand death is believed without a probe.
        BuryOnHearsay = "bury-on-hearsay",
        /// One member is never probed.
        ProbeSkipsOne = "probe-skips-one",
        /// A member that was not running blames the others.
        StallUnnoticed = "stall-unnoticed",
        /// Members that are held dead are never tried again.
        LostNeverTried = "lost-never-tried",
        /// A rumor is cold after it was told once.
        ColdTooEarly = "cold-too-early",
        /// A tombstone is forgotten while others still hold the rumor that it buries.
        TombstoneCollectedEarly = "tombstone-collected-early",
        /// A digest exchange repairs the members' records and no other rumors.
        SyncMembersOnly = "sync-members-only",
        /// A service that stops is not retracted.
        RetractionForgotten = "retraction-forgotten",
        /// A restarted member takes back what it has told in this life together with what the last one told.
        RestoredWithdrawnLate = "restored-withdrawn-late",
        /// The same, and what was taken back is never told again.
        ToldNeverRepaired = "told-never-repaired",
        /// A banned member that speaks is listened to.
        BanUndoneByContact = "ban-undone-by-contact",
        /// A ban that another member told of is not stored.
        BanNotStored = "ban-not-stored",
        /// Of one epoch, the ban prevails over the order that lifts it.
        LiftUndoneByOldBan = "lift-undone-by-old-ban",
        /// Versions and bans are believed however high their numbers are.
        NumbersUnbounded = "numbers-unbounded",
        /// Of two bodies of one version, the one that came first is kept.
        FirstVersionKept = "first-version-kept",
        /// An operator is answered before the version is on disk.
        VersionAnsweredTooSoon = "version-answered-too-soon",
        /// A supervisor that starts again runs a service that was stopped.
        StopForgotten = "stop-forgotten",
        /// A service that is stopped is signalled before the ring is told.
        SignalUnannounced = "signal-unannounced",
        /// A service that is replaced is started again before its process has ended.
        StartBeforeExit = "start-before-exit",
        /// A voter votes for two candidates in one term.
        VotesTwice = "votes-twice",
        /// A restarted voter has forgotten its term and its vote.
        VoteForgotten = "vote-forgotten",
        /// A vote is given before it is on disk.
        VoteBeforeStored = "vote-before-stored",
        /// A restarted voter does not wait until its promises have run out.
        NoWaitAfterRestart = "no-wait-after-restart",
        /// A voter that is bound to a leader votes for another candidate.
        PromiseIgnored = "promise-ignored",
        /// A lease is counted from the answer and not from the request.
        LeaseFromAnswer = "lease-from-answer",
        /// A leader without a quorum goes on.
        LeaseNeverEnds = "lease-never-ends",
        /// Leases and promises leave no room for clocks that differ.
        ClockRatesIgnored = "clock-rates-ignored",
        /// Members that seem dead are no part of the electorate.
        QuorumOfTheLiving = "quorum-of-the-living",
        /// The electorate changes again before a quorum knows of the last change.
        ElectorateJumps = "electorate-jumps",
        /// A leader that hands over does not free its voters.
        HandOverWithoutRelease = "hand-over-without-release",
        /// A demoted process is freed of its deadline before its reconfigure hook has succeeded.
        DeadlineLiftedEarly = "deadline-lifted-early",
        /// Files say that a service leads before its guard has the lease.
        RenderedBeforeLeased = "rendered-before-leased",
        /// The right to resume stays with the guard of a service that leads no longer.
        ResumeNotWithdrawn = "resume-not-withdrawn",
        /// The files of an adopted process are written before the facts for them are known.
        AdoptedRenderedEarly = "adopted-rendered-early",
        /// A service that an operator moves to another group starts there on the word of the last group's election.
        GateBypassed = "gate-bypassed",
        /// A leader that is stopped gives the lead away before its processes have ended.
        LeadGivenEarly = "lead-given-early",
        /// A candidate counts a voter's answer to its question as a vote.
        AskCountedAsVote = "ask-counted-as-vote",
        /// A leader counts an answer to a request that it did not send as one to its last request.
        LateAnswerCounted = "late-answer-counted",
        /// A restarted member numbers its requests from the beginning again.
        RoundsRestart = "rounds-restart",
        /// A restarted leader leads on although its lease has ended.
        ResumePastTheEnd = "resume-past-the-end",
        /// A leader frees its voters before its service has stopped acting and its right to resume is withdrawn.
        ReleaseBeforeDemoted = "release-before-demoted",
        /// A restarted leader that leads on keeps the promises of a voter.
        PromiseTakenAlong = "promise-taken-along",
        /// A leader whose service is not known yet is taken for one that is ill.
        UnknownTakenAsUnfit = "unknown-taken-as-unfit",
        /// A leader whose service is only replaced hands over.
        RestartHandsOver = "restart-hands-over",
        /// A hook that says that the service leads runs without a lease where no process is.
        HookUnleased = "hook-unleased",
        /// The signal of a stop does not wait until the ring has been told.
        SignalBeforeTold = "signal-before-told",
        /// The signal of a stop waits until the ring's nearest were told, not until the rest can have heard it from them.
        SignalOnceSent = "signal-once-sent",
        /// A version counts as in effect once it is in the files, also where the process does not know of it yet.
        AppliedBeforeTold = "applied-before-told",
        /// A leader tells its voters a new electorate before it is on disk.
        ElectorateToldEarly = "electorate-told-early",
        /// A restarted leader leads on although its row says nothing of its victory.
        ResumeWithoutRow = "resume-without-row",
        /// Statements are believed without their authors' word.
        WordsUnchecked = "words-unchecked",
        /// A good signature by any key vouches for any member's statement.
        AnyKeyVouches = "any-key-vouches",
        /// The number of a statement is no part of what is signed.
        NumberUnsigned = "number-unsigned",
        /// What a statement says is no part of what is signed.
        ContentUnsigned = "content-unsigned",
        /// Only what comes by datagram is checked.
        StreamsUnchecked = "streams-unchecked",
        /// Steps of elections are believed without their senders' word.
        BallotsUnchecked = "ballots-unchecked",
        /// A message that came before is heard again.
        WindowOff = "window-off",
        /// A sender is believed before it has proved that it speaks now.
        StrangerBelieved = "stranger-believed",
        /// A message of another start or series than the known one is believed.
        OldLifeBelieved = "old-life-believed",
        /// A message that another member sealed is believed to be of the one that it names.
        StampOfAnotherBelieved = "stamp-of-another-believed",
        /// Every question has the same bits, so that old answers answer it.
        ChallengeNotRandom = "challenge-not-random",
        /// A key of the ring that was offered is current at once, whatever members cannot open it.
        OfferedKeyUsed = "offered-key-used",
        /// A retired key of the ring opens nothing any more, whatever members have no other.
        RetiredKeyDropped = "retired-key-dropped",
        /// Members are spoken to with the current key, whatever they can open.
        CurrentKeyForAll = "current-key-for-all",
        /// A member that was only spoken of counts as one.
        HearsayBelieved = "hearsay-believed",
        /// A member that spoke and was not asked counts as one.
        UnaskedBelieved = "unasked-believed",
        /// A service starts the newest build that is installed, whatever ran before.
        NewestAtStart = "newest-at-start",
        /// Another build takes its place before the disk knows that it is to.
        ReplacedUnstored = "replaced-unstored",
        /// A build takes its place although it does not fit.
        MisfitsIgnored = "misfits-ignored",
        /// A build that failed is tried again.
        RefusedTriedAgain = "refused-tried-again",
        /// A build that fails is left in its place.
        FailedBuildStays = "failed-build-stays",
        /// A build has proved itself once its process runs.
        ProvedByRunning = "proved-by-running",
        /// A build that could not be had counts as one that failed.
        LostCountsAsFailed = "lost-counts-as-failed",
        /// A record says that its member has left, and that is believed.
        LeaveUnsigned = "leave-unsigned",
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
