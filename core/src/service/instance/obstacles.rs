//! What stands between the wanted and the running state of a service: one list, of which people and programs are told the
//! same. It notes; the steps that meet an obstacle set it, and those that get past it take it away.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Env, Instance, Phase};
use crate::model::service::{Health, Hook, Obstacle, ObstacleKind};
use crate::service::event::ServiceEvent;

type Key = (ObstacleKind, Option<Hook>);

/// The obstacles of one service.
#[derive(Debug, Default)]
pub(super) struct Obstacles(BTreeMap<Key, Noted>);

#[derive(Debug)]
struct Noted {
    what: String,
    /// Whether an event told of it; its end is told then, too.
    told: bool,
}

impl Obstacles {
    pub(super) fn views(&self) -> Vec<Obstacle> {
        let view = |(&(kind, hook), noted): (&Key, &Noted)| Obstacle {
            kind,
            hook,
            what: noted.what.clone(),
            sealed: None,
        };
        self.0.iter().map(view).collect()
    }

    pub(super) fn has(&self, kind: ObstacleKind) -> bool {
        self.0.keys().any(|(other, _)| *other == kind)
    }

    /// What a build is to blame for; disks, keys, the operator's own configuration and the ring are no fault of it.
    pub(super) fn of_build(&self) -> Option<&str> {
        let is_its = |kind: &ObstacleKind| {
            matches!(
                kind,
                ObstacleKind::Package
                    | ObstacleKind::Template
                    | ObstacleKind::Rights
                    | ObstacleKind::Spec
                    | ObstacleKind::Hook
                    | ObstacleKind::Process
            )
        };
        self.0.iter().find(|((kind, _), _)| is_its(kind)).map(|(_, noted)| noted.what.as_str())
    }

    /// What the ring is told of them: the kinds that keep a service from what its group was given, and that nothing else
    /// that is announced shows.
    pub(super) fn held_back(&self) -> BTreeSet<ObstacleKind> {
        let is_shown = |kind: &ObstacleKind| !matches!(kind, ObstacleKind::Process | ObstacleKind::Health);
        self.0.keys().map(|(kind, _)| *kind).filter(is_shown).collect()
    }

    /// Notes an obstacle. Whether it is news that an event is to tell.
    fn set(&mut self, key: Key, what: &str, tells: bool) -> bool {
        let before = self.0.get(&key);
        if before.is_some_and(|noted| noted.what == what) {
            return false;
        }
        let told = tells || before.is_some_and(|noted| noted.told);
        self.0.insert(key, Noted { what: String::from(what), told });
        tells
    }

    /// Takes those away that are meant, and answers with those whose end is to be told.
    fn take(&mut self, is_meant: impl Fn(ObstacleKind) -> bool) -> Vec<Key> {
        let mut gone: Vec<Key> = self.0.keys().filter(|(kind, _)| is_meant(*kind)).copied().collect();
        gone.retain(|key| self.0.remove(key).is_some_and(|noted| noted.told));
        gone
    }
}

/// Whether an event tells of a kind. Changes of state, of health and of the election have events of their own.
const fn is_told(kind: ObstacleKind) -> bool {
    !matches!(kind, ObstacleKind::Process | ObstacleKind::Election | ObstacleKind::Health)
}

impl Instance {
    /// Something stands between what is wanted and what runs. Before there is a process, the change of state tells of it.
    pub(super) fn obstruct(
        &mut self,
        kind: ObstacleKind,
        hook: Option<Hook>,
        what: &str,
        env: &mut Env<'_, '_>,
    ) {
        assert!(hook.is_none() || kind == ObstacleKind::Hook, "only a hook that failed has a name");
        let stays =
            matches!(kind, ObstacleKind::Layer | ObstacleKind::Key | ObstacleKind::File | ObstacleKind::Disk);
        // A lost bind is told once, also when it turns out later that files cannot be written without it.
        let is_lost = kind == ObstacleKind::Bind && self.obstacles.has(kind);
        let tells = is_told(kind) && !is_lost && (stays || self.progress.is_running());
        if self.obstacles.set((kind, hook), what, tells) {
            let (service, what) = (self.name.clone(), Some(String::from(what)));
            env.tell(ServiceEvent::Obstacle { service, kind, hook, what, after: env.after });
        }
    }

