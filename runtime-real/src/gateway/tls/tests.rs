//! Certificates that count, some that do not, and clients that stall.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use annulus_core::UnixTime;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::*;

/// A folder with an authority, and what it signs.
struct World {
    dir: TempDir,
    authority: Issuer<'static, KeyPair>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("signed");
        fs::write(dir.path().join("ca.pem"), own.pem()).expect("written");
        Self { dir, authority: Issuer::new(params, key) }
    }

    /// Issues a certificate in `NAME.pem` with its key in `NAME.key`.
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Files {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.authority).expect("signed");
        // Replaced as a whole, as programs that renew certificates do.
        let write = |file: &str, text: String, mode| {
            let new = self.dir.path().join("new");
            fs::write(&new, text).expect("written");
            fs::set_permissions(&new, fs::Permissions::from_mode(mode)).expect("set");
            fs::rename(new, self.dir.path().join(file)).expect("renamed");
        };
        write(&format!("{name}.pem"), cert.pem(), 0o644);
        write(&format!("{name}.key"), key.serialize_pem(), 0o600);
        self.files(name)
    }

    fn files(&self, name: &str) -> Files {
        let at = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        Files { cert: at("pem"), key: at("key"), authorities: None }
    }

    fn client(&self) -> ClientFiles {
        ClientFiles { authorities: self.dir.path().join("ca.pem"), own: None }
    }
}

fn names() -> Names {
    Names { addr: "localhost:9632".to_owned(), name: None }
}

/// Both ends of a handshake.
async fn met(
    tls: &Tls,
    client: &ClientFiles,
) -> (io::Result<Wire<DuplexStream>>, io::Result<Wire<DuplexStream>>) {
    let (near, far) = duplex(64 * 1024);
    let names = names();
    tokio::join!(tls.greet(near), client.greet(far, &names))
}

