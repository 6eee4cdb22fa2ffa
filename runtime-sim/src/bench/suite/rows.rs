//! The rows of the suite: the runs of each batch and the figures that they fill.

use super::rival::Job;
use crate::bench::Args;

/// How thorough the suite is.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Seeds of the runs whose outcome depends on chance.
    seeds: u64,
    /// Repetitions of the runs whose outcome depends on this machine.
    repetitions: u64,
    /// Virtual seconds on lossy links and with pauses.
    trouble_s: u64,
    /// Virtual seconds of an idle ring.
    idle_s: u64,
    /// Rings are made no larger than this.
    members_max: u32,
    /// A remark about figures that are not the full suite's.
    pub(super) note: Option<&'static str>,
}

impl Plan {
    pub(super) const fn full() -> Self {
        Self { seeds: 20, repetitions: 3, trouble_s: 600, idle_s: 60, members_max: u32::MAX, note: None }
    }

    pub(super) const fn quick() -> Self {
        let note =
            Some("quick: 3 seeds instead of 20, one repetition, 30 s of trouble instead of 10 minutes");
        Self { seeds: 3, repetitions: 1, trouble_s: 30, idle_s: 10, note, ..Self::full() }
    }

    #[cfg(test)]
    pub(super) const fn tiny() -> Self {
        let note = Some("tiny");
        Self { seeds: 1, repetitions: 1, trouble_s: 1, idle_s: 1, members_max: 6, note }
    }

    fn members(&self, members: u32) -> u32 {
        members.min(self.members_max)
    }
}

/// Runs that belong together and the rows that they fill.
pub(super) struct Batch {
    pub(super) what: &'static str,
    pub(super) runs: Vec<Args>,
    pub(super) rival: Option<Job>,
    pub(super) rows: Vec<Row>,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    /// The key of the run's figure that fills it.
    pub(super) figure: &'static str,
    /// Divides that figure, to have it in `unit`.
    pub(super) divisor: f64,
    pub(super) fold: Fold,
    pub(super) bound: Bound,
    /// The label of the same figure in the rival's output.
    pub(super) rival_figure: Option<&'static str>,
    /// The rivals' figures where they were measured before.
    pub(super) reference: &'static str,
}

/// How the figures of several runs become one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fold {
    Highest,
    Lowest,
    Median,
}

impl Fold {
    pub(super) fn of(self, mut values: Vec<f64>) -> Option<f64> {
        values.sort_unstable_by(f64::total_cmp);
        match self {
            Self::Highest => values.last().copied(),
            Self::Lowest => values.first().copied(),
            Self::Median => values.get(values.len() / 2).copied(),
        }
    }
}

/// The target of a figure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// The figure is told without being judged.
    None,
}

impl Bound {
    pub(super) fn verdict(self, figure: Option<f64>) -> Option<bool> {
        match self {
            Self::AtLeast(bound) => Some(figure.is_some_and(|f| f >= bound)),
            Self::AtMost(bound) => Some(figure.is_some_and(|f| f <= bound)),
            Self::None => None,
        }
    }
}

impl Row {
    const fn new(key: &'static str, what: &'static str, unit: &'static str, figure: &'static str) -> Self {
        Self {
            key,
            what,
            unit,
            figure,
            divisor: 1.0,
            fold: Fold::Median,
            bound: Bound::None,
            rival_figure: None,
            reference: "-",
        }
    }

    const fn best(self, fold: Fold, bound: Bound) -> Self {
        Self { fold, bound, ..self }
    }

    const fn rival(self, figure: &'static str, reference: &'static str) -> Self {
        Self { rival_figure: Some(figure), reference, ..self }
    }

    const fn known(self, reference: &'static str) -> Self {
        Self { reference, ..self }
    }

    const fn over(self, divisor: f64) -> Self {
        Self { divisor, ..self }
    }
}

/// The whole suite.
pub(super) fn batches(plan: &Plan) -> Vec<Batch> {
    let mut all = idle(plan);
    all.extend(crash(plan));
    all.extend(spread(plan));
    all.extend(trouble(plan));
    all
}

fn args(plan: &Plan, members: u32) -> Args {
    Args { members: plan.members(members), seconds: plan.idle_s, ..Args::default() }
}

fn with_seeds(args: &Args, seeds: u64) -> Vec<Args> {
    (1..=seeds).map(|seed| Args { seed, ..args.clone() }).collect()
}

const UNIT: &str = "member-seconds per CPU-second";
const SPEED: &str = "member_seconds_per_cpu_second";

