//! Every operation gives the same bytes as an independent implementation of it.

use dryoc::classic::crypto_generichash::crypto_generichash;
use dryoc::classic::crypto_secretbox::{crypto_secretbox_easy, crypto_secretbox_open_easy};
use dryoc::classic::crypto_sign::{crypto_sign, crypto_sign_open, crypto_sign_seed_keypair};
use proptest::prelude::*;

use super::*;

/// A ring key from Habitat's public test fixtures.
const RING_KEY: &str = "RCFaO84j41GmrzWddxMdsXpGdn3iuIy7Mw3xYrjPLsE=";
const RING_NONCE: Nonce = Nonce([
    175, 221, 237, 184, 68, 112, 40, 80, 11, 173, 215, 154, 129, 39, 146, 10, 51, 143, 150, 71, 146, 97, 70,
    76,
]);
const RING_SEALED: [u8; 30] = [
    161, 106, 124, 7, 144, 46, 9, 29, 90, 176, 207, 52, 61, 3, 209, 41, 144, 32, 72, 245, 159, 143, 192, 36,
    5, 235, 241, 98, 231, 21,
];

#[test]
fn the_libsodium_that_is_linked_is_a_maintained_one() {
    let version = sodiumoxide::version::version_string();
    let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    assert!(numbers >= vec![1, 0, 20], "libsodium {version}: is libsodium-sys still patched in Cargo.toml?");
}

#[test]
fn hashes_are_habitats() {
    assert_eq!(
        hash(b"supercalifragilisticexpialadocious").to_string(),
        "2ca8ebafca7e189de2a36125b92a1db20f393d1e2708f5daa55e51cf05114437"
    );
    let digits: Vec<u8> = (0..=9).collect();
    assert_eq!(hash(&digits).to_string(), "8b57a796a5d07cb04cc1614dfc2acb3f73edc712d7f433619ca3bbe66bb15f49");
}

#[test]
fn a_ring_key_opens_what_habitat_sealed() {
    let key = SharedKey::from_bytes(&base64_decode(RING_KEY).expect("base64")).expect("32 bytes");
    assert_eq!(key.open(&RING_NONCE, &RING_SEALED).as_deref(), Some(&b"This is a test"[..]));
    let mut changed = RING_SEALED;
    changed[20] ^= 1;
    assert_eq!(key.open(&RING_NONCE, &changed), None);
    assert_eq!(SharedKey::generate().open(&RING_NONCE, &RING_SEALED), None);
    assert_eq!(key.open(&RING_NONCE, &RING_SEALED[..15]), None, "shorter than its authenticator");
}

#[test]
fn keys_are_checked() {
    assert!(PublicKey::from_bytes(&[1; 31]).is_none());
    assert!(SharedKey::from_bytes(&[1; 33]).is_none());
    let key = generate_secret_key();
    assert!(SecretKey::from_bytes(key.as_bytes()).is_some());
    let mut foreign_half = key.as_bytes().to_vec();
    foreign_half[32..].copy_from_slice(generate_secret_key().public().as_bytes());
    assert!(SecretKey::from_bytes(&foreign_half).is_none());
    assert_ne!(key.as_bytes(), generate_secret_key().as_bytes());
    assert_eq!(format!("{key:?}"), "SecretKey(..)", "a secret is never printed");
}

#[test]
fn hash_text_is_strict() {
    let text = hash(b"x").to_string();
    assert_eq!(text.parse(), Ok(hash(b"x")));
    for bad in [&text[1..], &text.to_uppercase(), &format!("{text}0"), "", &"g".repeat(64)] {
        assert_eq!(bad.parse::<Hash>(), Err(NotAHash));
    }
}

proptest! {
    #[test]
    fn hashing_agrees_with_dryoc(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6)) {
        let whole = pieces.concat();
        let mut theirs = [0_u8; 32];
        crypto_generichash(&mut theirs, &whole, None).expect("valid lengths");
        prop_assert_eq!(hash(&whole).0, theirs);
        let mut hasher = Hasher::new();
        pieces.iter().for_each(|piece| hasher.update(piece));
        prop_assert_eq!(hasher.finish().0, theirs);
    }

    #[test]
    fn signing_agrees_with_dryoc(seed in any::<[u8; 32]>(), message in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        let (their_public, their_secret) = crypto_sign_seed_keypair(&seed);
        let key = SecretKey::from_bytes(&their_secret[..]).expect("the same layout");
        let public = key.public();
        prop_assert_eq!(public.as_bytes(), &their_public[..]);

        let ours = sign(&message, &key);
        let mut theirs = vec![0_u8; message.len() + SIGNATURE_BYTES];
        crypto_sign(&mut theirs, &message, &their_secret).expect("valid lengths");
        prop_assert_eq!(&ours, &theirs);

        let mut opened = vec![0_u8; message.len()];
        crypto_sign_open(&mut opened, &ours, &their_public).expect("our signature");
        prop_assert_eq!(&opened, &message);
        prop_assert_eq!(open_signed(&theirs, &key.public()), Some(message));

        let mut changed = ours;
        let at = at.index(changed.len());
        changed[at] ^= 0x10;
        prop_assert_eq!(open_signed(&changed, &key.public()), None);
    }

    #[test]
    fn sealing_agrees_with_dryoc(key in any::<[u8; 32]>(), message in prop::collection::vec(any::<u8>(), 0..300)) {
        let ours = SharedKey::from_bytes(&key).expect("32 bytes");
        let nonce = Nonce::random();
        let sealed = ours.seal(&nonce, &message);
        let mut theirs = vec![0_u8; sealed.len()];
        crypto_secretbox_easy(&mut theirs, &message, &nonce.0, &key).expect("valid lengths");
        prop_assert_eq!(&sealed, &theirs);
        let mut opened = vec![0_u8; message.len()];
        crypto_secretbox_open_easy(&mut opened, &sealed, &nonce.0, &key).expect("our box");
        prop_assert_eq!(&opened, &message);
        prop_assert_eq!(ours.open(&nonce, &theirs), Some(message));
    }

    #[test]
    fn generated_keys_work_in_dryoc(message in prop::collection::vec(any::<u8>(), 0..100)) {
        let key = generate_secret_key();
        let public = key.public().as_bytes().try_into().expect("32 bytes");
        let mut opened = vec![0_u8; message.len()];
        crypto_sign_open(&mut opened, &sign(&message, &key), &public).expect("our signature");
        prop_assert_eq!(opened, message);
    }

    #[test]
    fn base64_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let text = base64_encode(&bytes);
        prop_assert_eq!(text.len() % 4, 0, "padded");
        prop_assert_eq!(base64_decode(&text), Some(bytes));
    }
}
