//! `/metrics`: OpenMetrics text out of a registry of this program's own. Label values are words of closed sets, except
//! the services of this supervisor and the ring's keys that open here, whose numbers are limited; so the number of series is bounded.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use annulus_core::{
    Event, EventKind, Health, MessageCounts, Metrics, Node, Obstacle, ObstacleKind, RingKeyId, RumorKind,
    ServiceGroup, ServiceState, ServiceView, State as MemberState, UnixTime,
};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Gateway;
use super::problem::Problem;
use super::process::{self, Usage};
use crate::invite::Outcome;
use crate::net::{Unreadable, Way};
use crate::supervisor::obstacles;

/// The part of the node that is copied out for one scrape.
#[derive(Debug)]
struct Snapshot {
    metrics: Metrics,
    incarnation: u64,
    local_health: u32,
    has_copy: bool,
    members: [u64; 4],
    rumors: BTreeMap<&'static str, u64>,
    services: Vec<ServiceView>,
    speaks: RingKeyId,
}

fn look(node: &Node) -> Snapshot {
    let members = node.members();
    let mut rumors: BTreeMap<_, _> = RumorKind::ALL.map(|kind| (kind.name(), 0)).into();
    rumors.insert(RumorKind::Member.name(), members.len() as u64);
    for rumor in node.rumors() {
        *rumors.entry(rumor.key().kind().name()).or_default() += 1;
    }
    Snapshot {
        metrics: node.metrics().clone(),
        incarnation: node.incarnation().0,
        local_health: node.local_health(),
        has_copy: node.copy_of_me().is_some(),
        members: MemberState::ALL
            .map(|state| members.iter().filter(|member| member.state == state).count() as u64),
        rumors,
        services: node.services(),
        speaks: node.speaks_with(),
    }
}

/// Counters that events advance, because only events tell of every change.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    state_changes: Family<Vec<(&'static str, &'static str)>, Counter>,
    service_exits: Family<Vec<(&'static str, &'static str)>, Counter>,
    persist_failures: Counter,
    events: Counter,
}

impl Counters {
    pub(super) fn count(&self, event: &Event) {
        self.events.inc();
        match &event.kind {
            EventKind::MemberChanged { from, to, .. } if *from != Some(*to) => {
                let from = from.map_or("unknown", label);
                self.state_changes.get_or_create(&vec![("from", from), ("to", label(*to))]).inc();
            }
            EventKind::ServiceChanged { to: Some(ServiceState::Backoff), from, .. } => {
                let from = from.map_or("none", ServiceState::name);
                self.service_exits.get_or_create(&vec![("from", from)]).inc();
            }
            EventKind::PersistFailed { .. } => {
                self.persist_failures.inc();
            }
            _ => {}
        }
    }
}

const fn label(state: MemberState) -> &'static str {
    match state {
        MemberState::Alive => "alive",
        MemberState::Suspect => "suspect",
        MemberState::Confirmed => "confirmed",
        MemberState::Departed => "departed",
    }
}