/// The ring of the first batch, with a key.
fn keyed(clear: &Args, repetitions: u64) -> Batch {
    Batch {
        what: "idle, 100 members, with a key",
        runs: with_seeds(&Args { keyed: true, ..clear.clone() }, repetitions),
        rival: None,
        // Nine tenths of the bound of a ring without one.
        rows: vec![
            Row::new("speed_keyed", "simulator speed, 100 idle members with a key", UNIT, SPEED)
                .best(Fold::Highest, Bound::AtLeast(450_000.0)),
        ],
    }
}

fn idle(plan: &Plan) -> Vec<Batch> {
    let speed = |key, what, least, reference| {
        Row::new(key, what, UNIT, SPEED)
            .best(Fold::Highest, Bound::AtLeast(least))
            .rival("virtual_node_s_per_cpu_s=", reference)
    };
    let memory = |key, what, most, reference| {
        Row::new(key, what, "kB", "bytes_per_member")
            .over(1_000.0)
            .best(Fold::Lowest, Bound::AtMost(most))
            .rival("kB -> ", reference)
    };
    let traffic = |key, what, unit, figure, most, rival, reference| {
        Row::new(key, what, unit, figure).best(Fold::Median, Bound::AtMost(most)).rival(rival, reference)
    };
    let seconds = plan.idle_s;
    let job = |members, runs| Some(Job::new(members, "steady", 0, seconds, runs));
    // A small ring costs so little that it must idle longer to be measured at all.
    let small = Args { seconds: plan.idle_s * 10, ..args(plan, 100) };
    vec![
        Batch {
            what: "idle, 100 members",
            runs: with_seeds(&small, plan.repetitions),
            rival: Some(Job::new(100, "steady", 0, seconds * 10, 3)),
            rows: vec![speed("speed_100", "simulator speed, 100 idle members", 500_000.0, "929,000")],
        },
        Batch {
            what: "idle, 1,000 members",
            runs: with_seeds(&args(plan, 1_000), plan.repetitions),
            rival: job(1_000, 3),
            rows: vec![
                speed("speed_1000", "simulator speed, 1,000 idle members", 300_000.0, "286,000"),
                memory("memory_1000", "memory per member, 1,000 members", 64.0, "14.5 (8-byte ids)"),
                traffic(
                    "idle_messages",
                    "idle messages per member, 1,000 members",
                    "messages/s",
                    "messages_per_member_s",
                    2.1,
                    "msgs/node/s=",
                    "2.07; serf 2.0",
                ),
                traffic(
                    "idle_bytes",
                    "idle bytes per member, 1,000 members",
                    "bytes/s",
                    "bytes_per_member_s",
                    250.0,
                    "bytes/node/s=",
                    "91; serf 267",
                ),
            ],
        },
        keyed(&small, plan.repetitions),
        Batch {
            what: "idle, 10,000 members",
            runs: with_seeds(&args(plan, 10_000), 1),
            // Preparing a ring of this size takes the rival minutes.
            rival: if plan.note.is_none() { job(10_000, 1) } else { None },
            rows: vec![
                speed("speed_10000", "simulator speed, 10,000 idle members", 100_000.0, "19,000"),
                memory("memory_10000", "memory per member, 10,000 members", 640.0, "122 (8-byte ids)"),
            ],
        },
    ]
}

fn crash(plan: &Plan) -> Vec<Batch> {
    type Crash = (u32, &'static str, [(&'static str, &'static str, f64); 2], &'static str);
    let rings: [Crash; 3] = [
        (
            10,
            "a crash, 10 members",
            [
                ("crash_10_median", "last observer confirms a crash, 10 members, median", 3.0),
                ("crash_10_worst", "last observer confirms a crash, 10 members, worst", 6.0),
            ],
            "6.9; serf 8.0",
        ),
        (
            100,
            "a crash, 100 members",
            [
                ("crash_100_median", "last observer confirms a crash, 100 members, median", 4.0),
                ("crash_100_worst", "last observer confirms a crash, 100 members, worst", 7.0),
            ],
            "11.0; serf 8.5 (30)",
        ),
        (
            1_000,
            "a crash, 1,000 members",
            [
                ("crash_1000_median", "last observer confirms a crash, 1,000 members, median", 5.0),
                ("crash_1000_worst", "last observer confirms a crash, 1,000 members, worst", 8.0),
            ],
            "16.2",
        ),
    ];
    let batch = |(members, what, rows, reference): Crash| {
        let folds = [Fold::Median, Fold::Highest];
        let rows = rows.into_iter().zip(folds).map(|((key, words, most), fold)| {
            Row::new(key, words, "s", "kill_last_s")
                .best(fold, Bound::AtMost(most))
                .rival(" last=", reference)
        });
        Batch {
            what,
            runs: with_seeds(&Args { kill: true, ..args(plan, members) }, plan.seeds),
            rival: Some(Job::new(members, "kill", 0, 40, plan.seeds as usize)),
            rows: rows.collect(),
        }
    };
    rings.into_iter().map(batch).collect()
}

