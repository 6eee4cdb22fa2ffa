//! Load balancers: what each one believes of its hosts, the requests that it sends, and the requests that are lost. A
//! balancer asks supervisors and looks at processes; it never changes a service.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{Instant, ServiceName};

use crate::engine::deed::Deed;
use crate::engine::lifecycle::WorldError;
use crate::engine::package::Balancer;
use crate::engine::world::{Thing, World};

/// How long a service works on a request.
const REQUEST: Duration = Duration::from_millis(30);

/// A step of a balancer that waits in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// It looks at its hosts.
    Look(usize),
    /// It sends a request.
    Send(usize),
    /// A process has finished a request.
    Answer { balancer: usize, host: u32, pid: u32 },
}

/// A balancer at work.
#[derive(Debug)]
pub(crate) struct Working {
    plan: Balancer,
    service: ServiceName,
    /// Which hosts get requests.
    believed: Vec<bool>,
    sent: u64,
    lost: u64,
    /// Requests under way, by host.
    inflight: BTreeMap<u32, u64>,
}

impl<D: Deed> World<D> {
    pub(crate) fn add_balancer(&mut self, plan: Balancer) -> Result<(), WorldError> {
        let service = crate::engine::process::name(&plan.service)?;
        let believed = vec![false; plan.hosts.len()];
        let index = self.balancers.len();
        self.balancers.push(Working { plan, service, believed, sent: 0, lost: 0, inflight: BTreeMap::new() });
        self.balance_goes_on(Step::Look(index));
        self.balance_goes_on(Step::Send(index));
        Ok(())
    }

    /// Requests that were sent, and those of them that were lost.
    #[must_use]
    pub fn requests(&self) -> (u64, u64) {
        self.balancers.iter().fold((0, 0), |(sent, lost), b| (sent + b.sent, lost + b.lost))
    }

    /// Requests that a service on a host works on; none where no balancer sends any.
    pub(crate) fn inflight(&self, host: u32, service: &ServiceName) -> u64 {
        let of = self.balancers.iter().filter(|b| b.service == *service);
        of.filter_map(|b| b.inflight.get(&host)).sum()
    }

    pub(crate) fn balance_goes_on(&mut self, step: Step) {
        match step {
            Step::Look(index) => self.look(index),
            Step::Send(index) => self.send_request(index),
            Step::Answer { balancer, host, pid } => self.finish_request(balancer, host, pid),
        }
    }

    fn balance_later(&mut self, after: Duration, step: Step) {
        let at: Instant = self.now + after;
        self.queue.push(at, Thing::Balance(step));
    }

    /// A supervisor that does not answer says nothing new, so the balancer keeps its belief; it sends nothing to a
    /// process that is gone.
    fn look(&mut self, index: usize) {
        let balancer = &self.balancers[index];
        let (service, check) = (balancer.service.clone(), balancer.plan.check);
        for place in 0..balancer.plan.hosts.len() {
            let balancer = &self.balancers[index];
            let host = &self.hosts[balancer.plan.hosts[place].0 as usize];
            let runs = host.rest.guards.get(&service).is_some();
            let views = host.node.as_ref().map(|node| node.services());
            let says = views.map(|views| views.iter().any(|v| v.spec.name() == service && v.accepting));
            let believed = runs && says.unwrap_or(balancer.believed[place]);
            self.balancers[index].believed[place] = believed;
        }
        self.balance_later(check, Step::Look(index));
    }

    fn send_request(&mut self, index: usize) {
        let balancer = &mut self.balancers[index];
        let believed: Vec<usize> =
            balancer.believed.iter().enumerate().filter(|(_, b)| **b).map(|(i, _)| i).collect();
        // Before a host was seen to take work the balancer has no target, and no client waits yet.
        if balancer.sent > 0 || !believed.is_empty() {
            let turn = usize::try_from(balancer.sent).unwrap_or(0).checked_rem(believed.len());
            balancer.sent += 1;
            let host = turn.and_then(|turn| believed.get(turn)).map(|place| balancer.plan.hosts[*place].0);
            let service = balancer.service.clone();
            let process =
                host.and_then(|host| Some((host, self.hosts[host as usize].rest.guards.get(&service)?.pid)));
            match process {
                Some((host, pid)) => {
                    *self.balancers[index].inflight.entry(host).or_default() += 1;
                    self.balance_later(REQUEST, Step::Answer { balancer: index, host, pid });
                }
                None => self.balancers[index].lost += 1,
            }
        }
        let every = self.balancers[index].plan.every;
        self.balance_later(every, Step::Send(index));
    }

    fn finish_request(&mut self, index: usize, host: u32, pid: u32) {
        let service = self.balancers[index].service.clone();
        let lives = self.hosts[host as usize].rest.guards.has(&service, pid);
        let balancer = &mut self.balancers[index];
        balancer.lost += u64::from(!lives);
        if let Some(count) = balancer.inflight.get_mut(&host) {
            *count = count.saturating_sub(1);
        }
    }
}
