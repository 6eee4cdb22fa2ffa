//! Which build of its package a service runs: `update` says it, through the node, and a start asks for exactly that.

use alloc::boxed::Box;

use super::{Env, Instance, Phase};
use crate::model::ident::PackageIdent;
use crate::model::io::Effect;
use crate::model::planted::Bug;
use crate::model::service::ServiceSpec;
use crate::service::event::ServiceEvent;

impl Instance {
    /// The spec, with the build that is to run as its ident, where one was chosen. A restart changes no build.
    pub(super) fn exact_spec(&self, env: &Env<'_, '_>) -> ServiceSpec {
        let spec = self.spec();
        let chosen =
            env.around.build(&self.name, &spec.ident).filter(|_| !env.planted.has(Bug::NewestAtStart));
        let ident = chosen.unwrap_or_else(|| spec.ident.clone());
        assert!(ident.service_name() == self.name, "a build belongs to its service");
        ServiceSpec { ident, ..spec.clone() }
    }

    /// The effect that tries whether a build could run here.
    pub(in super::super) fn preflight_effect(&self, build: &PackageIdent, env: &Env<'_, '_>) -> Effect {
        assert!(build.is_fully_qualified(), "exactly one build is tried");
        assert!(build.service_name() == self.name, "a build belongs to its service");
        let spec = Box::new(ServiceSpec { ident: build.clone(), ..self.spec().clone() });
        Effect::Preflight { service: self.name.clone(), spec, facts: Box::new(self.look_around(env)) }
    }

    /// Another build is to run. What runs is replaced in order; what rests after a failure is tried at once.
    pub(in super::super) fn replace_build(&mut self, reason: &'static str, env: &mut Env<'_, '_>) {
        if !self.wish.is_up() {
            return;
        }
        self.wish.outdated(reason, true);
        self.tries.forget_failures();
        self.progress.reconsider();
        if self.is_given_a_rest() && self.is_wanted(env) {
            self.enter(Phase::Backoff { until: env.now() }, reason, env);
        }
        self.reconcile(env);
    }

    /// A build was made ready, or runs.
    pub(super) fn tell_build(&self, ident: &PackageIdent, env: &mut Env<'_, '_>) {
        env.tell(ServiceEvent::Build { service: self.name.clone(), ident: ident.clone() });
    }
}