fn spread(plan: &Plan) -> Vec<Batch> {
    let rumor = |key, what, most, reference| {
        Row::new(key, what, "s", "rumor_all_s")
            .best(Fold::Median, Bound::AtMost(most))
            .rival("100%=", reference)
    };
    let some = |seeds: u64| seeds.div_ceil(4).min(plan.seeds);
    vec![
        Batch {
            what: "a rumor, 1,000 members",
            runs: with_seeds(&Args { rumor: true, ..args(plan, 1_000) }, some(plan.seeds)),
            rival: Some(Job::new(1_000, "bcast", 0, 5, some(plan.seeds) as usize)),
            rows: vec![rumor("rumor_1000", "rumor known to all of 1,000 members", 0.8, "0.94")],
        },
        Batch {
            what: "a rumor, 10,000 members",
            runs: with_seeds(&Args { rumor: true, ..args(plan, 10_000) }, 1),
            rival: None,
            rows: vec![rumor("rumor_10000", "rumor known to all of 10,000 members", 1.3, "1.36")],
        },
        Batch {
            what: "1,000 members join through one",
            runs: with_seeds(&Args { join: true, ..args(plan, 1_000) }, plan.repetitions),
            rival: Some(Job::joining(plan.members(1_000))),
            rows: vec![
                Row::new(
                    "join_1000",
                    "1,000 members join through one within 1 s: all views full",
                    "s",
                    "join_full_s",
                )
                .best(Fold::Highest, Bound::AtMost(5.0))
                .rival("full_membership_at=", "384 to 541"),
            ],
        },
        Batch {
            what: "halves of 1,000 members do not hear of each other for 30 s",
            runs: with_seeds(&Args { heal: true, ..args(plan, 1_000) }, 1),
            rival: Some(Job::new(1_000, "heal", 0, 130, 1)),
            rows: vec![
                Row::new("heal_1000", "halves of 1,000 apart for 30 s: whole again", "s", "heal_s")
                    .best(Fold::Highest, Bound::AtMost(15.0))
                    .rival("heal=", "not after 370"),
            ],
        },
    ]
}

fn trouble(plan: &Plan) -> Vec<Batch> {
    let seconds = plan.trouble_s;
    let confirmed =
        |key, what| Row::new(key, what, "", "false_confirmed").best(Fold::Highest, Bound::AtMost(0.0));
    let lossy = |loss| Args { accusations: true, loss, seconds, ..args(plan, 1_000) };
    // The rival needs minutes for each virtual minute on lossy links, and one minute is enough to show its rate.
    let job = |loss| Some(Job::new(1_000, "steady", loss, seconds.min(60), 1));
    let mut loss_5 = Batch {
        what: "5 % loss, 1,000 members",
        runs: vec![lossy(5)],
        rival: job(5),
        rows: vec![
            confirmed("loss_5_confirmed", "5 % loss, 1,000 members: false Confirmed")
                .rival("false_down_members=", "0"),
            // A member that must come back under another identity does not exist here; it refutes.
            Row::new("loss_5_refuted", "5 % loss: refutations (rival: forced rejoins)", "", "refuted")
                .rival("rejoins=", "25 per minute"),
        ],
    };
    let mut loss_20 = Batch {
        what: "20 % loss, 1,000 members",
        runs: vec![lossy(20)],
        rival: job(20),
        rows: vec![
            confirmed("loss_20_confirmed", "20 % loss, 1,000 members: false Confirmed")
                .rival("false_down_members=", "9 to 12 per minute"),
            Row::new("loss_20_refuted", "20 % loss: refutations (rival: forced rejoins)", "", "refuted")
                .rival("rejoins=", "1,300 per minute"),
        ],
    };
    for (batch, messages, bytes) in [
        (&mut loss_5, "loss_5_messages", "loss_5_bytes"),
        (&mut loss_20, "loss_20_messages", "loss_20_bytes"),
    ] {
        batch.rows.push(
            Row::new(messages, "  messages per member meanwhile", "messages/s", "messages_per_member_s")
                .rival("msgs/node/s=", "-"),
        );
        batch.rows.push(
            Row::new(bytes, "  bytes per member meanwhile", "bytes/s", "bytes_per_member_s")
                .rival("bytes/node/s=", "-"),
        );
    }
    let pauses = Batch {
        what: "pauses, 100 members",
        runs: vec![Args { pauses: true, seconds, ..args(plan, 100) }],
        rival: None,
        rows: vec![
            confirmed(
                "pauses_confirmed",
                "one of 100 stands still 5 s of every 20 s: false Confirmed of others",
            )
            .known("-"),
        ],
    };
    vec![loss_5, loss_20, pauses]
}
