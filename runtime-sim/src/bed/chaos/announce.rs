//! Watches a peer while a service is stopped in order: the ring has to hear that the service takes no more work before its
//! process is asked to end. What counts is what the peer believes, and when the process heard.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::line::{Boot, boot};
use super::plans::Service;
use super::run::Run;
use crate::bed::Place;
use crate::bed::observe;

const SECOND: Boot = 1_000_000_000;
/// Between two looks at the peer, and how long it is looked at.
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(6);
/// A stop is judged so long after it began: its process was asked to end by then.
const JUDGED: Boot = 8 * SECOND;
/// A supervisor tells the ring for so long at most, and then asks the process all the same.
const TOLD_MAX: Boot = SECOND;
/// The error of the measurement: the peer is asked every 5 ms, and on a busy machine its answer takes longer than the signal.
const MEASURED: Boot = SECOND / 20;
/// Faults that ended so long before the stop have no effect on it.
const AFTERMATH: Boot = 4 * SECOND;

/// A stop under way.
pub(crate) struct Announcement {
    host: usize,
    peer: usize,
    service: &'static Service,
    began: Boot,
    /// When the peer first believed that the service takes no work.
    told: Receiver<Boot>,
}

impl Run {
    /// A service is about to be stopped in order.
    pub(crate) fn watch_announcement(&mut self, host: usize, service: &'static Service) {
        let peer = (host + 1) % self.ring.hosts.len();
        if !self.is_up(peer) || !self.runs(host, service.name) {
            return;
        }
        let place = self.ring.hosts[peer].settings.place.clone();
        let (member, group) = (self.ring.hosts[host].member.clone(), format!("{}.default", service.name));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let begin = Instant::now();
            let mut accepted = false;
            while begin.elapsed() < PATIENCE {
                match accepts(&place, &group, &member) {
                    Some(true) => accepted = true,
                    Some(false) if accepted => {
                        // The run may have ended meanwhile.
                        let _ = tell.send(boot());
                        return;
                    }
                    Some(false) | None => {}
                }
                thread::sleep(LOOK);
            }
        });
        self.announcements.push(Announcement { host, peer, service, began: boot(), told });
    }

    /// Judges the stops that began long enough ago.
    pub(crate) fn look_at_announcements(&mut self) {
        let now = boot();
        let due: Vec<Announcement> =
            self.announcements.extract_if(.., |stop| stop.began + JUDGED <= now).collect();
        for stop in due {
            let is_hit = self.struck.iter().any(|struck| {
                let is_near = struck.until + AFTERMATH > stop.began && struck.at < stop.began + 4 * SECOND;
                let is_other = struck.fault.is_about_service() && struck.service != stop.service.name;
                let is_own = struck.fault.is_about_service()
                    && struck.host == stop.host
                    && struck.at.abs_diff(stop.began) < SECOND / 2;
                is_near && !is_other && !is_own
            });
            let name = self.ring.hosts[stop.host].name.clone();
            let asked = self.judge.asked_since(&name, stop.service.name, stop.began);
            let (Some(asked), Ok(told), false) = (asked, stop.told.try_recv(), is_hit) else {
                self.announced[1] += 1;
                continue;
            };
            if told > asked + MEASURED && asked < stop.began + TOLD_MAX {
                let text = format!(
                    "{} on {name} was asked to end {:.0} ms before {} knew that it takes no more work",
                    stop.service.name,
                    (told - asked) as f64 / 1e6,
                    self.ring.hosts[stop.peer].name
                );
                let key = format!("{name} {} {}", stop.service.name, stop.began);
                self.watch.told_late(&key, stop.began, text);
            } else {
                self.announced[0] += 1;
            }
        }
    }
}

/// Whether a supervisor believes that a member's service takes work; none when it does not answer.
fn accepts(place: &Place, group: &str, member: &str) -> Option<bool> {
    let ring: Value = serde_json::from_str(&observe::get(place, "/butterfly").ok()?).ok()?;
    Some(ring["services"][group][member]["accepting"].as_bool().unwrap_or(false))
}
