//! Plays one end of the connection, by recorded frames or as a version to come, against the real other end.

use std::path::Path;

use annulus_core::ExitStatus;
use prost::Oneof;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::recorded::{launch, version_1, version_2, version_3, version_4};
use crate::host::clock::Clock;
use crate::launcher::client::{Client, ClientError};
use crate::launcher::frame::frame;
use crate::launcher::message::{Answer, Message, Request};
use crate::launcher::{Versions, in_thread};

/// The requests of a supervisor of a later version: fields and a kind of request that no program of today knows.
#[derive(Clone, PartialEq, prost::Message)]
struct FutureRequest {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, optional, tag = "2")]
    hello: Option<FutureRange>,
    #[prost(message, optional, tag = "3")]
    spawn: Option<FutureLaunch>,
    #[prost(string, optional, tag = "50")]
    freeze: Option<String>,
    #[prost(string, tag = "100")]
    trace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FutureRange {
    #[prost(uint32, tag = "1")]
    min: u32,
    #[prost(uint32, tag = "2")]
    max: u32,
    #[prost(string, repeated, tag = "3")]
    abilities: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FutureLaunch {
    #[prost(string, tag = "1")]
    service: String,
    #[prost(string, tag = "4")]
    program: String,
    #[prost(string, tag = "5")]
    dir: String,
    #[prost(string, tag = "7")]
    pid_file: String,
    #[prost(uint32, tag = "8")]
    stop_signal: u32,
    #[prost(string, tag = "60")]
    sandbox: String,
}

/// The messages of a launcher of a later version.
#[derive(Clone, PartialEq, prost::Message)]
struct FutureSay {
    #[prost(oneof = "FutureSaid", tags = "1, 9")]
    said: Option<FutureSaid>,
}

#[derive(Clone, PartialEq, Oneof)]
enum FutureSaid {
    #[prost(message, tag = "1")]
    Answer(FutureAnswer),
    #[prost(string, tag = "9")]
    Frozen(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct FutureAnswer {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, optional, tag = "2")]
    welcome: Option<FutureWelcome>,
    #[prost(message, optional, tag = "3")]
    refused: Option<FutureRange>,
    #[prost(string, optional, tag = "40")]
    perhaps: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FutureWelcome {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, optional, tag = "2")]
    versions: Option<FutureRange>,
    #[prost(string, tag = "3")]
    boot_id: String,
    #[prost(string, tag = "20")]
    host: String,
}

fn range(min: u32, max: u32) -> Option<FutureRange> {
    Some(FutureRange { min, max, abilities: vec!["freeze".to_owned()] })
}

/// One end of a connection, byte by byte.
struct Raw(UnixStream);

impl Raw {
    fn launcher(services: &Path) -> Self {
        Self(in_thread(services))
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
    }

    /// The next frame without its length; none at the end of the connection.
    async fn frame(&mut self) -> Option<Vec<u8>> {
        let length = self.0.read_u32_le().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).expect("short")];
        self.0.read_exact(&mut frame).await.expect("all of it");
        Some(frame)
    }

    async fn message(&mut self) -> Option<Message> {
        Some(Message::decode(&self.frame().await?).expect("a message").expect("a known one"))
    }

    async fn answer(&mut self) -> (u64, Answer) {
        loop {
            match self.message().await.expect("the connection is open") {
                Message::Answer { id, answer } => return (id, answer),
                Message::Exited { .. } => {}
            }
        }
    }
}

#[tokio::test]
async fn a_launcher_understands_the_recorded_supervisor() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut raw = Raw::launcher(dir.path());
    raw.send(&version_2("supervisor hello")).await;
    let (id, welcome) = raw.answer().await;
    let Answer::Welcome { version, versions, held, .. } = welcome else { panic!("{welcome:?}") };
    assert_eq!((id, version, held), (0, 2, Vec::new()));
    assert!(versions.contains(2), "{versions}");
    raw.send(&version_2("supervisor spawn")).await;
    let (id, Answer::Started { pid, guarded: false }) = raw.answer().await else { panic!("it does not run") };
    assert_eq!(id, 1);
    let end = raw.message().await;
    let status = ExitStatus::Code(0);
    assert_eq!(
        end,
        Some(Message::Exited { service: "web".to_owned(), pid, status }),
        "cat had nothing to read"
    );
    raw.send(&version_2("supervisor adopt")).await;
    let (id, Answer::Failed { busy: false, .. }) = raw.answer().await else { panic!("there is none") };
    assert_eq!(id, 2);
    for (name, id) in [("signal", 3), ("kill", 3), ("lease", 4), ("no-lease", 4), ("log", 5), ("kill-all", 6)]
    {
        raw.send(&version_2(&format!("supervisor {name}"))).await;
        assert_eq!(raw.answer().await, (id, Answer::Done), "{name}");
    }
}

