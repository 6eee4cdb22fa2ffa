//! Bytes that no launcher and no supervisor would send.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use annulus_core::{ExitStatus, Health};
use proptest::prelude::*;

use crate::host::capabilities::Capabilities;
use crate::launcher::client::take_all;
use crate::launcher::frame::{FrameError, next_frame};
use crate::launcher::link::Link;
use crate::launcher::message::{
    Answer, Held, HookLaunch, Launch, Lease, Limits, Message, Owner, Request, Resume,
};
use crate::launcher::output::READ_BYTES;
use crate::launcher::version::Versions;

fn resume() -> impl Strategy<Value = Option<Resume>> {
    let resume = (any::<[u8; 16]>(), "\\PC{0,9}", any::<u64>(), any::<u64>());
    let resume = resume.prop_map(|(member, group, term, until_ms)| Resume { member, group, term, until_ms });
    prop::option::of(resume)
}

fn hook() -> impl Strategy<Value = Request> {
    ("\\PC{1,9}", "\\PC{1,9}", any::<u64>()).prop_map(|(service, path, timeout_ms)| {
        let (program, dir) = (path.clone().into(), path.into());
        let env = vec![("A".into(), service.clone().into())];
        let lease = Some(Lease { kill_at_ms: timeout_ms, resume: None });
        let capabilities = Capabilities::from_bits(timeout_ms);
        Request::Hook(Box::new(HookLaunch {
            service,
            program,
            dir,
            env,
            owner: None,
            capabilities,
            timeout_ms,
            lease,
        }))
    })
}

fn launch() -> impl Strategy<Value = Launch> {
    let owner = prop::option::of((any::<u32>(), any::<u32>(), prop::collection::vec(any::<u32>(), 0..4)));
    let limits = (any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<u64>>());
    let texts =
        ("\\PC{1,9}", "\\PC{0,9}", "\\PC{1,9}", prop::collection::vec(("\\PC{0,5}", "\\PC{0,5}"), 0..4));
    let lease = prop::option::of((any::<u64>(), resume()));
    (texts, owner, limits, lease, any::<u32>(), any::<u64>()).prop_map(
        |((service, group, path, env), owner, (memory_bytes, cpu_millis, pids), lease, small, large)| {
            Launch {
                ident: format!("test/{service}"),
                service,
                group,
                program: path.clone().into(),
                dir: path.clone().into(),
                env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                pid_file: path.into(),
                stop_signal: small,
                stop_timeout_ms: large,
                owner: owner.map(|(uid, gid, groups)| Owner { uid, gid, groups }),
                capabilities: Capabilities::from_bits(large),
                nofile: memory_bytes,
                limits: Limits { memory_bytes, cpu_millis, pids },
                lease: lease.map(|(kill_at_ms, resume)| Lease { kill_at_ms, resume }),
                restarts: small,
            }
        },
    )
}

fn versions() -> impl Strategy<Value = Versions> {
    (any::<u32>(), any::<u32>()).prop_map(|(min, max)| Versions { min, max })
}

