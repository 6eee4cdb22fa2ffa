//! One arm for each command.

use super::{Node, Phase, ctx};
use crate::command::{Command, Reply};
use crate::context::Context;
use crate::error::CommandError;
use crate::id::{MemberId, RequestId};
use crate::io::Output;
use crate::limits::DEPARTURES_MAX;
use crate::rumor::{Departure, Rumor, RumorKey};

impl Node {
    pub(super) fn on_command(&mut self, request: RequestId, command: Command) {
        if matches!(self.phase, Phase::Departing(_) | Phase::Exited) {
            match command {
                Command::Leave { .. } => self.join_departure(request),
                Command::Hurry => self.hurry(request),
                _ => self.reply(request, Reply::Failed(CommandError::Leaving)),
            }
            return;
        }
        let (now, wall) = (self.now, self.wall);
        match command {
            Command::Depart { member } => self.depart(request, member),
            Command::Leave { drain: _ } => self.begin_leave(request),
            Command::Hurry => self.reply(request, Reply::Unchanged),
            Command::SetPeers(peers) => {
                self.membership.set_peers(now, peers);
                self.reply(request, Reply::Done);
            }
            Command::LoadService { spec, force } => {
                self.services.handle_load(now, wall, request, spec, force)
            }
            Command::UnloadService { service, how: _ } => {
                self.services.handle_unload(now, wall, request, service)
            }
            Command::StartService { service } => self.services.handle_start(now, wall, request, service),
            Command::StopService { service, how: _ } => {
                self.services.handle_stop(now, wall, request, service)
            }
            Command::UpdateService { .. }
            | Command::DrainService { .. }
            | Command::UndrainService { .. }
            | Command::MaintainService { .. } => {
                let why = alloc::string::String::from("this supervisor cannot do that to a service yet");
                self.reply(request, Reply::Failed(CommandError::Package(why)));
            }
            Command::ApplyConfig { group, version, toml } => self.apply_config(request, group, version, toml),
            Command::PutFile { group, name, version, body } => {
                self.put_file(request, group, name, version, body);
            }
        }
    }

    pub(super) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.outputs.push(Output::Reply(request, reply));
    }

    /// Bans a member: on disk first, then everywhere.
    fn depart(&mut self, request: RequestId, member: MemberId) {
        if self.membership.is_banned(&member) {
            return self.reply(request, Reply::Unchanged);
        }
        if self.membership.table().get(&member).is_none() {
            return self.reply(request, Reply::Failed(CommandError::UnknownMember(member)));
        }
        let bans = self.rumors.iter().filter(|r| matches!(r, Rumor::Departure(_))).count();
        if bans >= DEPARTURES_MAX {
            let ctx = ctx!(self);
            ctx.limit_reached("departures");
            return self.reply(request, Reply::Failed(CommandError::Limit("departures")));
        }
        let rumor = Rumor::Departure(Departure { member_id: member });
        debug_assert_eq!(rumor.key(), RumorKey::Departure(member));
        self.persist_departure(request, &rumor);
    }
}
