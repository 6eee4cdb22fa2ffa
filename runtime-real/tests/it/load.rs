//! A client that sends requests without pause, and a small load balancer that watches health.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{eventually, get};

/// How often the load balancer looks at each instance's health.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// Requests under way at one time.
const CLIENTS: usize = 4;

/// A port that was free a moment ago.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// One instance of the service.
#[derive(Debug)]
pub(crate) struct Backend {
    /// The address at which it answers.
    pub(crate) service: SocketAddr,
    /// Its supervisor's HTTP gateway.
    pub(crate) gateway: SocketAddr,
    /// The path of its health in that gateway.
    pub(crate) health: &'static str,
}

/// Sends each connection to an instance that is healthy, and tries none twice.
pub(crate) struct Balancer {
    pub(crate) addr: SocketAddr,
    up: Arc<Vec<AtomicBool>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Balancer {
    pub(crate) fn new(backends: Vec<Backend>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let over = Arc::new(AtomicBool::new(false));
        let up: Arc<Vec<AtomicBool>> = Arc::new(backends.iter().map(|_| AtomicBool::new(false)).collect());
        let services: Vec<_> = backends.iter().map(|backend| backend.service).collect();
        let mut threads = Vec::new();
        for (index, backend) in backends.into_iter().enumerate() {
            let (up, over) = (Arc::clone(&up), Arc::clone(&over));
            threads.push(std::thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    up[index].store(is_healthy(&backend), Ordering::SeqCst);
                    std::thread::sleep(LOOK_PERIOD);
                }
            }));
        }
        let (shared, ending) = (Arc::clone(&up), Arc::clone(&over));
        threads.push(std::thread::spawn(move || {
            let next = AtomicUsize::new(0);
            while let Ok((client, _)) = listener.accept() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let turn = next.fetch_add(1, Ordering::SeqCst);
                let order = (0..services.len()).map(|n| (turn + n) % services.len());
                let chosen = order.clone().find(|n| shared[*n].load(Ordering::SeqCst)).map(|n| services[n]);
                std::thread::spawn(move || chosen.map(|to| pass_on(client, to)));
            }
        }));
        Self { addr, up, over, threads }
    }

    /// Waits until this many instances are healthy.
    pub(crate) fn wait_for(&self, count: usize) {
        let healthy = || self.up.iter().filter(|up| up.load(Ordering::SeqCst)).count();
        eventually("instances are healthy", || (healthy() == count).then_some(()));
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn is_healthy(backend: &Backend) -> bool {
    // The gateway closes with its supervisor.
    TcpStream::connect(backend.gateway).is_ok()
        && std::panic::catch_unwind(|| get(backend.gateway, backend.health, &[]).status == 200)
            .unwrap_or(false)
}

/// Passes bytes in both directions until both sides have ended; a side that fails means a failed request.
fn pass_on(mut client: TcpStream, to: SocketAddr) {
    let Ok(mut service) = TcpStream::connect(to) else { return };
    let (Ok(mut from_client), Ok(mut to_service)) = (client.try_clone(), service.try_clone()) else { return };
    let up = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_service);
    });
    let _ = std::io::copy(&mut service, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = up.join();
}

/// Clients that send one request after the other until they are told to stop.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    lost: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let (over, answered, lost) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<Mutex<Vec<String>>>)>::default();
        let client = || {
            let (over, answered, lost) = (Arc::clone(&over), Arc::clone(&answered), Arc::clone(&lost));
            std::thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    match ask(to) {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::SeqCst)),
                        Err(reason) => lost.lock().expect("no client panics").push(reason),
                    }
                }
            })
        };
        let threads = (0..CLIENTS).map(|_| client()).collect();
        Self { over, answered, lost, threads }
    }

    /// Waits for this many more answers.
    pub(crate) fn wait_for(&self, more: u64) {
        let wanted = self.answered.load(Ordering::SeqCst) + more;
        let enough = || self.answered.load(Ordering::SeqCst) >= wanted || !self.lost().is_empty();
        eventually("requests are answered", || enough().then_some(()));
    }

    /// Requests that were not answered so far.
    pub(crate) fn lost(&self) -> Vec<String> {
        self.lost.lock().expect("no client panics").clone()
    }

    /// Ends the clients: requests that were answered, and those that were not.
    pub(crate) fn stop(mut self) -> (u64, Vec<String>) {
        self.over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().expect("no client panics");
        }
        (self.answered.load(Ordering::SeqCst), self.lost())
    }
}

/// One request; a failure says how far it came.
fn ask(to: SocketAddr) -> Result<(), String> {
    let mut stream = TcpStream::connect(to).map_err(|error| format!("connecting: {error}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|error| error.to_string())?;
    let request = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).map_err(|error| format!("sending: {error}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| format!("reading: {error}"))?;
    if answer.starts_with("HTTP/1.1 200 ") && answer.contains("I am ") {
        Ok(())
    } else {
        Err(format!("answered: {:?}", answer.lines().next().unwrap_or_default()))
    }
}
