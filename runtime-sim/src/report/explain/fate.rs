//! The fate of a packet, and the fault that is to blame, in words.

use super::load::{Act, Nanos, Packet, Trace};
use crate::engine::record::DropReason;

/// A packet that took longer waited for a receiver that did not read.
const LATE: Nanos = 1_000_000_000;

/// Seconds with three decimals.
pub(super) fn time(t: Nanos) -> String {
    format!("{}.{:03}s", t / 1_000_000_000, t / 1_000_000 % 1_000)
}

/// A fate in words, and the place in the trace's list of actions of the fault that led to it.
#[derive(Debug)]
pub(super) struct Fate {
    pub words: String,
    pub fault: Option<usize>,
}

impl Trace {
    /// Why a packet did not arrive in time; none when it did.
    pub(super) fn trouble(&self, packet: &Packet) -> Option<Fate> {
        let to = packet.to.as_deref().unwrap_or("no host");
        if let Some((read, _, _)) = packet.read {
            let fault = self.last(packet.t, |act| act.name == "pause" && act.to.iter().any(|h| h == to));
            return (read > packet.t + LATE).then(|| match fault {
                Some((index, act)) => Fate {
                    words: format!(
                        "{to} was frozen since {} and read it only at {}",
                        time(act.t),
                        time(read)
                    ),
                    fault: Some(index),
                },
                None => self.held_up(packet, to, read),
            });
        }
        let Some((_, why)) = &packet.dropped else {
            let frozen = self.frozen(to, self.end);
            let words = match frozen {
                Some((_, act)) => format!("{to} was frozen at {} and never read it", time(act.t)),
                None => String::from("no answer came"),
            };
            return Some(Fate { words, fault: frozen.map(|(index, _)| index) });
        };
        Some(self.lost(packet, to, *why))
    }

    /// A stream that got through only after its segments had been sent again and again.
    fn held_up(&self, packet: &Packet, to: &str, read: Nanos) -> Fate {
        let cut = self.cut(&packet.from, to, packet.t).map(|cut| (cut, packet.from.as_str(), to));
        let cut =
            cut.or_else(|| self.cut(to, &packet.from, packet.t).map(|cut| (cut, to, packet.from.as_str())));
        match cut {
            Some(((index, act), from, to)) => Fate {
                words: format!(
                    "held up until {}, because nothing passed from {from} to {to} since {}",
                    time(read),
                    time(act.t)
                ),
                fault: Some(index),
            },
            None => Fate { words: format!("it arrived only at {}", time(read)), fault: None },
        }
    }

    fn lost(&self, packet: &Packet, to: &str, why: DropReason) -> Fate {
        let concerns = |act: &Act| act.to.iter().any(|host| host == to);
        let (fault, words) = match why {
            DropReason::Cut => {
                let cut = self.cut(&packet.from, to, packet.dropped.as_ref().map_or(packet.t, |d| d.0));
                let since = cut.map_or_else(String::new, |(_, act)| format!(" since {}", time(act.t)));
                (cut, format!("cut: nothing passes from {} to {to}{since}", packet.from))
            }
            DropReason::HostDown => match self.last(packet.t.max(self.drop_time(packet)), |act| {
                matches!(act.name.as_str(), "crash" | "join") && concerns(act)
            }) {
                Some((index, act)) if act.name == "crash" => {
                    (Some((index, act)), format!("{to}'s host is off since {}", time(act.t)))
                }
                _ => (None, format!("{to} has not started yet")),
            },
            DropReason::Refused => {
                let fault = self.last(self.drop_time(packet), |act| {
                    matches!(act.name.as_str(), "kill" | "leave" | "depart") && concerns(act)
                });
                (fault, format!("refused: {to}'s host is up, but no supervisor runs there"))
            }
            DropReason::UnknownKey => {
                (None, format!("not heard: {to}'s host does not have the key that it was sealed with"))
            }
            DropReason::Loss => {
                let fault = self.last(packet.t, |act| act.name == "set-link" && links(act, &packet.from, to));
                let share = fault.and_then(|(_, act)| act.loss).filter(|(n, _)| *n > 0);
                let words = match (share, fault) {
                    (Some((n, of)), Some((_, act))) => format!(
                        "lost on the way: this link loses {}% of its packets since {}",
                        u64::from(n) * 100 / u64::from(of.max(1)),
                        time(act.t)
                    ),
                    _ => String::from("lost on the way, by chance"),
                };
                (fault.filter(|_| share.is_some()), words)
            }
            DropReason::Overflow => {
                (self.frozen(to, packet.t), format!("{to} was frozen and its buffer full"))
            }
            DropReason::Reset => {
                (None, format!("{to}'s supervisor had restarted and knew nothing of the connection"))
            }
            DropReason::SenderDown => (None, format!("{} ended before it could be sent", packet.from)),
            DropReason::NoRoute => (None, String::from("no host has that address")),
            DropReason::LinkFull => (None, String::from("dropped: the link's queue was full")),
        };
        Fate { words, fault: fault.map(|(index, _)| index) }
    }

    fn drop_time(&self, packet: &Packet) -> Nanos {
        packet.dropped.as_ref().map_or(packet.t, |(t, _)| *t)
    }

    /// The last action until `t` that fits.
    pub(super) fn last(&self, t: Nanos, fits: impl Fn(&Act) -> bool) -> Option<(usize, &Act)> {
        self.acts.iter().enumerate().rev().find(|(_, act)| act.t <= t && fits(act))
    }

    /// The cut that stops packets from one host to another at `t`.
    pub(super) fn cut(&self, from: &str, to: &str, t: Nanos) -> Option<(usize, &Act)> {
        let has = |hosts: &[String], host: &str| hosts.iter().any(|h| h == host);
        let one_way = |act: &Act, from: &str, to: &str| has(&act.from, from) && has(&act.to, to);
        let last = self.last(t, |act| match act.name.as_str() {
            "heal" | "calm" => true,
            "mend" => one_way(act, from, to) || one_way(act, to, from),
            "cut" => one_way(act, from, to) || act.both && one_way(act, to, from),
            _ => false,
        })?;
        (last.1.name == "cut").then_some(last)
    }

    /// The action that froze a host, if it does not run at `t`.
    pub(super) fn frozen(&self, host: &str, t: Nanos) -> Option<(usize, &Act)> {
        let concerns = |act: &Act| act.to.iter().any(|h| h == host);
        let last = self.last(t, |act| {
            act.name == "calm"
                || matches!(act.name.as_str(), "pause" | "resume" | "crash" | "kill" | "restart")
                    && concerns(act)
        })?;
        (last.1.name == "pause").then_some(last)
    }

    /// Since when and why no supervisor runs on a host at `t`.
    pub(super) fn down(&self, host: &str, t: Nanos) -> Option<(Nanos, &'static str)> {
        let stop = self.stops.iter().rev().find(|(at, h, _)| *at <= t && h == host)?;
        let started_since = self.starts.iter().any(|(at, h, _)| *at <= t && *at >= stop.0 && h == host);
        (!started_since).then_some((stop.0, stop.2.name()))
    }
}

/// Whether a change of links concerns this one; no names mean all hosts.
fn links(act: &Act, from: &str, to: &str) -> bool {
    let has = |hosts: &[String], host: &str| hosts.is_empty() || hosts.iter().any(|h| h == host);
    has(&act.from, from) && has(&act.to, to)
}
