//! What is done to the world, in words.

use std::time::Duration;

use annulus_core::Instant;

use super::Narrator;
use crate::action::{Action, Burst, Capacity, Delay, DiskAfter, HostId, LinkQuality, Ratio};

/// More names than this are counted instead.
pub(super) const NAMES_MAX: usize = 6;
/// Joins before this belong to the start of the scenario.
const START: Instant = Instant::from_millis(1_000);

/// An action in words, for hosts of these names.
pub(crate) fn action_words(names: &[String], action: &Action) -> String {
    Narrator::new(names.to_vec()).words(action)
}

impl Narrator {
    pub(super) fn action(&mut self, at: Instant, action: &Action) {
        // The crowd that starts by itself is told once, with its first member.
        if matches!(action, Action::Join(_)) && at < START && self.names.len() > NAMES_MAX {
            if !self.crowd_told {
                self.crowd_told = true;
                let text = format!("{} members start, one after the other.", self.names.len());
                self.say(at, &text);
            }
            return;
        }
        let text = self.words(action);
        self.say(at, &text);
    }

    fn words(&self, action: &Action) -> String {
        match action {
            Action::Join(host) => format!("{} starts for the first time.", self.name(*host)),
            Action::Leave(host) => format!("{} is asked to leave in order.", self.name(*host)),
            Action::Depart { by, host } => {
                format!("at {} an operator bans {} from the ring.", self.name(*by), self.name(*host))
            }
            Action::DepartId { by, member } => {
                format!("at {} an operator bans {} from the ring.", self.name(*by), self.who(member))
            }
            Action::Crash(host) => {
                format!("{} loses power: it says nothing to anybody any more.", self.name(*host))
            }
            Action::Kill(host) => {
                format!("the supervisor on {} is killed; its host stays up.", self.name(*host))
            }
            Action::Restart(host, disk) => {
                let disk = match disk {
                    DiskAfter::Kept => "with its disk",
                    DiskAfter::Lost => "with an empty disk",
                    DiskAfter::Old => "with an old backup of its disk",
                };
                format!("{} starts again, {disk}.", self.name(*host))
            }
            Action::Pause(host) => format!("{} is frozen: it neither reads nor speaks.", self.name(*host)),
            Action::Resume(host) => {
                format!("{} runs again and knows nothing of the time in between.", self.name(*host))
            }
            Action::Cut { from, to, both: true } => {
                format!("the network breaks between {} and {}.", self.list(from), self.list(to))
            }
            Action::Cut { from, to, both: false } => {
                let send = if from.len() == 1 { "sends" } else { "send" };
                format!("nothing that {} {send} reaches {} any more.", self.list(from), self.list(to))
            }
            Action::Mend { from, to } => {
                format!("the network between {} and {} works again.", self.list(from), self.list(to))
            }
            Action::Heal => String::from("the network works everywhere again."),
            Action::Calm => String::from("every fault ends, and whoever is not banned runs again."),
            Action::SetLink { from, to, quality } => {
                let ends = if from.is_empty() && to.is_empty() {
                    String::from("everywhere")
                } else {
                    format!("from {} to {}", self.list(from), self.list(to))
                };
                format!("links {ends} are now so: {}.", quality_words(quality))
            }
            Action::LoadService { host, service, how } => {
                let led = if how.leader { ", in a group with a leader" } else { "" };
                format!("an operator loads {service} on {}{led}.", self.name(*host))
            }
            Action::UnloadService { host, service } => {
                format!("an operator unloads {service} on {}.", self.name(*host))
            }
            Action::StopService { host, service } => {
                format!("an operator stops {service} on {}.", self.name(*host))
            }
            Action::StartService { host, service } => {
                format!("an operator starts {service} on {}.", self.name(*host))
            }
            Action::Give { host, given } => {
                format!("an operator gives {} {}.", self.name(*host), given.words())
            }
            Action::CrashService { host, service, code } => {
                format!("{service} on {} fails with exit code {code}.", self.name(*host))
            }
            other => self.fault_words(other),
        }
    }

