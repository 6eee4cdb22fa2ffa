//! Frames between a launcher and its supervisor, each way: what is read survives being written and read again.

use annulus::launcher::message::{Message, Request};
use annulus::launcher::next_frame;

use super::{MIB, Seen, Target};
use crate::mutate::protobuf;

pub(super) const REQUESTS: Target = Target {
    name: "launcher_request",
    about: "what a supervisor asks its launcher, with a round trip of what was read",
    run: request,
    mutate: protobuf::mutate,
    seeds: || recorded("supervisor"),
    tell: None,
    bytes_max: 16 * 1024,
    memory_max: 16 * MIB,
};

pub(super) const MESSAGES: Target = Target {
    name: "launcher_message",
    about: "what a launcher says to its supervisor, with a round trip of what was read",
    run: message,
    mutate: protobuf::mutate,
    seeds: || recorded("launcher"),
    tell: None,
    bytes_max: 16 * 1024,
    memory_max: 16 * MIB,
};

/// The frame without the length that `encode` puts before it.
fn unframed(bytes: &[u8]) -> &[u8] {
    next_frame(bytes).expect("a frame of a right length").expect("all of it")
}

/// The name of a variant.
fn kind(of: &impl std::fmt::Debug) -> String {
    format!("{of:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// The frames of this direction that the launcher's tests have recorded, without their lengths.
fn recorded(from: &str) -> Vec<Vec<u8>> {
    let files = crate::corpus::files_below("runtime-real/src/launcher/frames", "txt");
    let texts: Vec<String> = files.into_iter().filter_map(|bytes| String::from_utf8(bytes).ok()).collect();
    let hex = |line: &str| {
        let hex = line.split_whitespace().next_back()?.as_bytes();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        hex.chunks_exact(2).map(pair).collect::<Option<Vec<u8>>>()
    };
    let frames = texts.iter().flat_map(|text| text.lines()).filter_map(hex);
    let is_ours = |bytes: &[u8]| match from {
        "supervisor" => matches!(Request::decode(bytes), Ok((_, Some(_)))),
        _ => matches!(Message::decode(bytes), Ok(Some(_))),
    };
    let bodies = frames.filter_map(|frame| Some(next_frame(&frame).ok()??.to_vec()));
    bodies.filter(|body| is_ours(body)).collect()
}

fn request(bytes: &[u8]) -> Seen {
    // The same bytes may come before a whole frame has.
    let _ = next_frame(bytes);
    match Request::decode(bytes) {
        Err(error) => Seen::refused(&error.to_string()),
        Ok((_, None)) => Seen::refused("a kind of a later version"),
        Ok((id, Some(request))) => {
            let written = request.encode(id).expect("a request that was read fits");
            assert_eq!(
                Request::decode(unframed(&written)),
                Ok((id, Some(request.clone()))),
                "a request survives"
            );
            Seen::accepted(&kind(&request), bytes.len())
        }
    }
}

fn message(bytes: &[u8]) -> Seen {
    let _ = next_frame(bytes);
    match Message::decode(bytes) {
        Err(error) => Seen::refused(&error.to_string()),
        Ok(None) => Seen::refused("a kind of a later version"),
        Ok(Some(message)) => {
            let written = message.encode().expect("a message that was read fits");
            assert_eq!(Message::decode(unframed(&written)), Ok(Some(message.clone())), "a message survives");
            Seen::accepted(&kind(&message), bytes.len())
        }
    }
}
