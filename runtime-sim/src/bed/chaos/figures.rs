//! Time without a leader for each kind of fault, on a ring where nothing else is wrong: measured between the lines of
//! witnesses, for each form of service.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use super::line::{Boot, boot};
use super::plans::{SERVICES, Service};
use super::process::{self, Part};
use super::report::Times;
use super::run::Run;
use super::{Ended, Options, evidence};
use crate::bed::BedError;
use crate::exit::Exit;

const MILLI: Boot = 1_000_000;
/// The ring is left alone for so long before each fault, with a leader in every group.
const QUIET: Boot = 1_500 * MILLI;
/// Groups are struck one after the other, so that the work of one does not delay another.
const APART: Boot = 700 * MILLI;
/// A ring that does not come to rest.
const PATIENCE: Boot = 60_000 * MILLI;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    SupervisorKilled,
    SupervisorRestarted,
    ServiceKilled,
    HostLost,
    ConfigApplied,
    SvcStopped,
}

impl Row {
    const ALL: [Self; 6] = [
        Self::SupervisorKilled,
        Self::SupervisorRestarted,
        Self::ServiceKilled,
        Self::HostLost,
        Self::ConfigApplied,
        Self::SvcStopped,
    ];

    const fn words(self) -> &'static str {
        match self {
            Self::SupervisorKilled => "supervisor killed",
            Self::SupervisorRestarted => "sup restart",
            Self::ServiceKilled => "service killed",
            Self::HostLost => "leader's host lost",
            Self::ConfigApplied => "config apply",
            Self::SvcStopped => "svc stop",
        }
    }

    /// How long its effects are watched.
    const fn window(self) -> Boot {
        match self {
            Self::SupervisorKilled | Self::SupervisorRestarted | Self::ConfigApplied => 4_500 * MILLI,
            Self::HostLost => 6_000 * MILLI,
            Self::ServiceKilled | Self::SvcStopped => 3_000 * MILLI,
        }
    }
}

/// Times without a leader, and terms that were spent.
#[derive(Clone, Debug, Default)]
struct Cell {
    times: Times,
    terms: Vec<u64>,
    /// How often the leader's first process was another one afterwards.
    replaced: u64,
}

type Table = BTreeMap<Row, BTreeMap<&'static str, Cell>>;

/// Measures and returns the text to print.
pub(super) fn run(run: &mut Run, tries: usize, options: &Options) -> Result<Ended, BedError> {
    let mut table = Table::new();
    let load = load();
    for turn in 0..tries {
        for row in Row::ALL {
            rest(run)?;
            measure(run, row, turn, &mut table)?;
        }
    }
    let loads = format!("{load} at the beginning, {} at the end", self::load());
    let violations: Vec<String> =
        super::report::violations(run).iter().map(|v| format!("{}: {}", v.promise, v.text)).collect();
    let exit = if violations.is_empty() { Exit::Pass } else { Exit::Violated };
    let mut text = if options.json {
        as_json(&table, options, &loads, &violations)
    } else {
        as_text(&table, options, &loads, &violations)
    };
    if options.keep || exit != Exit::Pass {
        let at = evidence::keep(run, options, &text)?;
        if options.json {
            eprintln!("evidence is kept in {}", at.display());
        } else {
            let _ = writeln!(text, "evidence is kept in {}", at.display());
        }
    }
    Ok(Ended { text, exit })
}

/// The load of the machine: figures of a busy one say less.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn elected() -> impl Iterator<Item = &'static Service> {
    SERVICES.iter().filter(|service| service.elects)
}

fn group(service: &Service) -> String {
    format!("{}.default", service.name)
}

