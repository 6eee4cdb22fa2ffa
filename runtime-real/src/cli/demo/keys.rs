//! `annulus demo keys`: a ring with a key, a stranger whom it does not hear, another key for the ring while it works, a
//! configuration that only a group can read, and a host that comes in by an invitation. Its commands are those that an operator types, and are shown as they are run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use annulus_core::Topology;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::sleep;

use super::supervisor::{self, Supervisor};
use super::{Demo, NAMES, alive, http, plan};

/// The name of the ring and of its key.
const RING: &str = "demo";
const ORG: &str = "acme";
const USER: &str = "bob";
/// The host that is invited.
const INVITED: &str = "delta";
/// The group whose configuration is sealed, without its organization and with it.
const GROUP: &str = "responder.default";
const GROUP_OF_ORG: &str = "responder.default@acme";
/// What only the group may read.
const SECRET: &str = "the sealed greeting";
/// How long the stranger tries, so that more than its first message is not heard.
const STRANGER_TRIES: Duration = Duration::from_secs(3);

impl Demo {
    /// Tells the whole story once.
    pub(super) async fn perform_keys(&mut self) -> Result<(), String> {
        self.story.keys_title();
        let addrs =
            supervisor::free_addrs(NAMES.len() + 2).map_err(|e| format!("no free port on loopback: {e}"))?;
        let (own, others) = addrs.split_at(NAMES.len());
        let [stranger, invited] = others else { return Err("no addresses for two more hosts".to_owned()) };
        let step = self.story.step("building and installing the example package");
        let roots = self.install(own, &plan::RESPONDER)?;
        self.story.done(step);

        self.run(0, &["ring", "key", "generate", RING]).await?;
        self.hand_out(0, &["ring", "key", "export", RING], &["ring", "key", "import"], &[1, 2]).await?;
        self.options = ["--ring", RING, "--org", ORG].map(str::to_owned).to_vec();
        self.start_ring(own, roots).await?;
        let step = self.story.step("loading the service on each and waiting for its answer");
        for supervisor in &self.supervisors {
            let loaded = supervisor.load(plan::RESPONDER.ident, Topology::Standalone).await;
            loaded.map_err(|e| format!("{}: {e}", supervisor.name))?;
        }
        self.until("run the service", async |demo: &mut Self| demo.answering().await).await?;
        self.story.done(step);

        self.meet_a_stranger(*stranger).await?;
        self.change_the_key().await?;
        self.seal_a_configuration().await?;
        self.invite_a_host(*invited).await
    }

    /// A supervisor without the key speaks to the ring, which does not answer.
    async fn meet_a_stranger(&mut self, own: supervisor::Addrs) -> Result<(), String> {
        self.story.remark("a stranger starts beside the ring, without its key");
        let root = self.root_of("stranger")?;
        fs::create_dir_all(root.path()).map_err(|e| format!("{}: {e}", root.path().display()))?;
        let start = supervisor::Start { peers: &[self.supervisors[0].addrs.gossip], options: &[] };
        let mut stranger = Supervisor::start("stranger", root, own, &start, &self.program)?;
        let step = self.story.step("waiting until alpha names the one that it does not hear");
        let named = self
            .until("name the stranger", async |demo: &mut Self| {
                demo.rejected().await.is_some_and(|rejected| rejected > 0)
            })
            .await;
        if named.is_ok() {
            sleep(STRANGER_TRIES).await;
        }
        stranger.term();
        stranger.wait().await;
        named?;
        self.story.done(step);
        let members = self.run(0, &["sup", "members"]).await?;
        members.lines().for_each(|line| self.story.quote(line));
        if !self.whole().await {
            return Err("the stranger changed the ring".to_owned());
        }
        self.story.remark("the ring has its three members; the stranger got no answer");
        Ok(())
    }

    /// The ring gets another key while it works.
    async fn change_the_key(&mut self) -> Result<(), String> {
        self.run(0, &["ring", "key", "generate", RING]).await?;
        let said = self.run(0, &["ring", "key", "use", RING]).await?;
        said.lines().for_each(|line| self.story.quote(line));
        let step = self.story.step("waiting until each member speaks with the new key");
        self.until("speak with the new key", async |demo: &mut Self| demo.speaks_anew().await).await?;
        self.story.done(step);
        let status = self.run(1, &["ring", "key", "status"]).await?;
        status.lines().for_each(|line| self.story.quote(line));
        if !self.whole().await {
            return Err("the rotation cost the ring a member".to_owned());
        }
        self.story.remark("beta and gamma were handed the key, sealed for each alone; no member was lost");
        Ok(())
    }