/// The registry, and the values that it encodes.
pub(super) struct Registry {
    registry: prometheus_client::registry::Registry,
    counters: Counters,
    scrape: Arc<Mutex<Option<Scrape>>>,
    started: UnixTime,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Scrape {
    node: Snapshot,
    /// What stands in the way of each service.
    obstacles: Vec<(ServiceGroup, Vec<Obstacle>)>,
    usage: Usage,
    started: UnixTime,
    events_missed: u64,
    rejected: BTreeMap<(Unreadable, Way), u64>,
    heard_in_the_clear: u64,
    opened: Vec<(RingKeyId, u64)>,
    invitations: Option<(BTreeMap<Outcome, u64>, usize)>,
}

impl Registry {
    pub(super) fn new(started: UnixTime) -> Self {
        let mut registry = prometheus_client::registry::Registry::default();
        let counters = Counters::default();
        registry.register(
            "ring_state_changes",
            "Changes of members' states in this supervisor's view",
            counters.state_changes.clone(),
        );
        registry.register(
            "sup_service_failures",
            "Times a service ended or could not start and waits for its next try",
            counters.service_exits.clone(),
        );
        registry.register(
            "sup_persist_failures",
            "Times state could not be stored",
            counters.persist_failures.clone(),
        );
        registry.register("sup_events", "Events of this supervisor", counters.events.clone());
        let scrape = Arc::new(Mutex::new(None));
        registry.register_collector(Box::new(Live(Arc::clone(&scrape))));
        Self { registry, counters, scrape, started }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    fn encode(&self, scrape: Scrape) -> Result<String, fmt::Error> {
        *self.scrape.lock().unwrap_or_else(PoisonError::into_inner) = Some(scrape);
        let mut body = String::new();
        text::encode(&mut body, &self.registry)?;
        Ok(body)
    }
}

pub(super) async fn get(State(gateway): State<Arc<Gateway>>) -> Result<impl IntoResponse, Problem> {
    let node = gateway.read(look).await?;
    let registry = &gateway.metrics;
    let events_missed = gateway.history.missed();
    let problems = gateway.config.specs.problems();
    let of = |view| obstacles::of(view, &problems);
    let obstacles = node.services.iter().map(|view| (view.group.clone(), of(view))).collect();
    let scrape = Scrape {
        node,
        obstacles,
        usage: process::usage(),
        started: registry.started,
        events_missed,
        rejected: gateway.config.keyed.rejected.totals(),
        opened: gateway.config.keyed.keeper.as_ref().map(|all| all.held().opened()).unwrap_or_default(),
        heard_in_the_clear: gateway.config.keyed.rejected.heard_in_the_clear(),
        invitations: gateway.config.keyed.invitations.as_ref().map(|all| (all.totals(), all.open_count())),
    };
    let body = registry.encode(scrape).map_err(|_| {
        Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written as text",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], body))
}

/// Encodes the values that were copied out of the node just before.
#[derive(Debug)]
struct Live(Arc<Mutex<Option<Scrape>>>);

impl Collector for Live {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let scrape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(scrape) = scrape.as_ref() else { return Ok(()) };
        let mut out = Out(encoder);
        ring(&mut out, &scrape.node)?;
        traffic(&mut out, &scrape.node.metrics)?;
        rejected(&mut out, &scrape.rejected, scrape.heard_in_the_clear)?;
        if !scrape.opened.is_empty() {
            keys(&mut out, &scrape.opened, scrape.node.speaks)?;
        }
        if let Some((totals, open)) = &scrape.invitations {
            invited(&mut out, totals, *open)?;
        }
        services(&mut out, &scrape.node.services)?;
        in_the_way(&mut out, &scrape.obstacles)?;
        supervisor(&mut out, scrape)
    }
}

struct Out<'a>(DescriptorEncoder<'a>);

type Labels<'a> = &'a [(&'static str, &'a str)];

impl Out<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = ConstCounter::new(value);
        metric.encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = ConstGauge::new(value);
        metric.encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counters(&mut self, name: &str, help: &str, values: &[(Labels<'_>, u64)]) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(*value).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn gauges(&mut self, name: &str, help: &str, values: &[(Labels<'_>, u64)]) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX))
                .encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

