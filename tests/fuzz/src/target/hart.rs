//! A package file, read to its end without being installed.
//!
//! The first byte says what follows: 0 a file as it is; else a tar archive, which is given right checksums, compressed
//! and put behind a header, so that changes reach what is inside.

use std::io::{Read as _, Write as _};

use annulus::package::{Hart, Limits, inspect};
use liblzma::write::XzEncoder;
use tempfile::NamedTempFile;

use super::{MIB, Seen, Target};
use crate::mutate::bytes;

pub(super) const TARGET: Target = Target {
    name: "hart",
    about: "package files: header, compression, archive",
    run,
    mutate,
    seeds,
    tell: None,
    bytes_max: 24 * 1024,
    memory_max: 300 * MIB,
};

const HEADER: &[u8] = b"HART-1\nacme-20260101000000\nBLAKE2b\nAAAA\n\n";
const BLOCK: usize = 512;
/// Where a header of an archive has its checksum.
const CHECKSUM: std::ops::Range<usize> = 148..156;
const LIMITS: Limits = Limits { entries_max: 1_000, bytes_max: 16 * 1024 * 1024 };

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut xz = XzEncoder::new(HEADER.to_vec(), 0);
    xz.write_all(bytes).expect("in memory");
    xz.finish().expect("in memory")
}

/// Gives every block that may be a header the checksum that it should have.
fn with_checksums(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for block in tar.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        block[CHECKSUM].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}

fn run(input: &[u8]) -> Seen {
    let file = match input.split_first() {
        None => return Seen::refused("empty"),
        Some((0, rest)) => rest.to_vec(),
        Some((_, tar)) => compress(&with_checksums(tar)),
    };
    let mut on_disk = NamedTempFile::new().expect("a temporary file");
    on_disk.write_all(&file).expect("room for it");
    let mut hart = match Hart::open(on_disk.path()) {
        Ok(hart) => hart,
        Err(error) => return Seen::refused(why(&error.to_string())),
    };
    let mut payload = Vec::new();
    hart.payload()
        .map(|mut read| read.read_to_end(&mut payload).expect("a file on disk"))
        .expect("it is there");
    match inspect(&mut hart, LIMITS) {
        Err(error) => Seen::refused(why(&error.to_string())),
        Ok(found) => Seen::accepted(&format!("{}", found.metafiles.len().min(4)), found.files_count as usize),
    }
}

/// The end of a message: its beginning names the file, which differs each time.
fn why(message: &str) -> &str {
    message.rsplit(": ").next().unwrap_or(message)
}

/// Where a header of an archive has its fields: name, mode, owner, size, time, kind, link, prefix.
const FIELDS: [std::ops::Range<usize>; 9] =
    [0..100, 100..108, 108..116, 116..124, 124..136, 136..148, 156..157, 157..257, 345..500];

/// Mostly whole blocks are moved, or a field of a header is overwritten: the rest stays where an archive has it.
fn mutate(rng: &mut annulus_core::Rng, input: &mut Vec<u8>, other: &[u8]) {
    let blocks = input.len().saturating_sub(1) / BLOCK;
    if input.first() == Some(&0) || blocks == 0 || rng.chance(1, 6) {
        return bytes::mutate(rng, input, other);
    }
    let at = 1 + BLOCK * rng.index(blocks);
    match rng.below(6) {
        0 => {
            input.drain(at..at + BLOCK);
        }
        1 => {
            let block = input[at..at + BLOCK].to_vec();
            let to = 1 + BLOCK * rng.index(blocks);
            input.splice(to..to, block);
        }
        kind => {
            let field = FIELDS[rng.index(FIELDS.len())].clone();
            let place = &mut input[at + field.start..at + field.end];
            if kind == 2 {
                let mut changed = place.to_vec();
                bytes::mutate(rng, &mut changed, other);
                let len = changed.len().min(place.len());
                place[..len].copy_from_slice(&changed[..len]);
            } else {
                // A number as archives write it, in octal digits.
                let digits = format!("{:o}\0", crate::mutate::border(rng));
                let len = digits.len().min(place.len());
                place[..len].copy_from_slice(&digits.as_bytes()[..len]);
            }
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let top = "hab/pkgs/acme/shop/1.2.0/20260101000000";
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, content: &[u8], link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        if !link.is_empty() {
            header.set_link_name(link).expect("a short name");
        }
        header.set_cksum();
        tar.append_data(&mut header, format!("{top}/{path}"), content).expect("in memory");
    };
    add("IDENT", tar::EntryType::Regular, b"acme/shop/1.2.0/20260101000000\n", "");
    add("bin", tar::EntryType::Directory, b"", "");
    add("bin/shop", tar::EntryType::Regular, b"#!/bin/sh\nexec sleep 1\n", "");
    add("bin/alias", tar::EntryType::Symlink, b"", "shop");
    add(&"deep/".repeat(30), tar::EntryType::Directory, b"", "");
    let tar = tar.into_inner().expect("in memory");
    let whole = [&[0][..], &compress(&tar)].concat();
    let inside = [&[1][..], &tar].concat();
    vec![inside, whole, [&[0][..], HEADER].concat()]
}
