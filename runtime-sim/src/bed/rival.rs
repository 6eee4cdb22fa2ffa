//! serf, HashiCorp's gossip agent, to be measured beside our own daemons.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::daemon::end_with_parent;
use super::figures::{Kind, Said};
use super::loopback::free_places;
use super::{BedError, Place};

pub(super) struct Serf {
    program: PathBuf,
    folder: PathBuf,
    places: Vec<Place>,
}

impl Serf {
    pub(super) fn new(program: &Path, folder: PathBuf, count: usize) -> Result<Self, BedError> {
        if Command::new(program).arg("version").output().is_err() {
            return Err(BedError::Skipped(format!("{} not found", program.display())));
        }
        Ok(Self { program: program.to_owned(), folder, places: free_places(count)? })
    }

    fn rpc(&self, index: usize) -> SocketAddr {
        self.places[index].http
    }
}

impl Kind for Serf {
    fn name(&self) -> &'static str {
        "serf"
    }

    fn start(&self, index: usize) -> Result<Child, BedError> {
        let gossip = self.places[index].gossip;
        let mut command = Command::new(&self.program);
        command.args(["agent", "-profile=lan", "-log-level=info"]);
        command.arg(format!("-node=n{index}"));
        command.arg(format!("-bind={gossip}")).arg(format!("-advertise={gossip}"));
        command.arg(format!("-rpc-addr={}", self.rpc(index)));
        // Members keep their state over a restart, as ours do.
        command.arg(format!("-snapshot={}", self.folder.join(index.to_string()).display()));
        if index > 0 {
            command.arg(format!("-retry-join={}", self.places[0].gossip)).arg("-retry-interval=1s");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        end_with_parent(&mut command);
        command.spawn().map_err(BedError::io("serf"))
    }

    fn read(&self, line: &str) -> Option<Said> {
        let after = |word: &str| {
            let (_, rest) = line.split_once(word)?;
            rest.split_whitespace().next().map(|name| name.trim_matches('\'').to_owned())
        };
        after("Node name: ")
            .map(Said::Is)
            .or_else(|| after("EventMemberJoin: ").map(Said::Alive))
            .or_else(|| after("EventMemberFailed: ").map(Said::Dead))
    }

    fn answers(&self, index: usize) -> bool {
        TcpStream::connect_timeout(&self.rpc(index), Duration::from_millis(500)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_agent_are_understood() {
        let serf = Serf { program: PathBuf::new(), folder: PathBuf::new(), places: Vec::new() };
        let join = "    2026/01/01 00:00:00 [INFO] serf: EventMemberJoin: n3 127.0.0.1";
        assert_eq!(serf.read(join), Some(Said::Alive("n3".to_owned())));
        assert_eq!(serf.read("         Node name: 'n0'"), Some(Said::Is("n0".to_owned())));
        assert_eq!(
            serf.read("[INFO] serf: EventMemberFailed: n1 127.0.0.1"),
            Some(Said::Dead("n1".to_owned()))
        );
        assert_eq!(serf.read("[INFO] agent: Serf agent starting"), None);
    }
}