/// Waits until every group has had the same leader for a while.
fn rest(run: &mut Run) -> Result<(), BedError> {
    let begin = boot();
    loop {
        run.go_on_until(boot() + QUIET)?;
        let now = boot();
        let is_led = |service: &Service| {
            run.judge.leader(&group(service), now).is_some()
                && run.judge.without_leader(&group(service), now - QUIET, now) == 0
        };
        let all_up = (0..run.ring.hosts.len()).all(|host| run.ring.alive(host) == run.ring.hosts.len());
        if all_up && elected().all(is_led) {
            return Ok(());
        }
        // Groups that do not come to rest by themselves are measured as they are.
        if now > begin + PATIENCE / 4 && all_up {
            return Ok(());
        }
        if now > begin + PATIENCE {
            return Err(BedError::Failed("the ring does not come to rest".to_owned()));
        }
    }
}

/// The host that leads a group, by the lines of its processes.
fn leader(run: &Run, service: &Service) -> Option<usize> {
    run.judge.leader(&group(service), boot()).and_then(|name| run.ring.index(name))
}

fn measure(run: &mut Run, row: Row, turn: usize, table: &mut Table) -> Result<(), BedError> {
    let all: Vec<&Service> = elected().collect();
    let Some(host) = all.iter().cycle().skip(turn).take(all.len()).find_map(|service| leader(run, service))
    else {
        return Ok(());
    };
    let leaders: Vec<(&'static Service, usize)> =
        elected().filter_map(|s| Some((s, leader(run, s)?))).collect();
    let is_about_host = matches!(row, Row::SupervisorKilled | Row::SupervisorRestarted | Row::HostLost);
    let measured: Vec<(&'static Service, usize)> =
        leaders.into_iter().filter(|(_, led_by)| !is_about_host || *led_by == host).collect();
    let firsts: Vec<Option<process::Process>> =
        measured.iter().map(|(service, led_by)| first(run, *led_by, service)).collect();
    let terms: Vec<u64> = measured.iter().map(|(service, _)| run.judge.term(&group(service))).collect();
    let name = run.ring.hosts[host].name.clone();
    run.note(format!("figures, turn {}: {} ({name})", turn + 1, row.words()));
    let mut struck: Vec<Boot> = Vec::new();
    if is_about_host {
        struck.resize(measured.len(), boot());
        strike_host(run, row, host)?;
    } else {
        for (service, led_by) in &measured {
            struck.push(boot());
            strike_service(run, row, *led_by, service)?;
            run.go_on_until(boot() + APART)?;
        }
    }
    run.go_on_until(boot() + row.window())?;
    for ((((service, _), first), term), at) in measured.iter().zip(firsts).zip(terms).zip(struck) {
        let cell = table.entry(row).or_default().entry(service.name).or_default();
        cell.times.add(run.judge.without_leader(&group(service), at, at + row.window()));
        cell.terms.push(run.judge.term(&group(service)).saturating_sub(term));
        cell.replaced += u64::from(first.is_some_and(|first| !process::lives(&first)));
    }
    mend(run, row, host, &measured)
}

/// The first process of a service's tree.
fn first(run: &Run, host: usize, service: &Service) -> Option<process::Process> {
    let tree = run.ring.with_part(host, |part| *part == Part::Service(service.name.to_owned()));
    tree.into_iter().filter(|process| !process.is_hook()).min_by_key(|process| (process.start, process.pid))
}

fn strike_host(run: &mut Run, row: Row, host: usize) -> Result<(), BedError> {
    match row {
        Row::SupervisorKilled => {
            for supervisor in run.ring.with_part(host, |part| *part == Part::Supervisor) {
                process::signal(&supervisor, Signal::SIGKILL);
            }
        }
        Row::SupervisorRestarted => {
            run.ask(host, SERVICES[0].name, vec!["sup".to_owned(), "restart".to_owned()]);
        }
        Row::HostLost => run.ring.power_off(host)?,
        Row::ServiceKilled | Row::ConfigApplied | Row::SvcStopped => {}
    }
    Ok(())
}

fn strike_service(run: &mut Run, row: Row, host: usize, service: &'static Service) -> Result<(), BedError> {
    match row {
        Row::ServiceKilled => {
            if let Some(first) = first(run, host, service) {
                process::signal(&first, Signal::SIGKILL);
            }
        }
        Row::ConfigApplied => {
            let version = run.next_version(service.name)?;
            let words = run.apply_words(service, version);
            run.ask(host, service.name, words);
        }
        Row::SvcStopped => {
            let words = ["svc", "stop", &service.ident()].map(str::to_owned).to_vec();
            run.ask(host, service.name, words);
        }
        Row::SupervisorKilled | Row::SupervisorRestarted | Row::HostLost => {}
    }
    Ok(())
}

fn mend(
    run: &mut Run,
    row: Row,
    host: usize,
    measured: &[(&'static Service, usize)],
) -> Result<(), BedError> {
    match row {
        Row::HostLost => run.ring.power_on(host)?,
        Row::SvcStopped => {
            for (service, led_by) in measured {
                let words = ["svc", "start", &service.ident()].map(str::to_owned).to_vec();
                run.ask(*led_by, service.name, words);
            }
        }
        _ => {}
    }
    Ok(())
}

fn as_text(table: &Table, options: &Options, loads: &str, violations: &[String]) -> String {
    let mut out = format!(
        "time without a leader in ms, median / worst, of {} supervisors in network namespaces; load {loads}\n",
        options.members
    );
    let names: Vec<String> = elected().map(|service| format!("{:>15}", service.name)).collect();
    let _ = writeln!(out, "{:<20}{}", "", names.concat());
    for (row, cells) in table {
        let line = |what: &str, text: &dyn Fn(&Cell) -> String| {
            let cells =
                elected().map(|s| format!("{:>15}", cells.get(s.name).map_or_else(|| "-".to_owned(), text)));
            format!("{what:<20}{}\n", cells.collect::<String>())
        };
        out.push_str(&line(row.words(), &|cell| cell.times.to_string()));
        out.push_str(&line("  terms spent, most", &|cell| {
            cell.terms.iter().max().copied().unwrap_or(0).to_string()
        }));
        out.push_str(&line("  process replaced", &|cell| {
            format!("{} of {}", cell.replaced, cell.terms.len())
        }));
    }
    for service in elected() {
        let _ = writeln!(out, "{}: {}", service.name, service.about);
    }
    let _ = writeln!(out, "{} broken promises seen meanwhile", violations.len());
    violations.iter().for_each(|text| {
        let _ = writeln!(out, "  {text}");
    });
    out
}

fn as_json(table: &Table, options: &Options, loads: &str, violations: &[String]) -> String {
    let mut rows = Map::new();
    for (row, cells) in table {
        let cells = cells.iter().map(|(name, cell)| {
            let value = json!({
                "median_ms": cell.times.median(),
                "worst_ms": cell.times.worst(),
                "all_ms": cell.times.all(),
                "terms": cell.terms,
                "replaced": cell.replaced,
            });
            ((*name).to_owned(), value)
        });
        rows.insert(row.words().to_owned(), Value::Object(cells.collect()));
    }
    format!(
        "{:#}",
        json!({ "members": options.members, "load": loads, "without_leader": rows, "violations": violations })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_column_for_each_group_that_elects() {
        let options = Options {
            members: 5,
            length: std::time::Duration::ZERO,
            seed: 1,
            without: Vec::new(),
            figures: Some(1),
            evidence: None,
            keep: false,
            json: false,
            verbose: false,
        };
        let mut cell = Cell { terms: vec![1], replaced: 1, ..Cell::default() };
        cell.times.add(2_000 * MILLI);
        let table = Table::from([(Row::HostLost, BTreeMap::from([("steady", cell)]))]);
        let text = as_text(&table, &options, "1 and 2", &[]);
        assert!(text.contains("leader's host lost      2000 / 2000"), "{text}");
        let json: Value = serde_json::from_str(&as_json(&table, &options, "1", &[])).expect("JSON");
        assert_eq!(json["without_leader"]["leader's host lost"]["steady"]["median_ms"], json!(2_000.0));
    }
}
