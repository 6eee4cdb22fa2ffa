//! The supervisors that are measured: the daemon and Debian's supervisord.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use annulus_core::Timings;

use super::Kind;
use crate::bed::daemon::{Settings, end_with_parent, program};
use crate::bed::loopback::free_places;
use crate::bed::{BedError, Place};

/// How long services run, in seconds: for ever.
const SLEEP_S: u32 = 100_000;

/// The daemon beside this program.
pub(super) struct Annulus {
    settings: Settings,
    log: PathBuf,
    services: usize,
}

impl Annulus {
    /// A root with packages for `services` services, all loaded, and for `more` that are not.
    pub(super) fn new(root: &Path, services: usize, more: usize) -> Result<Self, BedError> {
        let mut places = free_places(1)?.into_iter();
        let place: Place = places.next().expect("one was asked for");
        let settings = Settings {
            program: program()?,
            root: root.to_owned(),
            place,
            peers: Vec::new(),
            ring_key: None,
            permanent: false,
            timings: Timings::lan(),
        };
        fs::create_dir_all(root).map_err(BedError::io(root.display()))?;
        let this = Self { log: settings.log(), settings, services };
        let output = root.join("built");
        for number in 0..services + more {
            let plan = this.plan(number)?;
            this.settings.ask(&["pkg", "build", text(&plan)?, "--output", text(&output)?])?;
        }
        let mut install = vec!["pkg".to_owned(), "install".to_owned()];
        for entry in fs::read_dir(&output).map_err(BedError::io(output.display()))?.flatten() {
            install.push(text(&entry.path())?.to_owned());
        }
        this.settings.ask(&install.iter().map(String::as_str).collect::<Vec<_>>())?;
        let specs = root.join("sup/default/specs");
        fs::create_dir_all(&specs).map_err(BedError::io(specs.display()))?;
        for number in 0..services {
            let spec = specs.join(format!("s{number}.spec"));
            fs::write(&spec, format!("ident = \"bench/s{number}\"\n"))
                .map_err(BedError::io(spec.display()))?;
        }
        Ok(this)
    }

    fn plan(&self, number: usize) -> Result<PathBuf, BedError> {
        let dir = self.settings.root.join("plans").join(format!("s{number}"));
        fs::create_dir_all(dir.join("hooks")).map_err(BedError::io(dir.display()))?;
        let plan = format!("origin = \"bench\"\nname = \"s{number}\"\nversion = \"1.0.0\"\n");
        let run = format!("#!/bin/sh\nexec sleep {SLEEP_S}\n");
        for (name, text) in [("plan.toml", plan), ("hooks/run", run)] {
            fs::write(dir.join(name), text).map_err(BedError::io(dir.join(name).display()))?;
        }
        Ok(dir)
    }
}

fn text(path: &Path) -> Result<&str, BedError> {
    path.to_str().ok_or_else(|| BedError::Failed(format!("{} is not UTF-8", path.display())))
}

impl Kind for Annulus {
    fn name(&self) -> &'static str {
        "annulus"
    }

    fn start(&self) -> Result<Child, BedError> {
        let log = fs::File::create(&self.log).map_err(BedError::io(self.log.display()))?;
        let errors = log.try_clone().map_err(BedError::io(self.log.display()))?;
        let mut command = self.settings.run();
        command.stdout(log).stderr(errors);
        end_with_parent(&mut command);
        command.spawn().map_err(BedError::io(self.settings.program.display()))
    }

    fn load(&self, number: usize) -> Option<Result<(), BedError>> {
        // The services that are loaded from the start have the first numbers.
        let ident = format!("bench/s{}", self.services + number);
        Some(self.settings.ask(&["svc", "load", &ident]).map(drop))
    }
}

/// Debian's supervisord.
pub(super) struct Supervisord {
    program: PathBuf,
    config: PathBuf,
}

impl Supervisord {
    pub(super) fn new(program: &Path, folder: &Path, services: usize) -> Result<Self, BedError> {
        if Command::new(program).arg("--version").output().is_err() {
            let hint = "not found; Debian's package `supervisor` has it";
            return Err(BedError::Skipped(format!("{}: {hint}", program.display())));
        }
        fs::create_dir_all(folder).map_err(BedError::io(folder.display()))?;
        let dir = folder.display();
        let mut text = format!(
            "[supervisord]\nnodaemon=true\nlogfile={dir}/sup.log\npidfile={dir}/sup.pid\nchildlogdir={dir}\nminfds=4096\n\
             [unix_http_server]\nfile={dir}/sup.sock\n\
             [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{dir}/sup.sock\n"
        );
        if nix::unistd::geteuid().is_root() {
            text = text.replacen("nodaemon=true\n", "nodaemon=true\nuser=root\n", 1);
        }
        for number in 0..services {
            let _ = write!(text, "[program:s{number}]\ncommand=/bin/sleep {SLEEP_S}\nautorestart=true\n");
        }
        let config = folder.join("supervisord.conf");
        fs::write(&config, text).map_err(BedError::io(config.display()))?;
        Ok(Self { program: program.to_owned(), config })
    }
}

impl Kind for Supervisord {
    fn name(&self) -> &'static str {
        "supervisord"
    }

    fn start(&self) -> Result<Child, BedError> {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(&self.config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        end_with_parent(&mut command);
        command.spawn().map_err(BedError::io(self.program.display()))
    }

    fn load(&self, _: usize) -> Option<Result<(), BedError>> {
        None
    }
}
