//! The key of this member: an Ed25519 key that is made at the first start and lies beside the state. The member's id is
//! the hash of its public half, so a user that can read the file can speak as the member; a file that others can read is
//! refused.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use annulus_core::{PublicKey, Sign, Signature};
use thiserror::Error;

use crate::host::clock::wall;
use crate::host::{atomic, disk, small_file};
use crate::keys::crypto::{self, BoxSecretKey, Hasher, SecretKey};
use crate::keys::{KeyError, KeyFile, KeyId, KeyKind};

/// The key's file name below the supervisor's data directory.
pub const FILE_NAME: &str = "member.sig.key";
/// What the file's second line calls the key.
const KEY_NAME: &str = "member";
/// The key for boxes is a hash of the key that signs, apart from all other hashes of it.
const BOX_DOMAIN: &[u8] = b"annulus member box key v1\0";

/// Why a supervisor cannot sign.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error(
        "member key {}: {source}; {}", .path.display(),
        disk::advice(.source, "it is a file that this user reads and writes: correct its owner, or move aside what is there")
    )]
    Io {
        /// The file or its directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Other users can read the file, and speak as this member.
    #[error(
        "member key {} has mode {mode:03o}, so that others can read or change it and speak as this member; \
         run `chmod 600 {}`", .path.display(), .path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key that signs.
    #[error(
        "member key {} cannot be used ({reason}); restore it from a backup, \
         or move it aside to start as a new member", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The key of a member, which signs what it says.
#[derive(Debug)]
pub struct MemberKey {
    secret: SecretKey,
    public: PublicKey,
}

impl MemberKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self::of(crypto::generate_secret_key())
    }

    fn of(secret: SecretKey) -> Self {
        let mut public = [0; PublicKey::BYTES];
        public.copy_from_slice(secret.public().as_bytes());
        Self { secret, public: PublicKey(public) }
    }

    /// Reads the key in the data directory `dir`, and makes one first if there is no file.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        let path = dir.join(FILE_NAME);
        let io_error = |source| IdentityError::Io { path: path.clone(), source };
        match fs::metadata(&path) {
            Ok(meta) => Self::load(&path, meta.permissions().mode() & 0o777),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate();
                key.store(&path).map_err(io_error)?;
                Ok(key)
            }
            Err(error) => Err(io_error(error)),
        }
    }

    /// The same key once more, for what signs beside the node.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::of(SecretKey::from_bytes(self.secret.as_bytes()).expect("the bytes of a key"))
    }

    /// The secret key that opens what is sealed for this member.
    #[must_use]
    pub fn box_key(&self) -> BoxSecretKey {
        let mut hasher = Hasher::new();
        hasher.update(BOX_DOMAIN);
        hasher.update(self.secret.as_bytes());
        BoxSecretKey::from_bytes(hasher.finish().as_bytes()).expect("a hash of 32 bytes")
    }

    fn load(path: &Path, mode: u32) -> Result<Self, IdentityError> {
        if mode & 0o077 != 0 {
            return Err(IdentityError::Mode { path: path.to_owned(), mode });
        }
        let damaged = |reason: String| IdentityError::Damaged { path: path.to_owned(), reason };
        let text = small_file::read_to_string(path)
            .map_err(|source| IdentityError::Io { path: path.to_owned(), source })?;
        let file = KeyFile::parse(&text, path).map_err(|error| damaged(reason(&error)))?;
        if file.kind != KeyKind::SigSecret {
            return Err(damaged(format!("it is a {} key and cannot sign", file.kind.tag())));
        }
        let secret = SecretKey::from_bytes(file.bytes());
        secret.map(Self::of).ok_or_else(|| damaged("its two halves do not belong together".to_owned()))
    }

    fn store(&self, path: &Path) -> io::Result<()> {
        let id = KeyId::new(KEY_NAME, wall()).expect("the name can name a key");
        let text = KeyFile::new(KeyKind::SigSecret, id, self.secret.as_bytes()).to_text();
        atomic::write(path, text.as_bytes(), 0o600)
    }
}

/// What is wrong with a file, without its path, which the message names already.
fn reason(error: &KeyError) -> String {
    if let KeyError::Malformed { reason, .. } = error { (*reason).to_owned() } else { error.to_string() }
}

impl Sign for MemberKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; Signature::BYTES];
        let signed = crypto::sign(message, &self.secret);
        signature.copy_from_slice(signed.get(..Signature::BYTES).expect("the signature comes first"));
        Signature(signature)
    }

    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let Some(key) = crypto::PublicKey::from_bytes(&key.0) else { return false };
        crypto::open_signed(&[&signature.0[..], message].concat(), &key).is_some()
    }

    fn hash(&self, bytes: &[u8]) -> [u8; 32] {
        *crypto::hash(bytes).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_its_id_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = MemberKey::load_or_create(dir.path()).expect("made");
        let second = MemberKey::load_or_create(dir.path()).expect("read");
        assert_eq!(first.id(), second.id());
        assert_eq!(first.id().as_bytes()[..], crypto::hash(&first.public_key().0).as_bytes()[..16]);
        let mode = fs::metadata(dir.path().join(FILE_NAME)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(MemberKey::generate().id(), first.id(), "each key is another member");
    }

    #[test]
    fn a_changed_bit_is_refused() {
        let (ada, bob) = (MemberKey::generate(), MemberKey::generate());
        let signature = ada.sign(b"version 7");
        assert!(bob.verify(&ada.public_key(), b"version 7", &signature));
        assert!(!bob.verify(&ada.public_key(), b"version 8", &signature));
        assert!(!bob.verify(&bob.public_key(), b"version 7", &signature));
        for bit in [0, 255, 256, 511] {
            let mut changed = signature;
            changed.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!bob.verify(&ada.public_key(), b"version 7", &changed), "bit {bit}");
        }
        assert!(!bob.verify(&PublicKey([0; 32]), b"version 7", &Signature([0; 64])));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE_NAME);
        let good = MemberKey::generate();
        good.store(&path).expect("written");
        let text = fs::read_to_string(&path).expect("read");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        let open = MemberKey::load_or_create(dir.path()).expect_err("others can read it").to_string();
        assert!(open.contains("mode 644") && open.contains("chmod 600"), "{open}");
        let mut halves = good.secret.as_bytes().to_vec();
        halves[40] ^= 1;
        let swapped = text.lines().take(3).collect::<Vec<_>>().join("\n");
        let swapped = format!("{swapped}\n{}", crypto::base64_encode(&halves));
        for (bad, why) in [
            ("", "line 1"),
            (&text[..text.len() - 9], "line 4"),
            (&swapped, "followed by its public key"),
            (
                "BOX-SEC-1\nmember-20260101000000\n\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                "cannot sign",
            ),
        ] {
            fs::write(&path, bad).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
            let error = MemberKey::load_or_create(dir.path()).expect_err(why).to_string();
            assert!(error.contains(why) && error.contains("move it aside"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("kept"), bad);
        }
    }
}
