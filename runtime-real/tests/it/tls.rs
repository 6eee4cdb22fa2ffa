//! TLS of both gateways: who gets in, who does not and why, and new certificates without a break.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::host::{Host, number};
use crate::support::{DEADLINE, Response, Supervisor, annulus, eventually, finish, text};

/// A client must have finished its handshake within this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// An authority, and what it signs.
struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        fs::write(dir.path().join("ca.pem"), params.self_signed(&key).expect("signed").pem())
            .expect("written");
        Self { dir, issuer: Issuer::new(params, key) }
    }

    fn at(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn issue(&self, name: &str) {
        self.issue_with(name, |_| {});
    }

    /// Issues a certificate in `NAME.pem` with its key in `NAME.key`.
    fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("params");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("signed");
        fs::write(self.at(&format!("{name}.pem")), cert.pem()).expect("written");
        let file = self.at(&format!("{name}.key"));
        fs::write(&file, key.serialize_pem()).expect("written");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("set");
    }

    /// The options of a supervisor with that certificate.
    fn options(&self, name: &str) -> [String; 4] {
        let at = |end: &str| text(&self.at(&format!("{name}.{end}"))).to_owned();
        ["--cert-file".to_owned(), at("pem"), "--key-file".to_owned(), at("key")]
    }

    /// A client that trusts this authority, and shows the certificate of that name.
    fn client(&self, own: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.at("ca.pem")).expect("PEM")).expect("an authority");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let Some(own) = own else { return builder.with_no_client_auth() };
        let cert = CertificateDer::from_pem_file(self.at(&format!("{own}.pem"))).expect("PEM");
        let key = PrivateKeyDer::from_pem_file(self.at(&format!("{own}.key"))).expect("PEM");
        builder.with_client_auth_cert(vec![cert], key).expect("a pair")
    }
}

/// Asks over TLS, as a client of another host would; an error when the gateway does not answer.
fn ask(supervisor: &Supervisor, client: ClientConfig, path: &str) -> std::io::Result<Response> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(client), name).expect("a client");
    let stream = TcpStream::connect(supervisor.http)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut stream = StreamOwned::new(connection, stream);
    let head = "host: localhost\r\nx-forwarded-for: 192.0.2.9\r\nconnection: close";
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(Response::parse(&answer))
}

fn start(options: &[String], more: &[&str]) -> Supervisor {
    let options: Vec<&str> = options.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Supervisor::start(&options)
}

/// `svc status` at the address of the ctl gateway.
fn status(supervisor: &Supervisor, host: &str, more: &[&str]) -> (i32, String) {
    let addr = format!("{host}:{}", supervisor.ctl.port());
    let (code, _, stderr) = supervisor.run(&[&["svc", "status", "--remote-sup", &addr], more].concat());
    (code, stderr)
}

#[test]
fn both_gateways_speak_tls_and_nothing_else() {
    let authority = Authority::new();
    authority.issue("server");
    let supervisor = start(&authority.options("server"), &[]);
    let answer = ask(&supervisor, authority.client(None), "/butterfly").expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("annulus-limited"), "TLS alone is no permission: {}", answer.head);
    let mut plain = TcpStream::connect(supervisor.http).expect("the gateway listens");
    plain.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let ca = authority.at("ca.pem");
    let trusting = ["--ctl-server-ca-certificate", text(&ca)];
    assert_eq!(status(&supervisor, "localhost", &trusting), (0, String::new()));
    let (code, stderr) = status(&supervisor, "localhost", &[]);
    assert!(code != 0 && stderr.contains("--ctl-server-ca-certificate"), "{code} {stderr}");
    let (code, stderr) =
        status(&supervisor, "localhost", &[&trusting[..], &["--ctl-server-name", "other"]].concat());
    assert!(code == 7 && stderr.contains("--ctl-server-name"), "{code} {stderr}");
    let stranger = Authority::new();
    let (code, stderr) =
        status(&supervisor, "localhost", &["--ctl-server-ca-certificate", text(&stranger.at("ca.pem"))]);
    assert!(code == 7 && stderr.contains("name the authority"), "{code} {stderr}");
    assert_eq!(supervisor.run(&["svc", "status"]).0, 0, "commands of the host use the socket as ever");
    let elsewhere = Supervisor::start(&[]);
    let (code, stderr) = status(&elsewhere, "localhost", &trusting);
    assert!(code == 7 && stderr.contains("TLS"), "{code} {stderr}");
}

