//! The packages of a run: one for each way in which a service can lose its lead, and one without a leader. Made with
//! the real `annulus pkg build`.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::home::{Home, PART};
use crate::bed::BedError;

/// A service that every host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Whether its group elects a leader.
    pub(crate) elects: bool,
    demoted: &'static str,
    pub(crate) reconfigures: bool,
    /// Whether its run hook becomes the process, or starts several and waits.
    execs: bool,
    /// How long a process goes on after it was asked to end.
    linger_ms: u32,
}

pub(crate) const SERVICES: [Service; 6] = [
    Service {
        name: "steady",
        about: "demoted by its reconfigure hook",
        elects: true,
        demoted: "reconfigure",
        reconfigures: true,
        execs: true,
        linger_ms: 0,
    },
    Service {
        name: "again",
        about: "demoted by a restart; ends slowly",
        elects: true,
        demoted: "restart",
        reconfigures: true,
        execs: true,
        linger_ms: 300,
    },
    Service {
        name: "halt",
        about: "demoted by a stop: only the leader runs",
        elects: true,
        demoted: "stop",
        reconfigures: true,
        execs: true,
        linger_ms: 0,
    },
    Service {
        name: "brood",
        about: "its run hook does not exec and starts children in sessions of their own",
        elects: true,
        demoted: "restart",
        reconfigures: true,
        execs: false,
        linger_ms: 0,
    },
    Service {
        name: "plain",
        about: "has no reconfigure hook: each changed file restarts it",
        elects: true,
        demoted: "restart",
        reconfigures: false,
        execs: true,
        linger_ms: 0,
    },
    Service {
        name: "alone",
        about: "standalone, with configuration",
        elects: false,
        demoted: "restart",
        reconfigures: true,
        execs: true,
        linger_ms: 0,
    },
];

/// The origin of all packages.
pub(crate) const ORIGIN: &str = "chaos";
/// The command of this program that runs as service and as hook.
pub(crate) const WITNESS: &str = "chaos-witness";
/// Seconds between health checks.
pub(crate) const HEALTH_S: &str = "5";
/// From the stop signal to the kill, in seconds.
pub(crate) const SHUTDOWN_S: u32 = 3;

const FILE: &str = "\
part {{#if svc.me.leader}}leads{{else}}{{#if svc.me.follower}}follows{{else}}none{{/if}}{{/if}}
term {{#if svc.me.leader}}{{svc.election.term}}{{else}}0{{/if}}
group {{svc.group}}
leader {{#if svc.leader}}{{svc.leader.member_id}}{{else}}-{{/if}}
version {{cfg.version}}
end
";

impl Service {
    pub(crate) fn ident(&self) -> String {
        format!("{ORIGIN}/{}", self.name)
    }

    /// Whether followers wait without a process.
    pub(crate) fn only_leader_runs(&self) -> bool {
        self.elects && self.demoted == "stop"
    }

    fn plan(&self) -> String {
        let (name, about, demoted) = (self.name, self.about, self.demoted);
        format!(
            "origin = \"{ORIGIN}\"\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"{about}\"\n\n\
             [service]\nuser = \"root\"\ngroup = \"root\"\nshutdown_timeout_s = {SHUTDOWN_S}\ndemoted = \"{demoted}\"\n"
        )
    }

    fn run_hook(&self, program: &Path) -> String {
        let linger = self.linger_ms;
        let serve = format!(
            "'{}' {WITNESS} serve --part '{{{{pkg.svc_config_path}}}}/{PART}' --linger-ms {linger} --tree",
            program.display()
        );
        if self.execs {
            return format!("#!/bin/sh\nexec {serve} $$\n");
        }
        format!(
            "#!/bin/sh\n# The shell stays, and its children would survive it: two of them in sessions of their own.\n\
             setsid {serve} $$ &\nsetsid sh -c '{} \"$0\" & wait' $$ &\n{serve} $$ &\nwait\n",
            serve.replace('\'', "\"")
        )
    }

    fn hook(&self, name: &str, program: &Path) -> String {
        format!(
            "#!/bin/sh\nexec '{}' {WITNESS} hook {name} --part '{{{{pkg.svc_config_path}}}}/{PART}'\n",
            program.display()
        )
    }

    fn write(&self, dir: &Path, program: &Path) -> std::io::Result<()> {
        fs::create_dir_all(dir.join("hooks"))?;
        fs::create_dir_all(dir.join("config"))?;
        fs::write(dir.join("plan.toml"), self.plan())?;
        fs::write(dir.join("default.toml"), "version = 0\n")?;
        fs::write(dir.join("config").join(PART), FILE)?;
        let mut hooks = vec![("run", self.run_hook(program))];
        hooks.push(("health-check", self.hook("health-check", program)));
        if self.reconfigures {
            hooks.push(("reconfigure", self.hook("reconfigure", program)));
        }
        for (name, text) in hooks {
            let path = dir.join("hooks").join(name);
            fs::write(&path, text)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

/// Builds all packages below the home; returns their files and the folder of the keys that signed them.
pub(crate) fn build(home: &Home) -> Result<(Vec<PathBuf>, PathBuf), BedError> {
    let (workshop, output) = (home.0.join("workshop"), home.0.join("packages"));
    let mut files = Vec::new();
    for service in SERVICES {
        let plan = workshop.join("plans").join(service.name);
        service.write(&plan, &home.program("annulus-sim")).map_err(BedError::io(plan.display()))?;
        let mut command = Command::new(home.program("annulus"));
        command.arg("--root").arg(&workshop).args(["pkg", "build"]).arg(&plan).arg("--output").arg(&output);
        let built = command.output().map_err(BedError::io("annulus pkg build"))?;
        if !built.status.success() {
            let mut why = format!("annulus pkg build {}: ", plan.display());
            let _ = write!(why, "{}", String::from_utf8_lossy(&built.stderr).trim());
            return Err(BedError::Failed(why));
        }
    }
    for entry in fs::read_dir(&output).map_err(BedError::io(output.display()))?.flatten() {
        files.push(entry.path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "hart"));
    files.sort();
    if files.len() != SERVICES.len() {
        return Err(BedError::Failed(format!("{} packages were built, not {}", files.len(), SERVICES.len())));
    }
    Ok((files, workshop.join("cache/keys")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_what_it_shows() {
        let brood = SERVICES.iter().find(|service| !service.execs).expect("one does not exec");
        let hook = brood.run_hook(Path::new("/bin/annulus-sim"));
        assert!(hook.contains("setsid") && hook.ends_with("wait\n"), "{hook}");
        for form in ["restart", "reconfigure", "stop"] {
            assert!(SERVICES.iter().any(|service| service.elects && service.demoted == form), "{form}");
        }
        assert!(SERVICES.iter().any(|service| service.elects && !service.reconfigures));
        assert!(SERVICES.iter().any(|service| !service.elects));
    }
}
