//! Writes a plan as the scenario file that is read as it: a sweep's seed, or a reduced scenario, for people.

use std::fmt::Write as _;

use annulus_core::Timings;

use super::build;
use super::plan::{Expectation, Plan, PlannedHost};
use crate::engine::host::HostId;
use crate::form::text::{Names, instant, quality, time};

/// The text of a scenario file that is read as `plan`. Shares are written with four decimals of a percent at
/// most.
#[must_use]
pub fn to_toml(plan: &Plan) -> String {
    let mut text = String::new();
    let about = plan.about.replace('\\', "\\\\").replace("\"\"\"", "'''");
    let _ = writeln!(text, "about = \"\"\"\n{about}\n\"\"\"\nseed = {}", plan.seed);
    let _ = writeln!(text, "duration = {}", time(plan.duration));
    if plan.skip_impossible {
        text.push_str("impossible = \"skip\"\n");
    }
    let names = Names(plan.hosts.iter().map(|host| host.name.as_str()).collect());
    let out = Out { plan, names };
    out.members(&mut text);
    out.timings(&mut text);
    let _ = writeln!(text, "\n[links]{}", quality(&plan.quality));
    for link in &plan.links {
        let (from, to) = (out.names(&link.from), out.names(&link.to));
        let _ = write!(text, "\n[[link]]\nfrom = {from}\nto = {to}\ndirection = \"out\"");
        let _ = writeln!(text, "{}", quality(&link.quality));
    }
    out.actions(&mut text);
    // The wait of an operator is written beside its action.
    let awaited: Vec<String> = plan.actions.iter().filter_map(build::awaited).map(|e| e.text).collect();
    for expectation in plan.expectations.iter().filter(|expectation| !awaited.contains(&expectation.text)) {
        out.expectation(&mut text, expectation);
    }
    text
}

struct Out<'a> {
    plan: &'a Plan,
    names: Names<'a>,
}

impl Out<'_> {
    fn members(&self, text: &mut String) {
        let hosts = &self.plan.hosts;
        let numbered = hosts.iter().zip(1..).all(|(host, n)| host.name == format!("m{n}"));
        text.push_str("\n[members]\n");
        if numbered && !hosts.is_empty() {
            let _ = writeln!(text, "count = {}", hosts.len());
        } else {
            let names: Vec<String> = hosts.iter().map(|host| format!("{:?}", host.name)).collect();
            let _ = writeln!(text, "names = [{}]", names.join(", "));
        }
        let permanent: Vec<HostId> = self.hosts_where(|host| host.permanent);
        if !permanent.is_empty() {
            let _ = writeln!(text, "permanent = {}", self.names(&permanent));
        }
        if let Some(revision) = self.plan.ring_key {
            let _ = writeln!(text, "ring_key = {revision}");
        }
        let _ = writeln!(text, "start = {}", time(self.plan.start));
        let mut zones: Vec<&str> =
            hosts.iter().map(|host| host.zone.as_str()).filter(|z| !z.is_empty()).collect();
        zones.sort_unstable();
        zones.dedup();
        if !zones.is_empty() {
            text.push_str("\n[zones]\n");
        }
        for zone in zones {
            let _ = writeln!(text, "{zone} = {}", self.names(&self.hosts_where(|host| host.zone == zone)));
        }
        self.peers(text);
    }

    fn hosts_where(&self, holds: impl Fn(&PlannedHost) -> bool) -> Vec<HostId> {
        self.plan.host_ids().filter(|id| self.plan.hosts.get(id.0 as usize).is_some_and(&holds)).collect()
    }

    /// The peers that each member contacts first, where they are not the first member.
    fn peers(&self, text: &mut String) {
        let mut begun = false;
        for (host, id) in self.plan.hosts.iter().zip(self.plan.host_ids()) {
            let usual: &[HostId] = if id == HostId(0) { &[] } else { &[HostId(0)] };
            if host.peers != usual {
                if !std::mem::replace(&mut begun, true) {
                    text.push_str("\n[peers]\n");
                }
                // A member that is given only itself is given no peer.
                let peers = if host.peers.is_empty() { vec![id] } else { host.peers.clone() };
                let _ = writeln!(text, "{} = {}", host.name, self.names(&peers));
            }
        }
    }

    fn timings(&self, text: &mut String) {
        let shipped = [("lan", Timings::lan()), ("wan", Timings::wan()), ("local", Timings::local())];
        let own = options(&self.plan.timings);
        let differing = |base: &Timings| -> Vec<(&'static str, u64)> {
            own.iter().zip(options(base)).filter(|(a, b)| *a != b).map(|(a, _)| *a).collect()
        };
        let nearest =
            shipped.iter().map(|(name, base)| (differing(base), *name)).min_by_key(|(d, _)| d.len());
        if let Some((different, profile)) = nearest {
            let _ = writeln!(text, "\n[timings]\nprofile = \"{profile}\"");
            for (name, value) in different {
                let _ = writeln!(text, "{name} = {value}");
            }
        }
    }

    fn actions(&self, text: &mut String) {
        // Members that start by themselves need no entry, as long as they start at their usual time.
        let explicit: Vec<_> =
            self.plan.actions.iter().filter(|timed| timed.line.is_some()).cloned().collect();
        let by_itself = build::start_joins(&self.plan.hosts, &explicit, self.plan.start);
        for timed in &self.plan.actions {
            if timed.line.is_none() && by_itself.contains(timed) {
                continue;
            }
            let _ = write!(text, "\n[[at]]\ntime = {}", instant(timed.time));
            let _ = writeln!(text, "{}", timed.action.write(&self.names));
            if let Some(refused) = timed.refused {
                let _ = writeln!(text, "refused = {:?}", refused.word());
            }
        }
    }

    fn names(&self, hosts: &[HostId]) -> String {
        self.names.list(hosts)
    }

    fn expectation(&self, text: &mut String, Expectation { when, what, .. }: &Expectation) {
        let _ = writeln!(text, "\n[[expect]]\n{}\n{}", when.write(&self.names), what.write(&self.names));
    }
}