#[test]
fn with_authorities_only_their_clients_get_in() {
    let authority = Authority::new();
    for name in ["server", "client"] {
        authority.issue(name);
    }
    authority.issue_with("expired", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let ca = authority.at("ca.pem");
    let supervisor = start(&authority.options("server"), &["--ca-certs", text(&ca)]);
    let answer = ask(&supervisor, authority.client(Some("client")), "/butterfly").expect("an answer");
    assert!(answer.json()["membership"].is_object(), "a certificate counts as a token does: {}", answer.body);
    for own in [None, Some("expired")] {
        assert!(ask(&supervisor, authority.client(own), "/live").is_err(), "{own:?} got an answer");
    }
    let trusting = ["--ctl-server-ca-certificate", text(&ca)];
    let showing = |name: &str| {
        let (cert, key) = (authority.at(&format!("{name}.pem")), authority.at(&format!("{name}.key")));
        let own = ["--ctl-client-certificate", text(&cert), "--ctl-client-key", text(&key)];
        status(&supervisor, "127.0.0.1", &[&trusting[..], &own].concat())
    };
    assert_eq!(showing("client"), (0, String::new()));
    let (code, stderr) = showing("expired");
    assert!(code == 7 && stderr.contains("does not accept"), "{code} {stderr}");
    let (code, stderr) = status(&supervisor, "127.0.0.1", &trusting);
    assert!(code == 7 && stderr.contains("--ctl-client-certificate"), "{code} {stderr}");
}

#[test]
fn clients_that_stall_in_the_handshake_keep_nothing_out() {
    let authority = Authority::new();
    authority.issue("server");
    let supervisor = start(&authority.options("server"), &[]);
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let stalled = |at, count: usize| -> Vec<TcpStream> {
        (0..count)
            .map(|i| {
                let mut stream = TcpStream::connect(at).expect("the gateway listens");
                stream.write_all(&hello[..[0, 5, hello.len()][i % 3]]).expect("sent");
                stream
            })
            .collect()
    };
    let held = (stalled(supervisor.http, 400), stalled(supervisor.ctl, 100));
    let begun = Instant::now();
    assert_eq!(ask(&supervisor, authority.client(None), "/live").expect("an answer").status, 200);
    let ca = authority.at("ca.pem");
    assert_eq!(
        status(&supervisor, "localhost", &["--ctl-server-ca-certificate", text(&ca)]),
        (0, String::new())
    );
    assert!(begun.elapsed() < HANDSHAKE_TIMEOUT, "they were not waited for: {:?}", begun.elapsed());
    drop(held);
}

/// Starts a supervisor that does not start.
fn refused(root: &Path, more: &[String]) -> (i32, String) {
    let mut command = annulus();
    command.arg("--root").arg(root).args(["sup", "run"]);
    for option in ["--listen-gossip", "--listen-http"] {
        command.args([option, "127.0.0.1:0"]);
    }
    let (code, _, stderr) = finish(command.args(more));
    (code, stderr)
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let (authority, root) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    authority.issue("server");
    authority.issue("other");
    authority.issue_with("expired", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let local = ["--listen-ctl".to_owned(), "127.0.0.1:0".to_owned()];
    let mut mixed = authority.options("server");
    mixed[3] = authority.options("other")[3].clone();
    fs::set_permissions(authority.at("other.key"), fs::Permissions::from_mode(0o644)).expect("set");
    let mut open = authority.options("server");
    open[3] = authority.options("other")[3].clone();
    for (options, words) in [
        (&authority.options("expired")[..], "expired"),
        (&open[..], "run `chmod 600"),
        (&authority.options("none")[..], "No such file"),
        (&authority.options("server")[..2], "give --key-file"),
    ] {
        let (code, stderr) = refused(root.path(), &[&local[..], options].concat());
        assert!(code == 2 && stderr.contains(words), "{words}: {code} {stderr}");
    }
    fs::set_permissions(authority.at("other.key"), fs::Permissions::from_mode(0o600)).expect("set");
    let (code, stderr) = refused(root.path(), &[&local[..], &mixed].concat());
    assert!(code == 2 && stderr.contains("is not the key"), "{code} {stderr}");
    assert!(!root.path().join("sup").exists(), "nothing was begun");
    let far = ["--listen-ctl".to_owned(), "0.0.0.0:0".to_owned()];
    let (code, stderr) = refused(root.path(), &far);
    assert!(
        code == 2 && stderr.contains("in the clear") && stderr.contains("--ctl-insecure"),
        "{code} {stderr}"
    );
}

#[test]
fn a_new_certificate_is_served_after_a_restart_and_a_bad_one_prevents_it() {
    let authority = Authority::new();
    authority.issue("server");
    let options = authority.options("server");
    let host = Host::start_heard(|command| {
        command.args(&options);
    });
    let service = host.install("sleeper", "exec sleep 1000");
    host.load(&service);
    let pid = host.pid_of_service();
    let before = host.supervisor();
    fs::write(authority.at("server.pem"), "rubbish").expect("written");
    kill(number(before), Signal::SIGHUP).expect("told");
    eventually("it says why it goes on", || {
        host.log_shown()
            .contains("this supervisor goes on, because the gateways of the next one would stay closed")
            .then_some(())
    });
    let (code, _, stderr) = host.run(&["sup", "restart"]);
    assert!(code != 0 && stderr.contains("gateways of the next one would stay closed"), "{code} {stderr}");
    assert_eq!(host.supervisor(), before);
    authority.issue("server");
    kill(number(before), Signal::SIGHUP).expect("told");
    let second = host.supervisor_after(before);
    assert_eq!(host.pid_of_service(), pid, "services go on");

    // One that has crashed cannot be asked first.
    fs::write(authority.at("server.pem"), "rubbish").expect("written");
    kill(number(second), Signal::SIGKILL).expect("killed");
    host.supervisor_after(second);
    assert_eq!(host.pid_of_service(), pid, "services go on, and this host's socket answers");
    let status = || host.run(&["svc", "status"]).1;
    assert!(status().contains("both gateways are closed"), "{}", status());
    authority.issue("server");
    eventually("the gateways are open", || (!status().contains("gateways are closed")).then_some(()));
}
