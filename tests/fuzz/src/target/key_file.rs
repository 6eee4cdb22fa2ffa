//! Key files and the names of keys: what is read survives being written and read again.

use std::path::Path;

use annulus::keys::{KeyFile, KeyId, KeyKind, crypto};

use super::{MIB, Seen, Target};
use crate::mutate::text;

pub(super) const TARGET: Target = Target {
    name: "key_file",
    about: "key files of all kinds, with a round trip of what was read",
    run,
    mutate: text::mutate,
    seeds,
    tell: None,
    bytes_max: 4 * 1024,
    memory_max: 4 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(bytes) else { return Seen::refused("no text") };
    match KeyFile::parse(text, Path::new("acme-20260101000000.pub")) {
        Err(error) => Seen::refused(&error.to_string()),
        Ok(key) => {
            let again = KeyFile::parse(&key.to_text(), Path::new("again")).expect("a written key is read");
            assert_eq!(
                (key.kind, &key.id, key.bytes()),
                (again.kind, &again.id, again.bytes()),
                "a key survives"
            );
            let id: KeyId = key.id.to_string().parse().expect("a key's name is read back");
            assert_eq!(id, key.id);
            Seen::accepted(key.kind.tag(), key.id.name().len())
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let id: KeyId = "acme-20260101000000".parse().expect("a name of a key");
    let of = |kind: KeyKind| {
        let mut bytes: Vec<u8> = (0..kind.key_bytes()).map(|n| n as u8).collect();
        if kind == KeyKind::SigSecret {
            // Its second half is the public key of the first, and only then is it read.
            let whole = crypto::SecretKey::from_seed(&[7; 32]);
            bytes.copy_from_slice(whole.as_bytes());
        }
        KeyFile::new(kind, id.clone(), &bytes).to_text().into_bytes()
    };
    KeyKind::ALL.into_iter().map(of).collect()
}