    /// What goes wrong beyond hosts that stop and links that are cut.
    fn fault_words(&self, action: &Action) -> String {
        match action {
            Action::Package { host, service, .. } => {
                format!("the package of {service} on {} is another one.", self.name(*host))
            }
            Action::Balance(balancer) => {
                format!("clients send requests to {} through a load balancer.", balancer.service)
            }
            Action::Burst { from, to, burst } => {
                let ends = self.ends(from, to);
                match burst {
                    Some(Burst { good, bad, loss }) => format!(
                        "losses {ends} come in bursts: {} for about {bad:?}, after about {good:?} without.",
                        share(*loss)
                    ),
                    None => format!("no more bursts of losses {ends}."),
                }
            }
            Action::Capacity { from, to, capacity } => {
                let ends = self.ends(from, to);
                match capacity {
                    Some(Capacity { bytes_per_s, queue_bytes }) => format!(
                        "links {ends} carry {bytes_per_s} bytes in a second and let {queue_bytes} wait."
                    ),
                    None => format!("links {ends} carry whatever comes."),
                }
            }
            Action::Slow { host, delay: Some(Delay { min, max }) } => {
                format!("{} is overloaded: it handles everything {min:?} to {max:?} late.", self.name(*host))
            }
            Action::Slow { host, delay: None } => format!("{} keeps up again.", self.name(*host)),
            Action::ClockRate { host, ppm: 0 } => format!("{}'s clock goes right.", self.name(*host)),
            Action::ClockRate { host, ppm } => {
                let way = if *ppm < 0 { "slow" } else { "fast" };
                let ppm = ppm.unsigned_abs();
                format!("{}'s clock goes {way} by {ppm} parts in a million.", self.name(*host))
            }
            Action::ClockJump { host, by_ms } => {
                let way = if *by_ms < 0 { "back" } else { "forward" };
                let by = Duration::from_millis(by_ms.unsigned_abs());
                format!("{}'s wall clock is set {way} by {by:?}.", self.name(*host))
            }
            Action::Suspend { host, lasting } => {
                format!("{} finds that {lasting:?} have gone by in its sleep.", self.name(*host))
            }
            Action::CrashAtSync(host) => {
                format!("{} will lose power while it next waits for its disk.", self.name(*host))
            }
            Action::CrashLoop { host, times, up, down } => format!(
                "{} will lose power {times} times, each time after {up:?}, for {down:?}.",
                self.name(*host)
            ),
            Action::CloneDisk { host, of } => {
                format!("{} starts from a copy of {}'s disk.", self.name(*host), self.name(*of))
            }
            _ => String::from("something happens that has no words yet."),
        }
    }

    fn ends(&self, from: &[HostId], to: &[HostId]) -> String {
        if from.is_empty() && to.is_empty() {
            String::from("everywhere")
        } else {
            format!("from {} to {}", self.list(from), self.list(to))
        }
    }

    fn list(&self, hosts: &[HostId]) -> String {
        let name = |host: &HostId| self.name(*host);
        match hosts {
            [] => String::from("everybody"),
            [one] => name(one).to_owned(),
            hosts if hosts.len() == self.names.len() && hosts.len() > NAMES_MAX => {
                format!("all {} members", hosts.len())
            }
            [first, .., last] if hosts.len() > NAMES_MAX => {
                format!("{} to {} ({} members)", name(first), name(last), hosts.len())
            }
            [head @ .., last] => {
                let head: Vec<&str> = head.iter().map(name).collect();
                format!("{} and {}", head.join(", "), name(last))
            }
        }
    }
}

fn quality_words(quality: &LinkQuality) -> String {
    let mut text = format!("{:?} to {:?} on the way", quality.latency_min, quality.latency_max);
    for (ratio, what) in
        [(quality.loss, "lost"), (quality.duplicate, "delivered twice"), (quality.reorder, "overtaken")]
    {
        if ratio.numerator > 0 {
            text.push_str(&format!(", {} of the datagrams {what}", share(ratio)));
        }
    }
    text
}

fn share(ratio: Ratio) -> String {
    let hundredths = u64::from(ratio.numerator) * 10_000 / u64::from(ratio.denominator.max(1));
    if hundredths % 100 == 0 {
        format!("{}%", hundredths / 100)
    } else {
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    }
}