fn ring(out: &mut Out<'_>, node: &Snapshot) -> fmt::Result {
    let labels = MemberState::ALL.map(|state| [("state", label(state))]);
    let members: Vec<(Labels<'_>, u64)> = labels.iter().map(|l| &l[..]).zip(node.members).collect();
    out.gauges("ring_members", "Members of the ring by state, this one included", &members)?;
    let labels: Vec<_> = node.rumors.iter().map(|(kind, count)| ([("kind", *kind)], *count)).collect();
    let rumors: Vec<(Labels<'_>, u64)> = labels.iter().map(|(l, n)| (&l[..], *n)).collect();
    out.gauges("ring_rumors", "Rumors kept, by kind", &rumors)?;
    out.gauge("ring_incarnation", "This member's incarnation", node.incarnation as f64)?;
    out.gauge(
        "ring_local_health_score",
        "Lifeguard's local health score; 0 is healthy",
        f64::from(node.local_health),
    )?;
    out.gauge(
        "ring_identity_copied",
        "1 while a second supervisor runs with a copy of this one's identity",
        f64::from(u8::from(node.has_copy)),
    )?;
    let m = &node.metrics;
    out.counters(
        "ring_probes",
        "Probes by outcome",
        &[
            (&[("result", "answered")], m.probes.saturating_sub(m.probes_failed)),
            (&[("result", "failed")], m.probes_failed),
        ],
    )?;
    out.counter("ring_suspicions", "Members that this one came to suspect", m.suspicions)?;
    out.counter("ring_confirmations", "Members that this one confirmed dead", m.confirmations)?;
    out.counter("ring_refutations", "Times this member refuted an accusation", m.refutations)?;
    out.counters(
        "ring_rumors_applied",
        "Rumors received, by outcome",
        &[(&[("outcome", "accepted")], m.rumors_accepted), (&[("outcome", "known")], m.rumors_ignored)],
    )?;
    out.counter("ring_syncs", "Digest exchanges begun", m.syncs)?;
    out.counter("ring_sync_records_learned", "Records learned in digest exchanges", m.sync_records_learned)?;
    out.counter("ring_reconnects", "Tries to reach lost members or peers", m.reconnects)?;
    out.counter("ring_limits_reached", "Times a limit made this member drop something", m.limits_reached)
}

fn traffic(out: &mut Out<'_>, m: &Metrics) -> fmt::Result {
    let kinds = |counts: &MessageCounts| {
        [
            ("ping", counts.ping),
            ("ack", counts.ack),
            ("ping_req", counts.ping_req),
            ("nack", counts.nack),
            ("gossip", counts.gossip),
            ("ballot", counts.ballot),
            ("challenge", counts.challenge),
            ("answer", counts.answer),
            ("unknown", counts.unknown),
        ]
    };
    let mut rows = Vec::new();
    for (dir, counts) in [("sent", &m.datagrams_sent), ("received", &m.datagrams_received)] {
        rows.extend(
            kinds(counts).map(|(kind, n)| ([("plane", "datagram"), ("dir", dir), ("type", kind)], n)),
        );
    }
    rows.push(([("plane", "stream"), ("dir", "sent"), ("type", "any")], m.streams_sent));
    rows.push(([("plane", "stream"), ("dir", "received"), ("type", "any")], m.streams_received));
    let rows: Vec<(Labels<'_>, u64)> = rows.iter().map(|(l, n)| (&l[..], *n)).collect();
    out.counters("ring_messages", "Messages by way, direction and type", &rows)?;
    out.counters(
        "ring_bytes",
        "Bytes of messages by way and direction",
        &[
            (&[("plane", "datagram"), ("dir", "sent")], m.datagram_bytes_sent),
            (&[("plane", "datagram"), ("dir", "received")], m.datagram_bytes_received),
            (&[("plane", "stream"), ("dir", "sent")], m.stream_bytes_sent),
            (&[("plane", "stream"), ("dir", "received")], m.stream_bytes_received),
        ],
    )?;
    out.counter("ring_decode_errors", "Messages that a decoder rejected", m.decode_errors)?;
    out.counter(
        "ring_statements_refused",
        "Statements that were not believed, because their authors' word was missing or false",
        m.statements_refused,
    )?;
    out.counter("ring_signatures_checked", "Signatures that were checked", m.signatures_checked)?;
    out.counter("ring_replays_dropped", "Sealed messages that came a second time", m.replays_dropped)?;
    out.counter(
        "ring_stamps_refused",
        "Sealed messages that were dropped for another fault of their numbers",
        m.stamps_refused,
    )?;
    out.counter(
        "ring_senders_proved",
        "Answers by which members proved that they speak now",
        m.senders_proved,
    )?;
    out.counter("ring_parts_skipped", "Unreadable parts of messages that were accepted", m.parts_skipped)
}

fn invited(out: &mut Out<'_>, totals: &BTreeMap<Outcome, u64>, open: usize) -> fmt::Result {
    let count = |outcome| totals.get(&outcome).copied().unwrap_or_default();
    let rows = Outcome::ALL.map(|outcome| ([("outcome", outcome.name())], count(outcome)));
    let rows: Vec<(Labels<'_>, u64)> = rows.iter().map(|(labels, count)| (&labels[..], *count)).collect();
    out.counters("ring_invitation_answers", "Hosts that came by an invitation, or with what is none", &rows)?;
    let open = f64::from(u32::try_from(open).unwrap_or(u32::MAX));
    out.gauge("ring_invitations_open", "Invitations that wait for a new host", open)
}

/// The keys of the ring that open, a handful, and what each of them opened.
fn keys(out: &mut Out<'_>, opened: &[(RingKeyId, u64)], speaks: RingKeyId) -> fmt::Result {
    let state = |key: &RingKeyId| match key.cmp(&speaks) {
        Ordering::Less => "retired",
        Ordering::Equal => "current",
        Ordering::Greater => "new",
    };
    let rows: Vec<(String, &str, u64)> =
        opened.iter().map(|(key, count)| (key.to_string(), state(key), *count)).collect();
    let counts: Vec<_> = rows.iter().map(|(key, _, count)| ([("revision", key.as_str())], *count)).collect();
    let counts: Vec<(Labels<'_>, u64)> = counts.iter().map(|(l, n)| (&l[..], *n)).collect();
    out.counters("ring_messages_opened", "Messages of the ring by the key that opened them", &counts)?;
    let states: Vec<_> =
        rows.iter().map(|(key, state, _)| [("revision", key.as_str()), ("state", *state)]).collect();
    let states: Vec<(Labels<'_>, u64)> = states.iter().map(|l| (&l[..], 1)).collect();
    out.gauges("ring_keys", "1 for each key of the ring that opens messages here, and what it is", &states)
}

fn rejected(
    out: &mut Out<'_>,
    totals: &BTreeMap<(Unreadable, Way), u64>,
    heard_in_the_clear: u64,
) -> fmt::Result {
    let ways = |why: Unreadable| {
        Way::ALL.map(|way| {
            let count = totals.get(&(why, way)).copied().unwrap_or_default();
            (why.name().replace(' ', "_"), way.name(), count)
        })
    };
    let rows: Vec<_> = Unreadable::ALL.into_iter().flat_map(ways).collect();
    let rows: Vec<_> =
        rows.iter().map(|(why, way, n)| ([("reason", why.as_str()), ("way", *way)], *n)).collect();
    let rows: Vec<(Labels<'_>, u64)> = rows.iter().map(|(l, n)| (&l[..], *n)).collect();
    out.counters("ring_rejected", "Messages that were not heard because of the key of the ring", &rows)?;
    out.counter(
        "ring_heard_in_the_clear",
        "Messages in the clear that were heard in a ring with a key, as --ring-accept clear allows",
        heard_in_the_clear,
    )
}

fn services(out: &mut Out<'_>, services: &[ServiceView]) -> fmt::Result {
    let mut states = Vec::new();
    let mut healths = Vec::new();
    let mut restarts = Vec::new();
    let mut accepting = Vec::new();
    for view in services {
        let (service, group) = (view.group.service(), view.group.group());
        for state in ServiceState::ALL {
            let labels = [("service", service), ("group", group), ("state", state.name())];
            states.push((labels, u64::from(view.state == *state)));
        }
        for health in Health::ALL {
            let labels = [("service", service), ("group", group), ("health", health.name())];
            healths.push((labels, u64::from(view.health == *health)));
        }
        let labels = [("service", service), ("group", group)];
        restarts.push((labels, u64::from(view.restarts)));
        accepting.push((labels, u64::from(view.accepting)));
    }
    let states: Vec<(Labels<'_>, u64)> = states.iter().map(|(l, n)| (&l[..], *n)).collect();
    out.gauges("sup_service_state", "1 for the state that a service is in", &states)?;
    let healths: Vec<(Labels<'_>, u64)> = healths.iter().map(|(l, n)| (&l[..], *n)).collect();
    out.gauges("sup_service_health", "1 for the health that a service has", &healths)?;
    let accepting: Vec<(Labels<'_>, u64)> = accepting.iter().map(|(l, n)| (&l[..], *n)).collect();
    out.gauges("sup_service_accepting", "1 for a service that takes work", &accepting)?;
    // The number starts at zero again when an operator starts the service, so it is a gauge.
    let restarts: Vec<(Labels<'_>, u64)> = restarts.iter().map(|(l, n)| (&l[..], *n)).collect();
    out.gauges("sup_service_restarts", "Restarts since the service was loaded or started", &restarts)
}

fn in_the_way(out: &mut Out<'_>, services: &[(ServiceGroup, Vec<Obstacle>)]) -> fmt::Result {
    let mut rows = Vec::new();
    for (group, obstacles) in services {
        for kind in ObstacleKind::ALL {
            let count = obstacles.iter().filter(|obstacle| obstacle.kind == *kind).count() as u64;
            let labels = [("service", group.service()), ("group", group.group()), ("kind", kind.name())];
            rows.push((labels, count));
        }
    }
    let rows: Vec<(Labels<'_>, u64)> = rows.iter().map(|(l, n)| (&l[..], *n)).collect();
    let help = "Things that stand between what is wanted of a service and what runs, by kind; 0 where there are none";
    out.gauges("sup_service_obstacles", help, &rows)
}

fn supervisor(out: &mut Out<'_>, scrape: &Scrape) -> fmt::Result {
    out.gauges("build_info", "What runs", &[(&[("version", env!("CARGO_PKG_VERSION"))], 1)])?;
    out.counter(
        "sup_stalls",
        "Times this process was found not to have been running",
        scrape.node.metrics.stalls,
    )?;
    out.counter("sup_events_missed", "Events that came too fast for /events", scrape.events_missed)?;
    out.gauge("process_resident_memory_bytes", "Resident memory", scrape.usage.resident_bytes as f64)?;
    out.gauge("process_open_fds", "Open file descriptors", scrape.usage.open_fds as f64)?;
    let started_s = scrape.started.as_millis() as f64 / 1000.0;
    out.gauge("process_start_time_seconds", "When the supervisor started, seconds since 1970", started_s)?;
    let cpu = ConstCounter::new(scrape.usage.cpu_seconds);
    cpu.encode(out.0.encode_descriptor("process_cpu_seconds", "CPU time used", None, MetricType::Counter)?)
}
