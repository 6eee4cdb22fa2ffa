//! What is kept of a run in which a promise was broken: report, timeline, the lines of witnesses around each violation,
//! and every host's logs, rendered files and specs.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::Options;
use super::line::{Boot, Line};
use super::report::violations;
use super::run::Run;
use crate::bed::BedError;

/// Lines this long before and after a violation are kept.
pub(super) const AROUND: Boot = 10_000_000_000;
/// What is copied of a host's root: logs, rendered files, wanted services.
const KEPT: [&str; 2] = ["sup/default/logs", "sup/default/specs"];

/// Writes the evidence; says where it is.
pub(super) fn keep(run: &Run, options: &Options, report: &str) -> Result<PathBuf, BedError> {
    let name = format!("annulus-evidence-seed{}-{}", options.seed, std::process::id());
    let folder = options.evidence.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
    write(run, &folder, report).map_err(BedError::io(folder.display()))?;
    Ok(folder)
}

fn write(run: &Run, folder: &Path, report: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("report.txt"), report)?;
    let seconds = |at: Boot| at.saturating_sub(run.began) as f64 / 1e9;
    let mut text = String::from("seconds since the beginning, nanoseconds since boot, what happened\n");
    for (at, what) in &run.timeline {
        let _ = writeln!(text, "{:>10.3} {at} {what}", seconds(*at));
    }
    fs::write(folder.join("timeline.txt"), text)?;
    let mut text = String::new();
    for violation in violations(run) {
        let (from, until) = (violation.from, violation.until);
        let _ = writeln!(
            text,
            "{:>10.3} {from} {until} {}: {}",
            seconds(from),
            violation.promise,
            violation.text
        );
    }
    fs::write(folder.join("violations.txt"), text)?;
    lines(run, &folder.join("lines.txt"))?;
    for (index, host) in run.ring.hosts.iter().enumerate() {
        let to = folder.join(&host.name);
        fs::create_dir_all(&to)?;
        let _ = fs::copy(run.ring.log(index), to.join("launcher.log"));
        for part in KEPT {
            copy(&host.settings.root.join(part), &to.join(part.rsplit('/').next().unwrap_or(part)))?;
        }
        for service in super::plans::SERVICES {
            let from = host.settings.root.join("svc").join(service.name);
            copy(&from.join("logs"), &to.join(service.name))?;
            let part = run.ring.home.part(&host.name, service.name);
            let _ = fs::copy(part, to.join(format!("{}.part", service.name)));
        }
    }
    Ok(())
}

/// The lines around violations; all lines when there is none.
fn lines(run: &Run, to: &Path) -> io::Result<()> {
    let times: Vec<(Boot, Boot)> = violations(run)
        .iter()
        .map(|v| (v.from.saturating_sub(AROUND), v.until.saturating_add(AROUND)))
        .collect();
    let mut out = BufWriter::new(File::create(to)?);
    writeln!(
        out,
        "kind before after pid host service group tree plays term file-part file-term version leader"
    )?;
    let mut file = File::open(run.ring.home.lines())?;
    for (from, until) in run.tail.kept() {
        file.seek(SeekFrom::Start(from))?;
        for line in BufReader::new((&file).take(until - from)).lines() {
            let line = line?;
            let Some(at) = Line::read(&line).map(|line| line.before) else { continue };
            if times.is_empty() || times.iter().any(|(from, until)| (*from..=*until).contains(&at)) {
                writeln!(out, "{line}")?;
            }
        }
    }
    out.flush()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