    /// Nothing of these kinds is in the way any more.
    pub(super) fn clear(&mut self, is_meant: impl Fn(ObstacleKind) -> bool, env: &mut Env<'_, '_>) {
        for (kind, hook) in self.obstacles.take(is_meant) {
            let service = self.name.clone();
            env.tell(ServiceEvent::Obstacle { service, kind, hook, what: None, after: env.after });
        }
    }

    /// A hook has succeeded.
    pub(super) fn clear_hook(&mut self, hook: Hook, env: &mut Env<'_, '_>) {
        if self.obstacles.0.remove(&(ObstacleKind::Hook, Some(hook))).is_some_and(|noted| noted.told) {
            let (service, kind) = (self.name.clone(), ObstacleKind::Hook);
            env.tell(ServiceEvent::Obstacle {
                service,
                kind,
                hook: Some(hook),
                what: None,
                after: env.after,
            });
        }
    }

    /// The files are written, in spite of these.
    pub(super) fn written_in_spite_of(&mut self, found: &[Obstacle], env: &mut Env<'_, '_>) {
        let is_found = |kind| found.iter().any(|obstacle| obstacle.kind == kind);
        self.clear(|kind| kind.is_of_files() && !is_found(kind), env);
        for kind in ObstacleKind::ALL.iter().copied().filter(|kind| is_found(*kind)) {
            let of_kind = found.iter().filter(|obstacle| obstacle.kind == kind);
            let what: Vec<&str> = of_kind.map(|obstacle| obstacle.what.as_str()).collect();
            self.obstruct(kind, None, &what.join("\n"), env);
        }
    }

    /// Notes what other parts of the service know to be in its way.
    pub(super) fn look_at_obstacles(&mut self, env: &mut Env<'_, '_>) {
        let ill = matches!(self.checks.health(), Health::Warning | Health::Critical).then(|| {
            let (health, note) = (self.checks.health(), self.checks.note().trim());
            let said = if note.is_empty() { String::new() } else { format!(": {note}") };
            format!("health check: {health}{said}")
        });
        let waits = self.progress.waits_on().map(|(kind, why)| (kind, format!("waits for {why}")));
        let waits_on =
            |kind| waits.as_ref().filter(|(on, _)| *on == Some(kind)).map(|(_, what)| what.clone());
        let lost = self.lost_bind.as_ref().filter(|_| self.progress.is_running()).map(|lost| {
            let files = if self.files.are_behind() {
                "its files are stale: they cannot be written without it and name members that went"
            } else {
                "what its files say of it may be stale"
            };
            format!("lacks {lost}; it runs on, and {files}")
        });
        let unstored = self.wish.unstored_reason().map(|reason| {
            format!(
                "is stopped, but the disk has not taken that, and a restart of the supervisor would start it again: {reason}"
            )
        });
        let found = [
            (ObstacleKind::Health, ill.filter(|_| self.progress.is_running())),
            (ObstacleKind::Bind, lost.or_else(|| waits_on(ObstacleKind::Bind))),
            (ObstacleKind::Election, waits_on(ObstacleKind::Election)),
            (ObstacleKind::Disk, unstored),
        ];
        for (kind, what) in found {
            match what {
                Some(what) => self.obstruct(kind, None, &what, env),
                None => self.clear(|other| other == kind, env),
            }
        }
        if self.progress.phase() == Phase::Idle {
            // Nothing is wanted to run.
            self.clear(|kind| kind != ObstacleKind::Disk, env);
        }
        assert!(
            self.obstacles.has(ObstacleKind::Disk) == self.wish.unstored_reason().is_some(),
            "what the disk has not taken is shown"
        );
        let now = (self.obstacles.held_back(), self.hooks.slow());
        if self.told.hindered_by().is_some_and(|(held_back, slow)| (held_back, slow) != (&now.0, now.1)) {
            self.publish(env);
        }
    }
}
