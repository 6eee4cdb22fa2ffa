//! `annulus responder`: the example service, which answers every HTTP request with one line. Small enough for a
//! demonstration, and no server for anything else.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::{CliError, Outcome, output};

/// Largest head of a request that is read; the rest is ignored.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// A client gets this long for each piece of its request, and as long for reading the answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Pieces that a request may come in: a client that sends byte by byte must not stay for ever.
const READS_MAX: usize = 16;
/// Clients at one time; more wait in the listener's queue.
const CLIENTS_MAX: u64 = 64;
/// Pause after a failed accept, or while as many clients are connected as may be.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The name that it gives in its answers
    #[arg(long, value_name = "NAME", default_value = "responder")]
    name: String,
    /// How long each answer takes, as if it were work
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    delay_ms: u64,
}

/// Counts that the answering threads share.
#[derive(Debug, Default)]
struct Counts {
    /// Requests answered so far.
    answered: AtomicU64,
    /// Clients that are being answered.
    clients: AtomicU64,
    /// Requests whose answer is being made.
    in_flight: AtomicU64,
}

pub(super) fn run(args: &Args) -> Outcome {
    let listening = || format!("responder cannot listen on {}", args.listen);
    let listener = TcpListener::bind(args.listen).map_err(CliError::io(listening()))?;
    let addr = listener.local_addr().map_err(CliError::io(listening()))?;
    output::line(format_args!("{} answers on http://{addr}", args.name));
    let counts = Counts::default();
    thread::scope(|scope| {
        loop {
            if counts.clients.load(Ordering::Acquire) >= CLIENTS_MAX {
                thread::sleep(ACCEPT_RETRY);
                continue;
            }
            // The timeouts bound the time for which one client can hold its thread.
            match listener.accept() {
                Ok((stream, _)) => {
                    counts.clients.fetch_add(1, Ordering::AcqRel);
                    let counts = &counts;
                    scope.spawn(move || {
                        let _ = answer(stream, args, counts);
                        counts.clients.fetch_sub(1, Ordering::AcqRel);
                    });
                }
                // Most likely the process has no descriptors left; accepting again at once would spin.
                Err(_) => thread::sleep(ACCEPT_RETRY),
            }
        }
    })
}

fn answer(mut stream: TcpStream, args: &Args, counts: &Counts) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let path = request_path(&mut stream)?;
    let is_work = path.as_deref() == Some("/");
    if is_work {
        counts.in_flight.fetch_add(1, Ordering::AcqRel);
        thread::sleep(Duration::from_millis(args.delay_ms));
    }
    let (status, body) = match path.as_deref() {
        Some("/") => {
            let number = counts.answered.fetch_add(1, Ordering::AcqRel) + 1;
            let (name, pid) = (&args.name, std::process::id());
            ("200 OK", format!("I am {name}, process {pid}, and this is answer {number}\n"))
        }
        Some("/in-flight") => ("200 OK", format!("{}\n", counts.in_flight.load(Ordering::Acquire))),
        Some(_) => ("404 Not Found", "there is / and /in-flight\n".to_owned()),
        None => ("400 Bad Request", "that was no HTTP request\n".to_owned()),
    };
    let length = body.len();
    let written = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    if is_work {
        counts.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
    written
}

/// Reads the path of a `GET`; none when the bytes are something else.
fn request_path(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    for _ in 0..READS_MAX {
        if head.windows(4).any(|window| window == b"\r\n\r\n") || head.len() >= REQUEST_BYTES_MAX {
            break;
        }
        match stream.read(&mut buffer)? {
            0 => break,
            n => head.extend_from_slice(&buffer[..n]),
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, path, version) = (words.next(), words.next(), words.next());
    let is_http = version.is_some_and(|version| version.starts_with("HTTP/"));
    Ok(if method == Some("GET") && is_http { path.map(str::to_owned) } else { None })
}
