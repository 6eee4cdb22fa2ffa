//! `annulus demo redis`: a group whose leader is killed with its supervisor and comes back as a follower. Needs
//! `redis-server` and `redis-cli`, and installs neither.

use std::net::SocketAddr;
use std::path::PathBuf;

use annulus_core::Topology;
use serde_json::Value;

use super::supervisor::{self, Supervisor};
use super::{Demo, NAMES, http, plan, resp};

/// The group that elects a leader.
const GROUP: &str = "redis.default";
/// The keys and values that are written before the leader dies, and after.
const FIRST: (&str, &str) = ("greeting", "written to the first leader");
const SECOND: (&str, &str) = ("answer", "written to the second leader");

/// The programs that the plan needs and that are not on the path; empty when all are there.
pub fn missing_programs() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let missing = |name: &&str| !dirs.iter().any(|dir| dir.join(name).is_file());
    ["redis-server", "redis-cli"].into_iter().filter(missing).collect()
}

impl Demo {
    /// Tells the whole story once.
    pub(super) async fn perform_redis(&mut self) -> Result<(), String> {
        let missing = missing_programs();
        if !missing.is_empty() {
            let missing = missing.join(" and ");
            return Err(format!(
                "{missing} not found on PATH; Debian's package redis-server has both programs that this needs"
            ));
        }
        self.story.redis_title();
        let addrs =
            supervisor::free_addrs(NAMES.len()).map_err(|e| format!("no free port on loopback: {e}"))?;
        self.start_all(&addrs, &plan::REDIS).await?;
        let leader = self.elect().await?;
        self.replicate(leader).await?;
        let next = self.lose(leader).await?;
        self.bring_back(leader, next).await
    }

    /// Loads the service on every supervisor; returns which of them leads.
    async fn elect(&mut self) -> Result<usize, String> {
        let step = self.story.step("loading redis with --topology leader on each: one leads");
        for supervisor in &self.supervisors {
            let loaded = supervisor.load(plan::REDIS.ident, Topology::Leader).await;
            loaded.map_err(|e| format!("{}: {e}", supervisor.name))?;
        }
        self.until("agree on a leader", async |demo: &mut Self| demo.leader().await.is_some()).await?;
        self.story.done(step);
        let step = self.story.step("waiting until each redis answers, two of them as copies");
        // On a busy host the first leader may have handed over to another meanwhile.
        self.until("run redis", async |demo: &mut Self| demo.settled().await.is_some()).await?;
        self.story.done(step);
        let leader = self.settled().await.ok_or("the leader is gone again")?;
        self.story.remark(&format!("{} leads; the others follow", self.supervisors[leader].name));
        Ok(leader)
    }

    /// The leader, if all supervisors agree on it and every Redis server has the matching role.
    async fn settled(&self) -> Option<usize> {
        let leader = self.leader().await?;
        self.roles_are(leader).await.then_some(leader)
    }

    async fn replicate(&mut self, leader: usize) -> Result<(), String> {
        let step = self.story.step("writing to the leader, reading from the copies");
        let at = self.supervisors[leader].addrs.service;
        resp::command(at, &["SET", FIRST.0, FIRST.1]).await?;
        self.until("hold what was written", async |demo: &mut Self| demo.all_have(FIRST).await).await?;
        self.story.done(step);
        let copy = self.supervisors.iter().position(|s| s.addrs.service != at).unwrap_or_default();
        let refused = resp::command(self.supervisors[copy].addrs.service, &["SET", "x", "y"]).await;
        let refused = refused.err().ok_or("a copy took a write")?;
        self.story.remark(&format!("{} refuses a write: {refused}", self.supervisors[copy].name));
        Ok(())
    }

