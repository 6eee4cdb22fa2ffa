//! Dispatches an operator's command to the component that carries it out.

use alloc::boxed::Box;

use super::{Node, Phase, around, ctx, know};
use crate::model::command::CommandError;
use crate::model::command::{Command, Reply};
use crate::model::context::Context;
use crate::model::election::ElectionId;
use crate::model::id::{MemberId, RequestId, ServiceName};
use crate::model::io::Output;
use crate::model::limits::{EARLY_COMMANDS_MAX, Limit};
use crate::model::rumor::{Departure, Rumor, RumorKey, Version};
use crate::service::Ask;

impl Node {
    pub(super) fn on_command(&mut self, request: RequestId, command: Command) {
        if matches!(self.phase, Phase::Departing(_) | Phase::Exited) {
            // A node that leaves refuses every other command, those of later versions included.
            if matches!(command, Command::Leave { .. }) {
                self.join_departure(request);
            } else if matches!(command, Command::Hurry) {
                self.hurry(request);
            } else {
                self.reply(request, Reply::Failed(CommandError::Leaving));
            }
            return;
        }
        assert!(
            matches!(self.phase, Phase::Starting | Phase::Running),
            "a node that leaves refuses commands"
        );
        if self.phase == Phase::Starting && command.service().is_some() && !self.steps_early() {
            return self.wait_for_start(request, command);
        }
        match command {
            Command::Depart { member } => self.depart(request, member),
            Command::HandOver { group } => {
                let id = ElectionId::leader(group);
                let hands_over = self.elections.handle_order(ctx!(self), &id);
                let refused = || Reply::Failed(CommandError::NotLeading(id.group.clone()));
                self.reply(request, if hands_over { Reply::Done } else { refused() });
            }
            Command::LiftBan { member } => self.lift_ban(request, member),
            Command::Leave { drain } => self.begin_leave(request, drain),
            Command::Hurry => self.reply(request, Reply::Unchanged),
            Command::SetPeers(peers) => {
                self.membership.handle_peers(ctx!(self), peers);
                self.reply(request, Reply::Done);
            }
            Command::HoldKeys(keys) => {
                self.keyring.handle_held(ctx!(self), &keys);
                self.reply(request, Reply::Done);
            }
            Command::UseKey { key, ring, force, grace_ms } => {
                self.use_key(request, key, ring, (force, grace_ms));
            }
            Command::LoadService { spec, force } => {
                self.ask(request, spec.name(), Ask::Load { spec: Box::new(spec), force });
            }
            Command::UnloadService { service, how } => self.ask(request, service, Ask::Unload(how)),
            Command::StartService { service } => self.ask(request, service, Ask::Start),
            Command::RestartService { service } => self.ask(request, service, Ask::Restart),
            Command::StopService { service, how } => self.ask(request, service, Ask::Stop(how)),
            Command::UpdateService { service, change } => self.update_service(request, service, change),
            Command::DrainService { service, timeout_ms } => {
                self.ask(request, service, Ask::Drain { timeout_ms });
            }
            Command::UndrainService { service } => self.ask(request, service, Ask::Undrain),
            Command::MaintainService { service, reason } => {
                self.ask(request, service, Ask::Maintain { reason });
            }
            Command::RenderService { service } => {
                let known = self.services.handle_render(ctx!(self), around!(self), &service);
                let unknown = || Reply::Failed(CommandError::NotLoaded(service));
                self.reply(request, if known { Reply::Done } else { unknown() });
            }
            Command::ApplyConfig { group, version, toml, allow_leap, is_sealed } => {
                let version = Version::new(version, toml, Some(self.me));
                self.apply_config(request, group, (version, is_sealed), allow_leap);
            }
            Command::PutFile { group, name, version, body, allow_leap, is_sealed } => {
                let version = Version::new(version, body, Some(self.me));
                self.put_file(request, group, name, (version, is_sealed), allow_leap);
            }
        }
    }

    /// A command about a service would lead to announcements, which nothing may precede that the last life told.
    fn wait_for_start(&mut self, request: RequestId, command: Command) {
        if self.early.len() >= EARLY_COMMANDS_MAX {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::ServiceCommands);
            return self.reply(request, Reply::Failed(CommandError::Limit(Limit::ServiceCommands)));
        }
        self.early.push((request, command));
        assert!(self.early.len() <= EARLY_COMMANDS_MAX, "commands that wait have a limit");
    }

    /// The node has started, or never will: commands that waited for that are carried out or refused, in their order.
    pub(super) fn take_early_commands(&mut self) {
        assert!(self.phase != Phase::Starting, "commands wait until the node has started");
        for (request, command) in core::mem::take(&mut self.early) {
            self.on_command(request, command);
        }
    }

    fn ask(&mut self, request: RequestId, service: ServiceName, ask: Ask) {
        self.services.handle_ask(ctx!(self), around!(self), request, service, ask);
    }

    pub(super) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.outputs.push(Output::Reply(request, reply));
    }

    /// Bans a member: on disk first, then everywhere.
    fn depart(&mut self, request: RequestId, member: MemberId) {
        if self.membership.is_banned(&member) {
            return self.reply(request, Reply::Unchanged);
        }
        assert!(
            !matches!(self.phase, Phase::Departing(_) | Phase::Exited),
            "a node that leaves bans no member"
        );
        if self.membership.table().get(&member).is_none() {
            return self.reply(request, Reply::Failed(CommandError::UnknownMember(member)));
        }
        let Some(ban) = Departure::banned_again(self.departure_of(&member), member) else {
            return self.reply(request, Reply::Failed(CommandError::BansUsedUp(member)));
        };
        let ban = Rumor::Departure(ban);
        if let Some(limit) = self.rumors.no_room_for(&ban, &self.signer.public_key()) {
            let ctx = ctx!(self);
            ctx.limit_reached(limit);
            return self.reply(request, Reply::Failed(CommandError::Limit(limit)));
        }
        let told = self.signed(ban);
        assert!(told.rumor().key() == RumorKey::Departure(member), "a ban is kept under the member's id");
        self.journal.store_departure(ctx!(self), know!(self), request, told);
    }

    /// Lifts the ban of a member: on disk first, then everywhere.
    fn lift_ban(&mut self, request: RequestId, member: MemberId) {
        let Some(lifted) = self.departure_of(&member).and_then(Departure::lift) else {
            let is_known = self.membership.table().get(&member).is_some();
            let refused = if is_known || self.departure_of(&member).is_some() {
                CommandError::NotBanned(member)
            } else {
                CommandError::UnknownMember(member)
            };
            return self.reply(request, Reply::Failed(refused));
        };
        assert!(self.membership.is_banned(&member), "a ban that is known is applied");
        let told = self.signed(Rumor::Departure(lifted));
        self.journal.store_departure(ctx!(self), know!(self), request, told);
    }
}