#[tokio::test]
async fn a_supervisor_understands_the_recorded_launcher() {
    let (own, other) = UnixStream::pair().expect("a pair");
    let mut launcher = Raw(other);
    let play = tokio::spawn(async move {
        for (asked, answers) in [
            ("supervisor hello", vec!["launcher welcome"]),
            ("supervisor spawn", vec!["launcher started", "launcher killed"]),
            ("supervisor adopt", vec!["launcher failed"]),
            ("supervisor kill", vec!["launcher done"]),
            ("supervisor no-lease", vec!["launcher unknown"]),
        ] {
            // The greeting offers more than that launcher knew; all else is as it was.
            let recorded = if asked == "supervisor hello" { version_4(asked) } else { version_2(asked) };
            assert_eq!(launcher.frame().await.expect("a request"), recorded[4..], "{asked}");
            for answer in answers {
                launcher.send(&version_2(answer)).await;
            }
        }
        launcher
    });
    let (client, running) = Client::over(own, &Clock::host()).await.expect("the versions fit");
    assert_eq!((client.version(), running), (2, Vec::new()), "what it holds is of another boot");
    assert!(!client.has_guards());
    let (pid, end) = client.spawn(launch()).await.expect("it runs");
    assert_eq!((pid, end.await), (4_242, Ok(ExitStatus::Signal(9))));
    let refused = client.adopt("web".to_owned(), pid).await.expect_err("it is busy");
    assert_eq!(refused, (true, "Text file busy".to_owned()));
    let kill = Request::Signal { service: "web".to_owned(), pid, kill: true };
    assert_eq!(client.request(&kill).await, Ok(Answer::Done));
    let lease = Request::Lease { service: "web".to_owned(), pid, deadline_ms: None };
    assert_eq!(client.request(&lease).await, Ok(Answer::Unknown));
    drop(play.await.expect("played to the end"));
    client.closed().await;
}

#[tokio::test]
async fn a_newer_supervisor_is_served_by_todays_launcher() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut raw = Raw::launcher(dir.path());
    let ask = |request: FutureRequest| frame(&request).expect("short");
    raw.send(&ask(FutureRequest { hello: range(2, 9), trace: "x".to_owned(), ..FutureRequest::default() }))
        .await;
    let (0, Answer::Welcome { version: 4, .. }) = raw.answer().await else { panic!("not welcome") };
    raw.send(&ask(FutureRequest { id: 1, freeze: Some("web".to_owned()), ..FutureRequest::default() })).await;
    assert_eq!(raw.answer().await, (1, Answer::Unknown), "and the connection stays");
    let spawn = FutureLaunch {
        service: "web".to_owned(),
        program: "/bin/cat".to_owned(),
        dir: "/".to_owned(),
        pid_file: "/nonexistent/annulus/PID".to_owned(),
        stop_signal: 15,
        sandbox: "strict".to_owned(),
    };
    raw.send(&ask(FutureRequest { id: 2, spawn: Some(spawn), ..FutureRequest::default() })).await;
    let (2, Answer::Started { .. }) = raw.answer().await else { panic!("it does not run") };
}

#[tokio::test]
async fn a_newer_launcher_serves_todays_supervisor() {
    let (own, other) = UnixStream::pair().expect("a pair");
    let mut launcher = Raw(other);
    let play = tokio::spawn(async move {
        launcher.frame().await.expect("a greeting");
        let versions = range(2, 7);
        let (boot_id, host) = ("x".to_owned(), "h".to_owned());
        let welcome = FutureWelcome { version: 2, versions, boot_id, host };
        let answer = FutureAnswer { id: 0, welcome: Some(welcome), ..FutureAnswer::default() };
        for said in [FutureSaid::Answer(answer), FutureSaid::Frozen("web".to_owned())] {
            launcher.send(&frame(&FutureSay { said: Some(said) }).expect("short")).await;
        }
        launcher.frame().await.expect("a request");
        let answer = FutureAnswer { id: 1, perhaps: Some("later".to_owned()), ..FutureAnswer::default() };
        launcher.send(&frame(&FutureSay { said: Some(FutureSaid::Answer(answer)) }).expect("short")).await;
        launcher
    });
    let (client, _) = Client::over(own, &Clock::host()).await.expect("the versions fit");
    assert_eq!(client.version(), 2);
    let answer = client.request(&Request::KillAll).await;
    assert_eq!(answer, Ok(Answer::Unknown), "an answer of another kind is none that was hoped for");
    drop(play.await.expect("played to the end"));
}

