//! Wires the builds of services: what services do is told to `update`, and what `update` wants is asked of services, the
//! disk and the runtime. No build is chosen here.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::{Node, around, ctx};
use crate::model::command::{CommandError, Reply};
use crate::model::context::Context;
use crate::model::id::{RequestId, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::io::Effect;
use crate::model::member::State;
use crate::model::rumor::Rumor;
use crate::model::service::SpecChange;
use crate::service::Ask;
use crate::update::UpdatesEvent;

/// Members that a build is asked of.
const HOLDERS_MAX: usize = 8;

impl Node {
    /// A service is another than it was.
    pub(super) fn updates_of_service_changed(&mut self, service: &ServiceName) {
        self.updates.handle_service(ctx!(self), service, self.services.subject(service));
    }

    /// `svc update`: of its options, or of the build that runs.
    pub(super) fn update_service(
        &mut self,
        request: RequestId,
        service: ServiceName,
        mut change: Box<SpecChange>,
    ) {
        let Some(to) = change.to.take() else {
            let ask = Ask::Update(change);
            return self.services.handle_ask(ctx!(self), around!(self), request, service, ask);
        };
        if *change != SpecChange::default() {
            let why = alloc::format!(
                "an order to run {to} stands by itself: change the options of {service} first, then give --to alone"
            );
            return self.reply(request, Reply::Failed(CommandError::Package(why)));
        }
        self.updates.handle_order(ctx!(self), request, &service, to);
    }

    pub(super) fn on_updates_event(&mut self, event: UpdatesEvent) {
        match event {
            UpdatesEvent::Fetch { service, build, channel, url } => {
                let peers = self.holders_of(&service, &build);
                let effect = Effect::Fetch { service: service.clone(), ident: build, channel, url, peers };
                let ctx = ctx!(self);
                let effect = ctx.effect(effect);
                self.updates.handle_begun(&service, effect);
            }
            UpdatesEvent::Preflight { service, build } => {
                let effect = self.services.preflight(ctx!(self), around!(self), &service, &build);
                if let Some(effect) = effect {
                    let ctx = ctx!(self);
                    let effect = ctx.effect(effect);
                    self.updates.handle_begun(&service, effect);
                }
            }
            UpdatesEvent::Replace { service, reason, after } => {
                self.services.handle_replace(ctx!(self, after), around!(self), &service, reason);
            }
            UpdatesEvent::Note { row } => self.journal.note_build(self.clock.now(), row),
            UpdatesEvent::Forget { service } => self.journal.forget_build(&service),
            UpdatesEvent::Reply(request, reply) => self.reply(request, reply),
        }
    }

    /// The HTTP gateways of other members that say that they run this build.
    fn holders_of(&self, service: &ServiceName, build: &PackageIdent) -> Vec<SocketAddr> {
        let Some(group) = self.services.group_of(service) else { return Vec::new() };
        let holders = self.rumors.facts_of(group).filter_map(|rumor| {
            let Rumor::Service(told) = rumor else { return None };
            let state = self.membership.table().get(&told.member_id).map(|member| member.state);
            let holds = told.pkg == *build && !told.tombstone && told.member_id != self.me;
            let ip: IpAddr = told.sys.http_gateway_ip.parse().ok()?;
            let port = told.sys.http_gateway_port;
            (holds && state == Some(State::Alive) && port > 0).then(|| SocketAddr::new(ip, port))
        });
        let holders: Vec<SocketAddr> = holders.take(HOLDERS_MAX).collect();
        assert!(holders.len() <= HOLDERS_MAX, "a build is asked of some members only");
        holders
    }
}
