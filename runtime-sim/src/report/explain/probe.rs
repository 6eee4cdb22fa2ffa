//! A failed probe: the fates of its pings, of the helpers' pings and of the one over a stream.

use annulus_core::{EventKind, MemberId};

use super::chain::Walk;
use super::fate::time;
use super::load::{Event, Packet};

impl<'a> Walk<'a> {
    /// Tells why a probe failed.
    pub(super) fn probe(&mut self, failed: &'a Event) {
        let EventKind::ProbeFailed { member, ping, indirect, .. } = &failed.kind else { return };
        let target = self.trace.host_of(member).unwrap_or("?").to_owned();
        let first = self
            .packets_sent(failed, ping.0)
            .find(|p| p.message == "ping" && p.about.is_none() && p.to.as_deref() == Some(&target));
        let Some(first) = first else {
            self.story.push(failed.t, format!("The probe of {target} that failed began before the trace."));
            return;
        };
        let of_probe: Vec<&'a Packet> = self
            .trace
            .packets
            .values()
            .filter(|p| {
                p.from == failed.host
                    && p.life == failed.life
                    && p.seq == first.seq
                    && (first.t..=failed.t).contains(&p.t)
            })
            .collect();
        self.direct(failed, &target, &of_probe);
        if indirect.is_some() {
            self.helpers(failed, member, &target, &of_probe);
            self.stream(failed, &target, &of_probe);
        }
    }

    fn packets_sent(&self, by: &Event, input: u64) -> impl Iterator<Item = &'a Packet> + use<'a> {
        let trace = self.trace;
        let ids = trace.sent.get(&(by.host.clone(), by.life, input)).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| trace.packets.get(id))
    }

    fn direct(&mut self, failed: &Event, target: &str, of_probe: &[&'a Packet]) {
        let pings: Vec<&'a Packet> = of_probe
            .iter()
            .copied()
            .filter(|p| {
                p.message == "ping" && !p.stream && p.about.is_none() && p.to.as_deref() == Some(target)
            })
            .collect();
        let Some(first) = pings.first() else { return };
        let again = match pings.len() {
            1 => String::new(),
            more => format!(", and {} more in case one got lost", more - 1),
        };
        let details: Vec<String> = pings.iter().map(|ping| self.asked("ping", ping)).collect();
        let step = self
            .story
            .push(first.t, format!("{} sent {target} a ping{again}; no ack came back.", failed.host));
        step.details = details;
        step.packets.extend(pings.iter().map(|p| p.id));
    }

    /// The fates of a ping and of its answer, in words.
    fn asked(&mut self, what: &str, ping: &Packet) -> String {
        let head = format!("{}: {what} packet {}", time(ping.t), ping.id);
        if let Some(fate) = self.trace.trouble(ping) {
            return format!("{head}: {}", self.blame(fate));
        }
        let to = ping.to.as_deref().unwrap_or("?");
        match self.answer(ping) {
            None => format!("{head} reached {to}, which did not answer"),
            Some(ack) => match self.trace.trouble(ack) {
                Some(fate) => {
                    format!("{head} reached {to}; its ack, packet {}: {}", ack.id, self.blame(fate))
                }
                None => format!("{head} reached {to}, and its ack, packet {}, arrived too late", ack.id),
            },
        }
    }

    /// The ack that the receiver of a ping sent back at once.
    fn answer(&self, ping: &Packet) -> Option<&'a Packet> {
        let (_, life, input) = ping.read?;
        let ids = self.trace.sent.get(&(ping.to.clone()?, life, input))?;
        let acks = ids.iter().filter_map(|id| self.trace.packets.get(id));
        acks.into_iter().find(|p| p.message == "ack" && p.seq == ping.seq)
    }

    fn helpers(&mut self, failed: &Event, member: &MemberId, target: &str, of_probe: &[&'a Packet]) {
        let asked: Vec<&'a Packet> = of_probe
            .iter()
            .copied()
            .filter(|p| p.message == "ping-req" && p.about.as_ref() == Some(member))
            .collect();
        let Some(first) = asked.first() else {
            self.story.push(failed.t, String::from("No other member was there to be asked for help."));
            return;
        };
        let names: Vec<&str> = asked.iter().filter_map(|p| p.to.as_deref()).collect();
        let text = format!("{} asked {} to ping {target} on its behalf.", failed.host, names.join(", "));
        let details: Vec<String> = asked.iter().map(|request| self.helped(failed, request, target)).collect();
        let step = self.story.push(first.t, text);
        step.details = details;
        step.packets.extend(asked.iter().map(|p| p.id));
    }

    /// The part of one helper.
    fn helped(&mut self, failed: &Event, request: &'a Packet, target: &str) -> String {
        let helper = request.to.as_deref().unwrap_or("?");
        if let Some(fate) = self.trace.trouble(request) {
            return format!("{helper}: the request, packet {}: {}", request.id, self.blame(fate));
        }
        let Some((_, life, input)) = request.read else { return format!("{helper}: never got the request") };
        let key = (helper.to_owned(), life, input);
        let sent = self.trace.sent.get(&key).map_or(&[][..], Vec::as_slice);
        let ping = sent
            .iter()
            .filter_map(|id| self.trace.packets.get(id))
            .find(|p| p.message == "ping" && p.to.as_deref() == Some(target));
        let Some(ping) = ping else { return format!("{helper}: had no room for another probe") };
        let leg = self.asked("its ping,", ping);
        let in_time = self.trace.trouble(ping).is_none();
        let relayed = self.answer(ping).and_then(|ack| ack.read).and_then(|(_, life, input)| {
            let ids = self.trace.sent.get(&(helper.to_owned(), life, input))?;
            let passed = ids.iter().filter_map(|id| self.trace.packets.get(id));
            passed.into_iter().find(|p| p.message == "ack" && p.seq == request.seq)
        });
        if let (Some(ack), true) = (relayed, in_time) {
            let fate = match self.trace.trouble(ack) {
                Some(fate) => self.blame(fate),
                None => String::from("it came too late"),
            };
            return format!(
                "{helper}: {target} answered it; the ack that it passed on, packet {}: {fate}",
                ack.id
            );
        }
        let nack = self.trace.packets.values().find(|p| {
            p.message == "nack"
                && p.from == helper
                && p.seq == request.seq
                && p.t >= request.t
                && p.t <= failed.t
                && p.to.as_deref() == Some(failed.host.as_str())
        });
        let nack = nack
            .map_or_else(String::new, |p| format!("; it said so at {} (nack, packet {})", time(p.t), p.id));
        format!("{helper}: {leg}{nack}")
    }

    fn stream(&mut self, failed: &Event, target: &str, of_probe: &[&'a Packet]) {
        let ping = of_probe.iter().copied().find(|p| p.message == "ping" && p.stream);
        let Some(ping) = ping else { return };
        let detail = self.asked("ping over a stream, as", ping);
        let step = self.story.push(
            ping.t,
            format!(
                "{} also tried {target} over a stream, where datagrams may be what is lost.",
                failed.host
            ),
        );
        step.details.push(detail);
        step.packets.push(ping.id);
    }
}