async fn refused_by(answer: Vec<u8>) -> ClientError {
    let (own, other) = UnixStream::pair().expect("a pair");
    let mut launcher = Raw(other);
    let play = tokio::spawn(async move {
        launcher.frame().await.expect("a greeting");
        launcher.send(&answer).await;
    });
    let Err(error) = Client::over(own, &Clock::host()).await else {
        panic!("there is no version that both speak")
    };
    play.await.expect("played to the end");
    error
}

#[tokio::test]
async fn a_launcher_that_cannot_be_understood_is_named_with_both_versions() {
    let refused = FutureAnswer { refused: range(5, 7), ..FutureAnswer::default() };
    let refused = frame(&FutureSay { said: Some(FutureSaid::Answer(refused)) }).expect("short");
    let error = refused_by(refused).await;
    assert!(matches!(error, ClientError::Versions { launcher: Versions { min: 5, max: 7 } }), "{error}");
    let text = error.to_string();
    assert!(text.contains("versions 5 to 7") && text.contains("this supervisor versions 2 to 4"), "{text}");
    assert!(text.contains("go on") && text.contains("annulus sup term"), "{text}");
    // A launcher of version 1 does not know the greeting, and hangs up without a word.
    let text = refused_by(Vec::new()).await.to_string();
    assert!(text.contains("speaks version 1 ") && text.contains("this supervisor versions 2 to 4"), "{text}");
    // A launcher that chooses a version which was not offered.
    let welcome = FutureWelcome { version: 5, versions: range(5, 7), ..FutureWelcome::default() };
    let answer = FutureAnswer { welcome: Some(welcome), ..FutureAnswer::default() };
    let welcome = frame(&FutureSay { said: Some(FutureSaid::Answer(answer)) }).expect("short");
    assert!(refused_by(welcome).await.to_string().contains("versions 5 to 7"));
}

#[tokio::test]
async fn a_supervisor_that_cannot_be_understood_is_refused_and_let_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut newer = Raw::launcher(dir.path());
    newer
        .send(&frame(&FutureRequest { hello: range(5, 9), ..FutureRequest::default() }).expect("short"))
        .await;
    let (0, Answer::Refused { versions }) = newer.answer().await else { panic!("welcome") };
    assert_eq!(versions, Versions::SPOKEN);
    assert_eq!(newer.frame().await, None, "the connection is closed");

    // The words of version 1: a welcome that names a version which the supervisor
    // does not speak, and nothing to take over.
    let mut first = Raw::launcher(dir.path());
    first.send(&version_1("supervisor hello")).await;
    let answer = first.frame().await.expect("an answer");
    let recorded = &version_1("launcher welcome")[4..];
    assert_eq!(answer[..10], recorded[..10], "a welcome to request 0");
    assert_eq!(answer[10..18], 4_u64.to_le_bytes(), "of version 4");
    assert_eq!(answer[18..], [0; 8], "no boot, no processes");
    assert_eq!(first.frame().await, None, "the connection is closed");
}

#[tokio::test]
async fn a_hook_without_its_descriptors_is_refused_and_the_connection_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut raw = Raw::launcher(dir.path());
    raw.send(&version_3("supervisor hello")).await;
    raw.answer().await;
    raw.send(&version_3("supervisor hook")).await;
    let (7, Answer::Failed { busy: false, reason }) = raw.answer().await else { panic!("it ran") };
    assert!(reason.contains("output"), "{reason}");
    raw.send(&version_3("supervisor end-hook")).await;
    assert_eq!(raw.answer().await, (8, Answer::Done));
    raw.send(&version_3("supervisor spawn-leading")).await;
    let (1, Answer::Failed { reason, .. }) = raw.answer().await else { panic!("its time is over") };
    assert!(reason.contains("ended"), "{reason}");
}

#[tokio::test]
async fn who_does_not_greet_is_not_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut raw = Raw::launcher(dir.path());
    raw.send(&version_2("supervisor spawn")).await;
    assert_eq!(raw.frame().await, None);
}
