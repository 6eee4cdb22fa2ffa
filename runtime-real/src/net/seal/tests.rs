//! Habitat's messages are opened, and ours are what its documents say: both byte by byte.

use dryoc::classic::crypto_secretbox::crypto_secretbox_open_easy;
use proptest::prelude::*;

use annulus_core::limits::SEAL_BYTES_MAX;
use annulus_core::{Channel, MemberId, Salt, StampSender};

use super::*;
use crate::keys::crypto::SharedKey;
use crate::keys::{HeldKey, KeyFile};

/// Of the ring whose messages were recorded.
const KEY: &str = "SYM-SEC-1\nvectorring-20261129120620\n\n6OOZ93BgBezgbLDdExb2IoHIXKdJdWM/ql32R98RaK0=";

fn key() -> SharedKey {
    let file = KeyFile::parse(KEY, std::path::Path::new("vectorring")).expect("a key");
    SharedKey::from_bytes(file.bytes()).expect("32 bytes")
}

fn held() -> HeldKey {
    let id = KeyFile::parse(KEY, std::path::Path::new("vectorring")).expect("a key").id;
    HeldKey { id, key: key() }
}

fn seal() -> Seal {
    Seal::new(HeldKeys::new([held()], false), 7)
}

fn sealed(seal: &Seal, stamp: Stamp, bytes: &[u8]) -> Vec<u8> {
    seal.seal(&held().ring_id(), stamp, bytes).expect("it has the key")
}

fn stamp(counter: u32) -> Stamp {
    let sender = StampSender::of(&MemberId::from_bytes([5; 16]));
    Stamp { sender, boot: 7, salt: Salt([1, 2, 3, 4, 5, 6, 7, 8]), counter }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|c| char::from(c).to_digit(16).expect("a digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Way, name, sealed message, message.
fn samples() -> Vec<(&'static str, &'static str, Vec<u8>, Vec<u8>)> {
    let lines = include_str!("habitat.txt").lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &'static str| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0], words[1], bytes(words[2]), bytes(words[3]))
    };
    lines.map(sample).collect()
}

#[test]
fn habitats_messages_are_opened() {
    let (seal, samples) = (seal(), samples());
    for way in ["datagram", "frame"] {
        assert!(samples.iter().filter(|sample| sample.0 == way).count() >= 17);
    }
    for (_, name, sealed, message) in samples {
        let opened = seal.open(&sealed).map(|(key, opened, _)| (key, opened));
        assert_eq!(opened, Ok((held().ring_id(), Envelope::plain(&message))), "{name}");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            // A changed flag says nothing, because Habitat goes by the nonce.
            assert!(seal.open(&changed).is_err() || at < 2, "{name}: byte {at}");
        }
    }
}

/// Opens a message as the documents describe it, with another library and without the code above.
fn open_as_documented(sealed: &[u8]) -> Vec<u8> {
    assert_eq!(sealed[..4], [0x08, 1, 0x12, 24], "field 1 is true, field 2 has 24 bytes");
    let nonce: [u8; 24] = sealed[4..28].try_into().expect("24 bytes");
    assert_eq!(sealed[28], 0x1a, "field 3");
    let length_bytes = 1 + sealed[29..].iter().position(|byte| *byte < 0x80).expect("a length");
    let sealed = &sealed[29 + length_bytes..];
    let mut message = vec![0; sealed.len() - 16];
    let key: [u8; 32] = key().as_bytes().try_into().expect("32 bytes");
    crypto_secretbox_open_easy(&mut message, sealed, &nonce, &key).expect("sealed with the key");
    message
}

#[test]
fn the_nonce_is_the_number_of_the_message() {
    let seal = seal();
    let sealed = sealed(&seal, stamp(9), &Envelope::plain(b"message"));
    assert_eq!(sealed[4..12], MemberId::from_bytes([5; 16]).as_bytes()[..8]);
    assert_eq!((&sealed[12..16], &sealed[24..28]), (&[0, 0, 0, 7][..], &[0, 0, 0, 9][..]));
    assert_eq!(seal.open(&sealed), Ok((held().ring_id(), Envelope::plain(b"message"), Some(stamp(9)))));
}

#[test]
fn no_series_comes_twice_and_channels_have_their_own() {
    let seal = seal();
    let series: Vec<Series> = (0..200).map(|_| seal.series()).collect();
    for (place, one) in series.iter().enumerate() {
        assert_eq!(one.boot, 7);
        assert!(!series[..place].contains(one), "a copy of the data directory has another salt");
        for channel in Channel::ALL {
            assert_eq!(one.salt(channel).channel(), channel);
        }
    }
}

#[test]
fn strangers_are_told_apart() {
    let (seal, plain) = (seal(), Envelope::plain(b"message"));
    assert_eq!(seal.open(&plain), Err(Unreadable::NoKey));
    let stranger = HeldKey { id: "other-20260101000000".parse().expect("an id"), key: SharedKey::generate() };
    let other = Seal::new(HeldKeys::new([stranger.clone()], false), 1);
    let sealed = other.seal(&stranger.ring_id(), stamp(1), &plain).expect("it has the key");
    assert_eq!(seal.seal(&stranger.ring_id(), stamp(1), &plain), None, "a key that is not there");
    assert_eq!(seal.open(&sealed), Err(Unreadable::UnknownKey));
    assert_eq!(seal.open(&sealed[..40]), Err(Unreadable::Foreign), "cut in its payload");
    let short_nonce = Envelope::sealed(&[1; 23], &[0; 40]);
    for noise in [&b""[..], b"GET / HTTP/1.1", &[0xff; 30], &short_nonce] {
        assert_eq!(seal.open(noise), Err(Unreadable::Foreign), "{noise:?}");
    }
}

proptest! {
    #[test]
    fn a_message_comes_back_and_grows_by_what_is_kept_free(
        message in prop::collection::vec(any::<u8>(), 0..20_000),
        counter in any::<u32>(),
    ) {
        let (seal, plain) = (seal(), Envelope::plain(&message));
        let sealed = sealed(&seal, stamp(counter), &plain);
        prop_assert!(sealed.len() <= plain.len() + SEAL_BYTES_MAX, "{} and {}", sealed.len(), plain.len());
        prop_assert_eq!(open_as_documented(&sealed), message);
        prop_assert_eq!(seal.open(&sealed), Ok((held().ring_id(), plain, Some(stamp(counter)))));
    }
}

#[test]
fn no_length_makes_a_seal_longer() {
    let seal = seal();
    for len in (0..300).chain(1_000..1_100).chain(16_300..16_400).chain([2_097_130, 2_097_151, 8_388_600]) {
        let plain = Envelope::plain(&vec![0; len]);
        let added = sealed(&seal, stamp(0), &plain).len() - plain.len();
        assert!((44..=SEAL_BYTES_MAX).contains(&added), "{added} bytes more at {len}");
    }
}
