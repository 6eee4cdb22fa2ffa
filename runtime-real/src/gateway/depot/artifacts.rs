//! Files of the artifact cache by their hash: members of a ring bring packages from each other before they ask the depot. Who
//! knows a hash was told it by a signed head, or has the file; so no token is asked for.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::Load;
use super::answer::Refusal;
use super::caller::Caller;
use super::download::{hash_of, send};
use super::downloads::Downloads;
use crate::keys::crypto::{self, Hash};

/// Most files of the cache that are given to others.
const FILES_MAX: usize = 10_000;

/// Which file a hash is of, as far as it was looked at: by inode, size and time of change.
type Stamp = (u64, u64, i64, i64);

/// The artifact cache of a root.
#[derive(Debug)]
struct Artifacts {
    dir: PathBuf,
    known: Mutex<BTreeMap<PathBuf, (Stamp, Hash)>>,
    downloads: Arc<Downloads>,
}

/// The route of a supervisor that serves no depot.
pub fn router(dir: PathBuf) -> Router {
    let artifacts =
        Artifacts { dir, known: Mutex::default(), downloads: Arc::new(Downloads::new(Load::BESIDE)) };
    Router::new().route("/v1/blobs/{hash}", get(blob)).with_state(Arc::new(artifacts))
}

async fn blob(
    State(artifacts): State<Arc<Artifacts>>,
    caller: Caller,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let hash = hash_of(&hash)?;
    let cache = Arc::clone(&artifacts);
    let found = tokio::task::spawn_blocking(move || cache.find(hash)).await.unwrap_or_default();
    let path =
        found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "this host does not have that content"))?;
    send((&artifacts.downloads, &caller), path, hash, None, &headers).await
}

impl Artifacts {
    /// The file with this content. What is new in the cache is hashed once; a file that changes meanwhile is noticed by the
    /// client, who checks the hash as well.
    fn find(&self, hash: Hash) -> Option<PathBuf> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(&self.dir).ok()?.flatten().take(FILES_MAX) {
            let path = entry.path();
            let is_package = path.extension().is_some_and(|extension| extension == "hart");
            let Some(meta) = entry.metadata().ok().filter(|meta| is_package && meta.is_file()) else {
                continue;
            };
            let stamp = (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
            let hashed = match known.get(&path) {
                Some((seen, hash)) if *seen == stamp => Some(*hash),
                _ => File::open(&path).ok().and_then(|mut file| crypto::hash_reader(&mut file).ok()),
            };
            if let Some(hash) = hashed {
                there.insert(path, (stamp, hash));
            }
        }
        *known = there;
        known.iter().find(|(_, (_, own))| *own == hash).map(|(path, _)| path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_content_as_it_is_now() {
        let dir = tempfile::tempdir().expect("a directory");
        let known = Mutex::default();
        let cache = Artifacts {
            dir: dir.path().to_owned(),
            known,
            downloads: Arc::new(Downloads::new(Load::BESIDE)),
        };
        let path = dir.path().join("a.hart");
        assert_eq!(cache.find(crypto::hash(b"one")), None);
        fs::write(&path, "one").expect("written");
        fs::write(dir.path().join("secret.txt"), "two").expect("written");
        assert_eq!(cache.find(crypto::hash(b"one")), Some(path.clone()));
        assert_eq!(cache.find(crypto::hash(b"two")), None, "only packages are given away");
        fs::write(&path, "three").expect("written");
        assert_eq!(cache.find(crypto::hash(b"one")), None);
        assert_eq!(cache.find(crypto::hash(b"three")), Some(path));
    }
}
