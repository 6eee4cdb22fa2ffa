//! What the commands about keys of origins, users, service groups and rings have in common: reading a key from standard
//! input, printing one, and saying where a new one is. Keys are in `<root>/cache/keys`.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use super::pkg::print;
use super::{CliError, Global, output};
use crate::host::clock;
use crate::keys::{FILE_BYTES_MAX, KeyCache, KeyId, KeyKind};

/// The cache of this root.
pub(super) fn cache(global: &Global) -> Result<KeyCache, CliError> {
    Ok(KeyCache::new(global.root()?.keys()))
}

/// Says what is odd about a key that can be used.
pub(super) fn warn(keys: &KeyCache, id: &KeyId, kind: KeyKind) {
    for remark in keys.remarks(id, kind, clock::wall()) {
        eprintln!("warning: {remark}");
    }
}

/// Takes a key of one of these kinds from standard input.
pub(super) fn import(global: &Global, kinds: &[KeyKind]) -> Result<KeyId, CliError> {
    let (keys, from) = (cache(global)?, "standard input");
    let mut text = String::new();
    // One byte beyond the limit is read, so that a text which is too long is noticed.
    let mut limited = std::io::stdin().take(FILE_BYTES_MAX as u64 + 1);
    limited.read_to_string(&mut text).map_err(CliError::io(from))?;
    let key = keys.import(&text, Path::new(from), kinds)?;
    let (id, words, path) = (&key.id, key.kind.words(), key.path.display());
    if key.was_there {
        output::line(format_args!("{id}, {words}, is in {path} already"));
    } else {
        output::line(format_args!("{id}, {words}, is in {path} now"));
    }
    warn(&keys, id, key.kind);
    Ok(key.id)
}

/// Prints the newest key of this owner and kind.
pub(super) fn export(global: &Global, name: &str, kind: KeyKind) -> Result<(), CliError> {
    let keys = cache(global)?;
    let text = keys.export(name, kind)?;
    // The second line names the key.
    if let Some(id) = text.lines().nth(1).and_then(|id| id.parse().ok()) {
        warn(&keys, &id, kind);
    }
    // A file has the same bytes as the one in the cache, whose last line does not end.
    let end = if std::io::stdout().is_terminal() { "\n" } else { "" };
    print(&format!("{text}{end}"));
    Ok(())
}
