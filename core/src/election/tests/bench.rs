//! The members of a bench, their network and their faults.

use super::*;

impl Bench {
    pub(super) fn new(members: u8) -> Self {
        let mut bench = Self {
            now: Instant::from_millis(1_000),
            members: BTreeMap::new(),
            cut: BTreeSet::new(),
            banned: BTreeSet::new(),
            wire: VecDeque::new(),
            delay_ms_max: 1,
            chance: Rng::from_seed([99; 32]),
            stores: VecDeque::new(),
            told: VecDeque::new(),
            outputs: Outputs::default(),
            metrics: Metrics::default(),
            won: BTreeMap::new(),
            sent: 0,
            updaters: BTreeMap::new(),
        };
        for n in 1..=members {
            bench.add(n);
        }
        bench
    }

    pub(super) fn add(&mut self, n: u8) {
        let fitness = Some(Fitness { suitability: 0, readiness: Readiness::Fit });
        let member = Member {
            elections: None,
            fitness,
            disk: BTreeMap::new(),
            role: None,
            demotes: true,
            incarnation: 0,
            acts_until: None,
            resume: None,
            disk_fails: false,
            disk_steps: 1,
        };
        self.members.insert(n, member);
        self.start(n);
    }

    /// Starts its supervisor, which finds its disk, and the right to resume where a guard kept one.
    pub(super) fn start(&mut self, n: u8) {
        let config = Config::new(9638);
        let member = self.members.get_mut(&n).expect("a member");
        member.incarnation += 1;
        let rows = member.disk.iter().map(|(key, value)| vote::decode(key, value).expect("its own row"));
        let rng = Rng::from_seed([n; 32]);
        let incarnation = Incarnation(member.incarnation);
        let rows = rows.collect();
        member.elections = Some(Elections::new(&config, id(n), incarnation, rows, rng, self.now));
        let is_alive = member.acts_until.is_some_and(|until| until > self.now);
        if let Some((term, until)) = member.resume.filter(|_| is_alive) {
            self.with(n, |elections, ctx| elections.handle_resume(ctx, &election(), term, until));
        }
        self.refresh();
    }

    /// Its host is gone, and its process with it.
    pub(super) fn crash(&mut self, n: u8) {
        let member = self.members.get_mut(&n).expect("a member");
        (member.acts_until, member.resume) = (None, None);
        self.kill(n);
    }

    /// Its supervisor is gone; a process of its service goes on, and so does the guard.
    pub(super) fn kill(&mut self, n: u8) {
        self.members.get_mut(&n).expect("a member").elections = None;
        self.stores.retain(|pending| pending.owner != n);
        self.refresh();
    }

    /// The member's process does not act any more, and its guard holds no right to resume.
    pub(super) fn demoted(&mut self, n: u8) {
        let member = self.members.get_mut(&n).expect("a member");
        (member.acts_until, member.resume) = (None, None);
        self.with(n, |elections, ctx| elections.handle_demoted(ctx, &election()));
    }

    pub(super) fn readiness(&mut self, n: u8, readiness: Readiness) {
        self.fitness(n, Some(Fitness { suitability: 0, readiness }));
    }

    pub(super) fn reaches(&self, a: u8, b: u8) -> bool {
        !self.cut.contains(&(a.min(b), a.max(b)))
    }

    pub(super) fn split(&mut self, left: &[u8], right: &[u8]) {
        for a in left {
            for b in right {
                self.cut.insert((*a.min(b), *a.max(b)));
            }
        }
        self.refresh();
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.refresh();
    }

    pub(super) fn fitness(&mut self, n: u8, fitness: Option<Fitness>) {
        self.members.get_mut(&n).expect("a member").fitness = fitness;
        self.refresh();
    }

    pub(super) fn with<T>(
        &mut self,
        n: u8,
        act: impl FnOnce(&mut Elections, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let elections = self.members.get_mut(&n)?.elections.as_mut()?;
        let mut ctx = Context {
            after: crate::model::context::Follows::Input,
            now: self.now,
            wall: UnixTime::default(),
            input: InputId(1),
            outputs: &mut self.outputs,
            metrics: &mut self.metrics,
        };
        let result = act(elections, &mut ctx);
        elections.check_invariants();
        while let Some(output) = self.outputs.pop() {
            let crate::model::io::Output::Event(event) = output else { continue };
            if let EventKind::Election { election, term, what: ElectionEvent::Won { .. } } = event.kind {
                let winner = *self.won.entry((election, term)).or_insert(id(n));
                assert_eq!(winner, id(n), "two members won term {term}");
            }
        }
        Some(result)
    }

    /// Rumors and failure detection, at once and without error.
    pub(super) fn refresh(&mut self) {
        let numbers: vec::Vec<u8> = self.members.keys().copied().collect();
        for n in &numbers {
            let mut roll = Roll { size_min: SIZE_MIN, ..Roll::default() };
            for other in &numbers {
                let member = &self.members[other];
                if member.fitness.is_none() {
                    roll.gone.insert(id(*other));
                } else if self.banned.contains(other) {
                    roll.banned.insert(id(*other));
                } else {
                    let alive = member.elections.is_some() && self.reaches(*n, *other);
                    roll.members.insert(id(*other), alive);
                }
            }
            let fitness = self.members[n].fitness;
            let updater = self.updaters.get(n).copied();
            self.with(*n, |elections, ctx| {
                elections.handle_fitness(ctx, &election(), fitness);
                elections.handle_roll(ctx, &election(), roll.clone());
                elections.handle_fitness(ctx, &update(), updater);
                elections.handle_roll(ctx, &update(), roll);
            });
        }
        self.settle();
    }
}
