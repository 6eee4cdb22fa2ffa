//! Requests at the ctl gateway: the frame, the message inside, and the conversion into what the core understands.

use annulus::gateway::ctl::convert;
use annulus::gateway::ctl::frame::{Frame, Txn};
use annulus::gateway::ctl::message::{CtlMessage, SvcLoad, SvcUpdate};
use prost::Message as _;

use super::{MIB, Seen, Target};
use crate::mutate::{bytes, protobuf};

pub(super) const TARGET: Target = Target {
    name: "ctl",
    about: "frames and requests of the ctl gateway, with a round trip of the frame",
    run,
    mutate,
    seeds,
    tell: None,
    bytes_max: 16 * 1024,
    memory_max: 16 * MIB,
};

fn read(bytes: &[u8]) -> Result<Option<Frame>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(Frame::read(&mut &bytes[..])).map_err(|error| error.to_string())
}

fn run(input: &[u8]) -> Seen {
    let frame = match read(input) {
        Err(error) => return Seen::refused(&error),
        Ok(None) => return Seen::refused("empty"),
        Ok(Some(frame)) => frame,
    };
    let written = frame.encode().expect("a frame that was read fits");
    assert_eq!(read(&written).as_ref(), Ok(&Some(frame.clone())), "a frame survives");
    let outcome = match frame.id.as_str() {
        SvcLoad::ID => SvcLoad::decode(&frame.body[..])
            .map_err(|error| error.to_string())
            .and_then(|load| convert::spec(&load, None).map_err(|error| error.msg))
            .map(|spec| format!("{:?} {}", spec.topology, spec.binds.len().min(3))),
        SvcUpdate::ID => SvcUpdate::decode(&frame.body[..])
            .map_err(|error| error.to_string())
            .and_then(|update| convert::change(&update).map_err(|error| error.msg))
            .map(|change| format!("{:?}", change.topology)),
        other => Ok(format!("unread {}", other.len())),
    };
    match outcome {
        Err(error) => Seen::refused(&error),
        Ok(kind) => Seen::accepted(&kind, frame.body.len()),
    }
}

/// Mostly the message inside is changed, and the frame around it is right.
fn mutate(rng: &mut annulus_core::Rng, input: &mut Vec<u8>, other: &[u8]) {
    match read(input) {
        Ok(Some(mut frame)) if rng.chance(3, 4) => {
            let other = read(other).ok().flatten().map(|frame| frame.body).unwrap_or_default();
            protobuf::mutate(rng, &mut frame.body, &other);
            if let Ok(bytes) = frame.encode() {
                *input = bytes;
            }
        }
        _ => bytes::mutate(rng, input, other),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let txn = Some(Txn { id: 1, response: false, complete: false });
    let of = |id: &str, body: Vec<u8>| Frame { txn, id: id.to_owned(), body }.encode().expect("it fits");
    let ident = annulus::gateway::ctl::message::PackageIdent {
        origin: "acme".to_owned(),
        name: "redis".to_owned(),
        version: Some("7.2.0".to_owned()),
        release: None,
    };
    let load = SvcLoad { ident: Some(ident.clone()), ..SvcLoad::default() };
    let full = SvcLoad {
        group: Some("prod".to_owned()),
        bldr_channel: Some("stable".to_owned()),
        topology: Some(1),
        update_strategy: Some(1),
        binding_mode: Some(1),
        ..load.clone()
    };
    let update = SvcUpdate { ident: Some(ident), topology: Some(1), ..SvcUpdate::default() };
    vec![
        of(SvcLoad::ID, load.encode_to_vec()),
        of(SvcLoad::ID, full.encode_to_vec()),
        of(SvcUpdate::ID, update.encode_to_vec()),
        of("SvcStatus", Vec::new()),
    ]
}