/// Every option of the timings by its name.
fn options(timings: &Timings) -> Vec<(&'static str, u64)> {
    macro_rules! list {
        ($($name:ident),+ $(,)?) => {{
            // Taken apart by name, so that the compiler asks for an option that is new in the core.
            let Timings { $($name),+ } = timings.clone();
            vec![$((stringify!($name), u64::from($name))),+]
        }};
    }
    list!(
        probe_period_ms,
        probe_timeout_ms,
        probe_verdict_ms,
        indirect_probes,
        suspicion_timeout_ms_min,
        suspicion_max_factor,
        suspicion_confirmations,
        corroborators,
        local_health_max,
        gossip_period_ms,
        gossip_fanout,
        retransmit_factor,
        datagram_bytes_max,
        sync_period_ms,
        sync_period_ms_min,
        reconnect_period_ms,
        departed_after_ms,
        forget_after_ms,
        leave_delay_ms,
        persist_period_ms,
        stall_ms,
        restart_backoff_ms_min,
        restart_backoff_ms_max,
        restart_cooldown_ms,
        restart_failures_max,
        lease_ms,
        lease_renew_ms,
        lease_margin_ms,
        election_window_ms,
        election_answer_ms,
        election_backoff_ms_max,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn same(plan: &Plan) {
        let text = to_toml(plan);
        let again =
            super::super::parse("again", &text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        let essence = |plan: &Plan| {
            let actions: Vec<_> =
                plan.actions.iter().map(|timed| (timed.time, timed.action.clone(), timed.refused)).collect();
            let expectations: Vec<_> =
                plan.expectations.iter().map(|e| format!("{:?} {:?}", e.when, e.what)).collect();
            let network = (plan.quality, plan.links.clone());
            let rest =
                (plan.seed, plan.duration, (plan.skip_impossible, plan.ring_key), plan.timings.clone());
            (plan.hosts.clone(), network, rest, actions, expectations)
        };
        assert_eq!(essence(plan), essence(&again), "{text}");
    }

    #[test]
    fn a_written_plan_is_read_as_the_same_plan() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        let mut plans = 0;
        for sub in fs::read_dir(folder).expect("scenarios").flatten().filter(|e| e.file_name() != "plans") {
            for file in fs::read_dir(sub.path()).into_iter().flatten().flatten() {
                same(&Plan::load(&file.path()).expect("it is shipped"));
                plans += 1;
            }
        }
        assert!(plans > 20);
    }
}