fn request() -> impl Strategy<Value = Request> {
    let service = "\\PC{1,9}";
    prop_oneof![
        versions().prop_map(|versions| Request::Hello { versions }),
        launch().prop_map(|launch| Request::Spawn(Box::new(launch))),
        (service, any::<u32>()).prop_map(|(service, pid)| Request::Adopt { service, pid }),
        (service, any::<u32>(), any::<bool>()).prop_map(|(service, pid, kill)| Request::Signal {
            service,
            pid,
            kill
        }),
        (service, any::<u32>(), any::<Option<u64>>())
            .prop_map(|(service, pid, deadline_ms)| Request::Lease { service, pid, deadline_ms }),
        (service, any::<u8>(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(service, tag, line)| Request::Log { group: service.clone(), service, tag, line }),
        Just(Request::KillAll),
        hook(),
        (service, any::<u64>()).prop_map(|(service, hook)| Request::EndHook { service, hook }),
        (service, any::<u32>(), health()).prop_map(|(service, pid, health)| Request::Checked {
            service,
            pid,
            health
        }),
    ]
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![Just(Health::Ok), Just(Health::Warning), Just(Health::Critical), Just(Health::Unknown)]
}

fn message() -> impl Strategy<Value = Message> {
    let status = || {
        prop_oneof![
            any::<i32>().prop_map(ExitStatus::Code),
            any::<i32>().prop_map(ExitStatus::Signal),
            Just(ExitStatus::Unknown),
        ]
    };
    let held = ("\\PC{0,9}", any::<u32>(), any::<u64>(), any::<bool>(), resume(), prop::option::of(health()))
        .prop_map(|(service, pid, number, ended, resume, health)| Held {
            group: format!("{service}.default"),
            ident: format!("test/{service}"),
            service,
            pid,
            start_ticks: number,
            since_ms: number,
            ended,
            resume,
            restarts: pid,
            stop_timeout_ms: number,
            health,
        });
    let answer = prop_oneof![
        (any::<u32>(), versions(), "\\PC{0,9}", prop::collection::vec(held, 0..4)).prop_map(
            |(version, versions, boot_id, held)| Answer::Welcome { version, versions, boot_id, held }
        ),
        versions().prop_map(|versions| Answer::Refused { versions }),
        Just(Answer::Unknown),
        (any::<u32>(), any::<bool>()).prop_map(|(pid, guarded)| Answer::Started { pid, guarded }),
        (status(), any::<bool>()).prop_map(|(status, timed_out)| Answer::HookEnded { status, timed_out }),
        (any::<bool>(), "\\PC{0,9}").prop_map(|(busy, reason)| Answer::Failed { busy, reason }),
        Just(Answer::Done),
    ];
    prop_oneof![
        (any::<u64>(), answer).prop_map(|(id, answer)| Message::Answer { id, answer }),
        ("\\PC{1,9}", any::<u32>(), status()).prop_map(|(service, pid, status)| Message::Exited {
            service,
            pid,
            status
        }),
    ]
}

/// Bytes of which some begin like frames.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|body| {
            let length = u32::try_from(body.len()).expect("short");
            [&length.to_le_bytes()[..], &body].concat()
        }),
        (request(), any::<u64>(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
            |(request, id, at, byte)| {
                let mut frame = request.encode(id).expect("short");
                let at = 4 + at.index(frame.len() - 4);
                frame[at] = byte;
                frame
            }
        ),
        message().prop_map(|message| message.encode().expect("short")),
    ];
    prop::collection::vec(chunk, 0..5).prop_map(|chunks| chunks.concat())
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(request in request(), message in message(), id: u64) {
        let frame = request.encode(id).expect("short");
        prop_assert_eq!(next_frame(&frame), Ok(Some(&frame[4..])));
        prop_assert_eq!(next_frame(&frame[..frame.len() - 1]), Ok(None));
        prop_assert_eq!(Request::decode(&frame[4..]), Ok((id, Some(request))));
        let frame = message.encode().expect("short");
        prop_assert_eq!(Message::decode(&frame[4..]), Ok(Some(message)));
    }

    #[test]
    fn a_launcher_survives_any_bytes(bytes in bytes()) {
        let (mut own, other) = UnixStream::pair().expect("a pair");
        let mut link = Link::connected(other).expect("connected");
        own.write_all(&bytes).expect("sent");
        drop(own);
        let mut buffer = vec![0; READ_BYTES];
        let mut taken = 0;
        while link.is_open() {
            taken += link.requests(&mut buffer).0.len();
            prop_assert!(taken <= bytes.len() / 4, "no frame is shorter than its length");
        }
    }

    #[test]
    fn a_supervisor_survives_any_bytes(bytes in bytes()) {
        let _ = take_all(bytes);
    }

    #[test]
    fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::decode(&bytes);
        let _ = Message::decode(&bytes);
    }
}

#[test]
fn what_is_missing_or_too_much_is_said() {
    let none = Request::Adopt { service: String::new(), pid: 1 }.encode(1).expect("short");
    assert_eq!(Request::decode(&none[4..]), Err(FrameError::Field("service")));
    let groups = vec![1; 20_000];
    let owner = Some(Owner { uid: 1, gid: 1, groups });
    let many = Request::Spawn(Box::new(Launch { owner, ..super::recorded::launch() }));
    let many = many.encode(1).expect("short enough");
    assert_eq!(Request::decode(&many[4..]), Err(FrameError::Field("groups")));
    assert_eq!(Request::decode(&[8, 5]), Ok((5, None)), "a request of a kind to come");
    assert!(matches!(Request::decode(&[0xff]), Err(FrameError::Malformed(_))));
}