    /// Kills the leader's supervisor and service; returns which supervisor leads then.
    async fn lose(&mut self, leader: usize) -> Result<usize, String> {
        let name = self.supervisors[leader].name;
        self.story
            .remark(&format!("kill -9 of {name}'s supervisor, its launcher and its redis, all at once"));
        let step = self.story.step("waiting until the others have another leader");
        self.supervisors[leader].kill_all(&GROUP[..GROUP.find('.').unwrap_or_default()]).await;
        self.until("elect another leader", async |demo: &mut Self| {
            demo.leader().await.is_some_and(|next| next != leader)
        })
        .await?;
        self.story.done(step);
        let next = self.leader().await.ok_or("the leader is gone again")?;
        let step = self.story.step("writing to the new leader");
        let at = self.supervisors[next].addrs.service;
        self.until("take a write", async |_: &mut Self| {
            resp::command(at, &["SET", SECOND.0, SECOND.1]).await.is_ok()
        })
        .await?;
        self.story.done(step);
        let kept = resp::command(at, &["GET", FIRST.0]).await?;
        if kept != FIRST.1 {
            return Err(format!(
                "{} has lost what was written before: {kept:?}",
                self.supervisors[next].name
            ));
        }
        self.story.remark(&format!("{} leads now, and still has {kept:?}", self.supervisors[next].name));
        Ok(next)
    }

    /// Starts the old leader again, which has to follow the new one.
    async fn bring_back(&mut self, old: usize, leader: usize) -> Result<(), String> {
        let step = self.story.step("starting the old leader's supervisor again");
        let peers: Vec<SocketAddr> = self
            .supervisors
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != old)
            .map(|(_, s)| s.addrs.gossip)
            .collect();
        let (name, root, addrs) = {
            let s = &self.supervisors[old];
            (s.name, s.root.clone(), s.addrs)
        };
        let start = supervisor::Start { peers: &peers, options: &[] };
        self.supervisors[old] = Supervisor::start(name, root, addrs, &start, &self.program)?;
        self.until("answer over HTTP", async |demo: &mut Self| demo.identify().await).await?;
        self.story.done(step);
        let step = self.story.step("waiting until its redis is a copy with all that was written");
        self.until("follow the new leader", async |demo: &mut Self| {
            demo.settled().await.is_some() && demo.all_have(SECOND).await
        })
        .await?;
        self.story.done(step);
        if self.leader().await != Some(leader) {
            return Err("the leader changed, though it was well".to_owned());
        }
        let (old, leader) = (self.supervisors[old].name, self.supervisors[leader].name);
        self.story.remark(&format!("{old} is back as a follower; {leader} leads on\n"));
        Ok(())
    }

    /// The leader that all running supervisors agree on.
    async fn leader(&self) -> Option<usize> {
        let mut agreed = None;
        for supervisor in self.supervisors.iter().filter(|s| s.running()) {
            let body = http::get(supervisor.addrs.http, "/census").await.ok()?;
            let census: Value = serde_json::from_slice(&body).ok()?;
            let group = &census["census_groups"][GROUP];
            let leader =
                group["leader_id"].as_str().filter(|_| group["election_status"] == "ElectionFinished")?;
            let leader = self.supervisors.iter().position(|s| s.running() && s.member == leader)?;
            if *agreed.get_or_insert(leader) != leader {
                return None;
            }
        }
        agreed
    }

    /// Whether the leader's Redis server takes writes and the other servers copy from it.
    async fn roles_are(&self, leader: usize) -> bool {
        for (index, supervisor) in self.supervisors.iter().enumerate() {
            let said = resp::command(supervisor.addrs.service, &["INFO", "replication"]).await;
            let Ok(said) = said else { return false };
            let has = |line: &str| said.lines().any(|said| said == line);
            let as_wanted = match index == leader {
                true => has("role:master"),
                false => has("role:slave") && has("master_link_status:up"),
            };
            if !as_wanted {
                return false;
            }
        }
        true
    }

    async fn all_have(&self, (key, value): (&str, &str)) -> bool {
        for supervisor in &self.supervisors {
            if resp::command(supervisor.addrs.service, &["GET", key]).await.as_deref() != Ok(value) {
                return false;
            }
        }
        true
    }
}
