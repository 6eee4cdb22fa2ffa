//! Our own daemons as a kind that can be measured.

use std::path::Path;
use std::process::{Child, Stdio};

use annulus_core::Timings;
use serde_json::Value;

use super::daemon::{BENCH_KEY, Settings, end_with_parent, program};
use super::figures::{Kind, Said};
use super::loopback::free_places;
use super::{BedError, observe};

pub(super) struct Annulus {
    all: Vec<Settings>,
}

impl Annulus {
    pub(super) fn new(folder: &Path, count: usize, is_keyed: bool) -> Result<Self, BedError> {
        let program = program()?;
        let places = free_places(count)?;
        let first = places.first().map(|place| place.gossip);
        let settings = |(index, place): (usize, &super::Place)| Settings {
            program: program.clone(),
            root: folder.join(index.to_string()),
            place: place.clone(),
            peers: first.filter(|_| index > 0).into_iter().collect(),
            permanent: false,
            timings: Timings::lan(),
            ring_key: is_keyed.then_some(BENCH_KEY),
        };
        Ok(Self { all: places.iter().enumerate().map(settings).collect() })
    }
}

impl Kind for Annulus {
    fn name(&self) -> &'static str {
        "annulus"
    }

    fn start(&self, index: usize) -> Result<Child, BedError> {
        let mut command = self.all[index].run();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        end_with_parent(&mut command);
        command.spawn().map_err(BedError::io("annulus"))
    }

    fn read(&self, line: &str) -> Option<Said> {
        // Most lines are of no interest here; parsing them would cost the machine that is being measured.
        if !line.contains("\"ready\":true") && !line.contains("\"to\":\"") {
            return None;
        }
        let line: Value = serde_json::from_str(line).ok()?;
        let member = line["member"].as_str()?.to_owned();
        match line["to"].as_str() {
            None => Some(Said::Is(member)),
            Some("Alive") => Some(Said::Alive(member)),
            Some("Confirmed") => Some(Said::Dead(member)),
            Some(_) => None,
        }
    }

    fn answers(&self, index: usize) -> bool {
        observe::get(&self.all[index].place, "/live").is_ok()
    }
}