    /// Whether each member says that it speaks with the newest key.
    async fn speaks_anew(&self) -> bool {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.supervisors[0].root.path()).args(["ring", "key", "status", "--json"]);
        let Ok(output) = command.output().await else { return false };
        let Ok(status) = serde_json::from_slice::<Value>(&output.stdout) else { return false };
        let current = |key: &&Value| key["state"] == "current";
        let (keys, members) = (status["keys"].as_array(), status["members"].as_array());
        let newest = keys.and_then(|keys| keys.last()).filter(current).map(|key| &key["revision"]);
        let speak = |members: &Vec<Value>| members.iter().all(|member| Some(&member["speaks"]) == newest);
        newest.is_some() && members.is_some_and(|members| members.len() == NAMES.len() && speak(members))
    }

    /// How many messages alpha did not hear because of the key.
    async fn rejected(&self) -> Option<u64> {
        let body = http::get(self.supervisors.first()?.addrs.http, "/metrics").await.ok()?;
        let text = String::from_utf8(body.to_vec()).ok()?;
        let values = text.lines().filter(|line| line.contains("ring_rejected_total{"));
        Some(values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// Gives the group a configuration that the ring carries and only the group's hosts can read.
    async fn seal_a_configuration(&mut self) -> Result<(), String> {
        self.run(0, &["svc", "key", "generate", GROUP, ORG]).await?;
        self.run(0, &["user", "key", "generate", USER]).await?;
        let step = self.story.step("carrying the group's key and the user's public key to each host");
        self.copy_keys(".box.key", &format!("{GROUP_OF_ORG}-"))?;
        self.copy_keys(".pub", &format!("{USER}-"))?;
        self.story.done(step);
        let file = self.dir.join("greeting.toml");
        fs::write(&file, format!("name = {SECRET:?}\n")).map_err(|e| format!("{}: {e}", file.display()))?;
        let file = file.display().to_string();
        self.run(0, &["config", "apply", GROUP, "1", &file, "--user", USER, "--org", ORG, "--wait"]).await?;
        let shown = self.run(1, &["config", "show", GROUP_OF_ORG]).await?;
        shown.lines().for_each(|line| self.story.quote(line));
        let step = self.story.step("asking each service for its greeting");
        for supervisor in &self.supervisors {
            let answer = http::get(supervisor.addrs.service, "/").await?;
            if !String::from_utf8_lossy(&answer).contains(SECRET) {
                return Err(format!("{} answers with another greeting", supervisor.name));
            }
        }
        self.story.done(step);
        let data = self.supervisors[1].root.sup("default").path().join("data");
        if holds(&data, SECRET.as_bytes())? {
            return Err(format!("{SECRET:?} can be read in {}", data.display()));
        }
        self.story.remark("each service has it, and no supervisor has stored it readably");
        Ok(())
    }

    /// A fourth host has nothing but the line that alpha prints.
    async fn invite_a_host(&mut self, own: supervisor::Addrs) -> Result<(), String> {
        let at = self.supervisors[0].addrs.gossip.to_string();
        let line = self.run(0, &["ring", "invite", "--for", "10m", "--address", &at]).await?;
        let line = line.trim_end().to_owned();
        self.story.quote(&line);
        self.story.command(INVITED, "sup run --join LINE");
        let root = self.root_of(INVITED)?;
        fs::create_dir_all(root.path()).map_err(|e| format!("{}: {e}", root.path().display()))?;
        let options = ["--join".to_owned(), line];
        let start = supervisor::Start { peers: &[], options: &options };
        let mut invited = Supervisor::start(INVITED, root, own, &start, &self.program)?;
        let step = self.story.step("waiting until it and alpha see all four");
        let arrived = self
            .until("let the invited host in", async |demo: &mut Self| {
                let everyone = Some(NAMES.len() + 1);
                alive(&invited).await == everyone && alive(&demo.supervisors[0]).await == everyone
            })
            .await;
        let shown = match arrived {
            Ok(()) => self.run(0, &["ring", "invite", "--list"]).await,
            Err(error) => Err(format!("{error}\n{INVITED}:\n{}", invited.log_tail())),
        };
        invited.term();
        invited.wait().await;
        let shown = shown?;
        self.story.done(step);
        shown.lines().for_each(|line| self.story.quote(line));
        self.story
            .remark("it got the ring's keys from alpha by that line, which no other host can use any more\n");
        Ok(())
    }

    /// Copies the key files of this name and kind from the first supervisor to the others, as an operator would by ssh.
    fn copy_keys(&self, end: &str, begin: &str) -> Result<(), String> {
        let keys = |supervisor: &Supervisor| supervisor.root.keys();
        let from = keys(&self.supervisors[0]);
        let told = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
        for entry in fs::read_dir(&from).map_err(|e| told(&from, e))? {
            let path = entry.map_err(|e| told(&from, e))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if !name.starts_with(begin) || !name.ends_with(end) {
                continue;
            }
            for other in self.supervisors.iter().skip(1) {
                let to = keys(other).join(name);
                // The mode goes with it.
                fs::copy(&path, &to).map_err(|e| told(&to, e))?;
            }
        }
        Ok(())
    }

    /// Lets one host print a key and the others take it in.
    async fn hand_out(
        &mut self,
        from: usize,
        export: &[&str],
        import: &[&str],
        to: &[usize],
    ) -> Result<(), String> {
        let key = self.run(from, export).await?;
        for host in to {
            self.command(*host, import, Some(&key)).await?;
        }
        Ok(())
    }

    /// Runs a command as the operator of a host would, and shows it. Returns what it printed.
    async fn run(&mut self, host: usize, args: &[&str]) -> Result<String, String> {
        self.command(host, args, None).await
    }

    async fn command(&mut self, host: usize, args: &[&str], input: Option<&str>) -> Result<String, String> {
        let name = NAMES[host];
        let shown: Vec<&str> = args.iter().map(|arg| arg.rsplit('/').next().unwrap_or(arg)).collect();
        self.story.command(name, &shown.join(" "));
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.dir.join(name)).args(args).kill_on_drop(true);
        supervisor::without_own_settings(&mut command);
        let output = supervisor::output(command, input).await;
        let output = output.map_err(|e| format!("{} cannot be run: {e}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("annulus {} on {name}: {}", shown.join(" "), said.trim_end()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Whether a file below a directory has these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> Result<bool, String> {
    let told = |e: std::io::Error| format!("{}: {e}", dir.display());
    for entry in fs::read_dir(dir).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.is_dir() {
            if holds(&path, bytes)? {
                return Ok(true);
            }
            continue;
        }
        let text = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if text.windows(bytes.len()).any(|window| window == bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}
