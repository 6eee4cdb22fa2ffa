//! A recorder between two real daemons of a ring with a key: it passes on what they say, keeps it, and says it again later,
//! when the one that said it lives, when it is dead, and when the one that hears it has started anew.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::keyed_ring::{key, keyed, members};
use crate::support::{Supervisor, eventually};

/// Stands where a member expects its peer.
struct Recorder {
    socket: UdpSocket,
    /// What came from the member that was told to join here.
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    is_over: Arc<AtomicBool>,
}

impl Recorder {
    /// Passes datagrams on between this member and the one that sends here first.
    fn before(member: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        let (kept, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (own, list, over) =
            (socket.try_clone().expect("cloned"), Arc::clone(&kept), Arc::clone(&is_over));
        std::thread::spawn(move || {
            let (mut buffer, mut joiner) = ([0; 65_536], None);
            while !over.load(Ordering::Relaxed) {
                let Ok((len, from)) = own.recv_from(&mut buffer) else { continue };
                let bytes = &buffer[..len];
                if from == member {
                    let _ = joiner.map(|joiner| own.send_to(bytes, joiner));
                    continue;
                }
                joiner = Some(from);
                list.lock().expect("not poisoned").push(bytes.to_vec());
                let _ = own.send_to(bytes, member);
            }
        });
        Self { socket, kept, is_over }
    }

    /// Says all of it again; how many datagrams that are.
    fn say_again(&self, to: SocketAddr) -> u64 {
        let kept = self.kept.lock().expect("not poisoned").clone();
        for bytes in &kept {
            self.socket.send_to(bytes, to).expect("sent");
        }
        kept.len() as u64
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn metric(supervisor: &Supervisor, name: &str) -> u64 {
    let text = supervisor.get("/metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}_total ")));
    line.unwrap_or_else(|| panic!("{name}: {text}")).parse().expect("a number")
}

/// State and incarnation of a member as another one sees it; none where it does not list it.
fn seen(by: &Supervisor, member: &str) -> Option<(String, u64)> {
    let all = members(by);
    let of = all.iter().find(|m| m["member_id"] == *member)?;
    Some((of["state"].as_str().expect("a state").to_owned(), of["incarnation"].as_u64().expect("a number")))
}

fn is(by: &Supervisor, member: &str, state: &str) -> bool {
    seen(by, member).is_some_and(|(seen, _)| seen == state)
}

#[test]
fn what_a_recorder_says_again_is_not_heard_again() {
    let (text, _) = key("prod", 1, 7);
    let mut alpha = keyed("prod", &text, &[]);
    let recorder = Recorder::before(alpha.gossip);
    let beta = keyed("prod", &text, &["--peer", &recorder.socket.local_addr().expect("bound").to_string()]);
    eventually("they meet", || {
        let alive = members(&alpha).iter().filter(|member| member["state"] == "Alive").count();
        (alive == 2).then_some(())
    });
    // It lives: what it said is dropped by its numbers, and it goes on to be heard.
    let before = metric(&alpha, "ring_replays_dropped");
    assert!(recorder.say_again(alpha.gossip) > 0, "it was overheard");
    // An answer to an old question is none to a new one, and is not counted.
    eventually("they are dropped", || (metric(&alpha, "ring_replays_dropped") > before).then_some(()));
    let member = beta.member.clone();
    assert!(is(&alpha, &member, "Alive"));
    // It is dead, and stays dead.
    drop(beta);
    eventually("it is held dead", || is(&alpha, &member, "Confirmed").then_some(()));
    let dead = seen(&alpha, &member);
    let before = metric(&alpha, "ring_replays_dropped");
    recorder.say_again(alpha.gossip);
    eventually("they are dropped", || (metric(&alpha, "ring_replays_dropped") > before).then_some(()));
    assert_eq!(seen(&alpha, &member), dead);
    // The one that hears it has forgotten all numbers: it asks, and no answer comes.
    alpha.child.kill().expect("killed");
    let gossip = alpha.gossip.to_string();
    alpha.restart(&["--profile", "local", "--ring", "prod"]);
    assert_ne!(gossip, alpha.gossip.to_string(), "a port of its own again");
    recorder.say_again(alpha.gossip);
    eventually("they are asked about in vain", || {
        // The question ends when another message comes in the same name.
        recorder.say_again(alpha.gossip);
        (metric(&alpha, "ring_stamps_refused") >= 1).then_some(())
    });
    assert!(!is(&alpha, &member, "Alive"), "it has not come back");
    assert_eq!(metric(&alpha, "ring_senders_proved"), 0, "no one has answered");
}