fn shown(wire: &Wire<DuplexStream>) -> CertificateDer<'static> {
    let Wire::Tls(stream) = wire else { panic!("a connection over TLS") };
    stream.get_ref().1.peer_certificates().expect("shown")[0].clone().into_owned()
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_to_do() {
    let world = World::new();
    let clock = Clock::host();
    let why = |files: &Files| Tls::load(files.clone(), clock).expect_err("refused").to_string();
    let good = world.issue("good", |_| {});
    Tls::load(good.clone(), clock).expect("usable");
    let other = world.issue("other", |_| {});

    let expired = world.issue("expired", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let later = world.issue("later", |params| params.not_before = date_time_ymd(3000, 1, 1));
    let client = world.issue("client", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let authority = world.issue("authority", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let mixed = Files { key: other.key.clone(), ..good.clone() };
    let swapped = Files { cert: good.key.clone(), key: good.cert.clone(), authorities: None };
    let absent = Files { cert: world.dir.path().join("none"), ..good.clone() };
    let garbage = Files { cert: world.dir.path().join("garbage"), ..good.clone() };
    fs::write(&garbage.cert, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")
        .expect("written");
    let wrong = Files { cert: world.dir.path().join("wrong"), ..good.clone() };
    fs::write(&wrong.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");
    let cut = Files { cert: world.dir.path().join("cut"), ..good.clone() };
    fs::write(&cut.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n").expect("written");
    let empty = Files { authorities: Some(world.dir.path().join("empty")), ..good.clone() };
    fs::write(world.dir.path().join("empty"), "").expect("written");
    for (files, path, words) in [
        (&expired, &expired.cert, "expired"),
        (&later, &later.cert, "clock"),
        (&client, &client.cert, "serverAuth"),
        (&authority, &authority.cert, "CA:FALSE"),
        (&mixed, &mixed.key, "is not the key"),
        (&swapped, &swapped.cert, "holds no certificate"),
        (&absent, &absent.cert, "No such file"),
        (&garbage, &garbage.cert, "is not base64"),
        (&cut, &cut.cert, "cut off"),
        (&wrong, &wrong.cert, "cannot be used"),
        (&empty, empty.authorities.as_ref().expect("set"), "holds no certificate"),
    ] {
        let text = why(files);
        assert!(text.contains(words) && text.contains(&path.display().to_string()), "{words}: {text}");
    }
    let no_key = Files { key: good.cert.clone(), ..good.clone() };
    fs::set_permissions(&no_key.key, fs::Permissions::from_mode(0o600)).expect("set");
    assert!(why(&no_key).contains("holds no private key"));
    let text =
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
    let locked = Files { key: world.dir.path().join("locked"), ..good.clone() };
    fs::write(&locked.key, text).expect("written");
    fs::set_permissions(&locked.key, fs::Permissions::from_mode(0o600)).expect("set");
    assert!(why(&locked).contains("openssl pkey"), "{}", why(&locked));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let world = World::new();
    let good = world.issue("good", |_| {});
    let set = |mode| fs::set_permissions(&good.key, fs::Permissions::from_mode(mode)).expect("set");
    for open in [0o644, 0o604, 0o660, 0o601] {
        set(open);
        let text = Tls::load(good.clone(), Clock::host()).expect_err("refused").to_string();
        assert!(text.contains(&format!("run `chmod 600 {}`", good.key.display())), "{text}");
    }
    for closed in [0o400, 0o600, 0o640] {
        set(closed);
        Tls::load(good.clone(), Clock::host()).expect("its group may read it");
    }
}

#[tokio::test]
async fn each_end_learns_who_the_other_is() {
    let world = World::new();
    let server = world.issue("server", |_| {});
    let tls = Tls::load(server.clone(), Clock::host()).expect("usable");
    let (near, far) = met(&tls, &world.client()).await;
    let (mut near, mut far) = (near.expect("met"), far.expect("met"));
    assert!(!near.is_certified());
    far.write_all(b"hello").await.expect("sent");
    far.flush().await.expect("sent");
    let mut bytes = [0; 5];
    near.read_exact(&mut bytes).await.expect("received");
    assert_eq!(&bytes, b"hello");

    let stranger = World::new();
    let (_, far) = met(&tls, &stranger.client()).await;
    let text = explain(&far.expect_err("unknown authority")).expect("of TLS");
    assert!(text.contains("--ctl-server-ca-certificate"), "{text}");

    let own = world.issue("client", |_| {});
    let authorities = Some(world.dir.path().join("ca.pem"));
    let tls = Tls::load(Files { authorities, ..server }, Clock::host()).expect("usable");
    let known = ClientFiles { own: Some((own.cert, own.key)), ..world.client() };
    let (near, far) = met(&tls, &known).await;
    assert!(near.expect("met").is_certified());
    far.expect("met");
    let (near, far) = met(&tls, &world.client()).await;
    near.expect_err("no certificate");
    // Its own end of the handshake is done by then; the refusal is the first thing that it reads.
    let error = far.expect("not told yet").read_u8().await.expect_err("refused");
    assert!(explain(&error).expect("of TLS").contains("--ctl-client-certificate"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_in_the_handshake_is_given_up() {
    let world = World::new();
    let tls = Tls::load(world.issue("server", |_| {}), Clock::host()).expect("usable");
    for first in [&b""[..], &[0x16, 3, 1, 2, 0]] {
        let (near, mut far) = duplex(1024);
        far.write_all(first).await.expect("sent");
        let greeted = timeout(HANDSHAKE_TIMEOUT + LOOK_PERIOD, tls.greet(near)).await;
        let error = greeted.expect("not waited for").expect_err("given up");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
    let (near, mut far) = duplex(1024);
    far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    tls.greet(near).await.expect_err("no TLS at all");
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_taken_in_and_bad_ones_are_not() {
    let world = World::new();
    let files = world.issue("server", |_| {});
    let tls = Tls::load(files.clone(), Clock::host()).expect("usable");
    let following = tokio::spawn(tls.clone().follow());
    let certificate = async || {
        // Longer than the looks that see a change, and see it settled.
        tokio::time::sleep(LOOK_PERIOD * 4).await;
        let (near, far) = met(&tls, &world.client()).await;
        near.expect("met");
        shown(&far.expect("met"))
    };
    let first = certificate().await;
    let (near, far) = met(&tls, &world.client()).await;
    let (mut near, mut far) = (near.expect("met"), far.expect("met"));
    world.issue("server", |_| {});
    let second = certificate().await;
    assert_ne!(first, second);
    near.write_all(b"x").await.expect("an open connection goes on");
    near.flush().await.expect("sent");
    assert_eq!(far.read_u8().await.expect("received"), b'x');

    fs::write(&files.cert, "rubbish").expect("written");
    assert_eq!(certificate().await, second, "what cannot be used changes nothing");
    assert!(tls.check().is_err(), "and keeps a supervisor from being started again");
    world.issue("server", |_| {});
    assert_ne!(certificate().await, second);
    following.abort();
}

#[tokio::test(start_paused = true)]
async fn files_that_cannot_be_used_close_the_gateways_until_they_can() {
    let world = World::new();
    let files = world.issue("server", |_| {});
    fs::write(&files.cert, "rubbish").expect("written");
    let tls = Tls::load_or_close(files.clone(), Clock::host());
    let following = tokio::spawn(tls.clone().follow());
    let (near, _) = met(&tls, &world.client()).await;
    near.expect_err("closed");
    let problem = tls.problem().expect("it is named");
    assert!(problem.contains(files.cert.to_str().expect("text")) && problem.contains("closed"), "{problem}");
    world.issue("server", |_| {});
    tokio::time::sleep(LOOK_PERIOD * 4).await;
    let (near, far) = met(&tls, &world.client()).await;
    assert!(near.is_ok() && far.is_ok(), "open");
    assert_eq!(tls.problem(), None);
    fs::write(&files.cert, "rubbish").expect("written");
    tokio::time::sleep(LOOK_PERIOD * 4).await;
    let problem = tls.problem().expect("it is named");
    assert!(problem.contains("those before them stay in use"), "{problem}");
    let (near, far) = met(&tls, &world.client()).await;
    assert!(near.is_ok() && far.is_ok(), "still open");
    following.abort();
}

#[test]
fn the_host_of_an_address_is_its_name() {
    for (addr, name) in
        [("a.example.com:9632", "a.example.com"), ("[::1]:1", "::1"), ("10.0.0.1:1", "10.0.0.1")]
    {
        assert_eq!(Names { addr: addr.to_owned(), name: None }.server(), name);
    }
    assert_eq!(Names { name: Some("b".to_owned()), ..names() }.server(), "b");
}

#[test]
fn a_certificate_that_is_not_renewed_is_named_while_there_is_time() {
    let world = World::new();
    let day = |day| date_time_ymd(2030, 1, day);
    let files = world.issue("short", |params| (params.not_before, params.not_after) = (day(1), day(11)));
    let at = |hours: u64| UnixTime::from_millis((1_893_456_000 + hours * 3_600) * 1_000);
    let (_, lifetime) = files.load(at(1)).expect("it counts");
    assert_eq!(lifetime.age(at(1)), Age::Fresh);
    assert_eq!(lifetime.age(at(191)), Age::Fresh, "there are 49 of 240 hours");
    assert_eq!(lifetime.age(at(194)), Age::Late(46 * 3_600));
    assert_eq!(lifetime.age(at(241)), Age::Expired);
    let tls = Tls::new(files.clone(), Clock::host(), (files.load(at(1)).expect("it counts")).into());
    let said = |age| tls.expires(age).expect("there is something to say");
    assert!(said(Age::Late(46 * 3_600)).contains("short.pem expires in 46 hours"));
    assert!(said(Age::Late(86_400 * 5)).contains("5 days") && said(Age::Late(40)).contains("40 seconds"));
    assert!(said(Age::Expired).contains("has expired"));
}
