//! Makes a package of a plan. Fetches nothing and runs nothing that the plan contains.
//!
//! The same plan, release and key give the same bytes: entries are sorted, carry no user's name, and have the
//! release's time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus_core::{PackageIdent, UnixTime};
use liblzma::write::XzEncoder;
use tar::{EntryType, Header as TarHeader};

use super::plan::read_text;
use super::{Error, Hart, Header, HealthPlan, Installed, MetaFile, Plan, host_target, newest};
use crate::host::root::Root;
use crate::host::{atomic, look, timestamp};
use crate::keys::{KeyCache, KeyId, crypto};
use crate::template;

/// The file that the author of a package writes.
const PLAN_FILE: &str = "plan.toml";
/// xz's default: 94 MiB of memory to compress, 9 MiB to decompress.
const XZ_PRESET: u32 = 6;
/// A release is one second; when it is taken, so many further ones are tried.
const RELEASES_TRIED_MAX: u64 = 60;

/// A package file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The package.
    pub ident: PackageIdent,
    /// The file.
    pub path: PathBuf,
    /// The hash of its payload.
    pub hash: crypto::Hash,
    /// The key that signed it.
    pub signer: KeyId,
    /// Whether the key was made for this package.
    pub new_key: bool,
}

/// The content of a package, by path.
type Content = BTreeMap<String, Item>;

#[derive(Clone, Debug)]
enum Item {
    Dir,
    Text { text: String, executable: bool },
    Copy { from: PathBuf, executable: bool },
    Symlink { target: PathBuf },
}

/// Makes the package of the plan in `plan_dir`, signs it with the newest key of its origin, which is generated
/// when there is none, and puts the file into `output_dir`. The release is the second `now` or, where that is
/// taken, one of the next.
///
/// # Errors
/// The plan or one of its files is malformed, a dependency is not installed, or the disk refuses.
pub fn build(root: &Root, plan_dir: &Path, output_dir: &Path, now: UnixTime) -> Result<Built, Error> {
    let plan_dir = plan_dir_of(plan_dir)?;
    let plan = Plan::load(plan_dir)?;
    let deps = Dependencies::resolve(root, &plan)?;
    let sources = sources(plan_dir, &plan)?;
    fs::create_dir_all(output_dir).map_err(Error::io(output_dir))?;
    let keys = KeyCache::new(root.keys());
    let (signer, key, new_key) = keys.origin_secret_or_new(plan.ident.origin(), now)?;

    for delay_s in 0..RELEASES_TRIED_MAX {
        let time = UnixTime::from_millis(now.as_millis().saturating_add(delay_s * 1000));
        let release = timestamp::digits(time);
        let ident: PackageIdent = format!("{}/{release}", plan.ident)
            .parse()
            .expect("a plan's ident with a release is fully qualified");
        let path = output_dir.join(format!("{}-{}.hart", ident.to_string().replace('/', "-"), host_target()));
        if path.exists() || root.package(&ident).is_some_and(|dir| dir.exists()) {
            continue;
        }
        let mut content = sources.clone();
        content.extend(metafiles(&plan, &ident, &deps, &sources));
        let mut payload = tempfile::tempfile_in(output_dir).map_err(Error::io(output_dir))?;
        write_payload(&payload, &ident, &content, time)?;
        payload.seek(SeekFrom::Start(0)).map_err(Error::io(&path))?;
        let hash = crypto::hash_reader(&mut payload).map_err(Error::io(&path))?;
        payload.seek(SeekFrom::Start(0)).map_err(Error::io(&path))?;
        let header = Header::sign(&hash, &signer, &key).to_text();
        if write_file(&path, &header, &mut payload).map_err(Error::io(&path))? {
            // Checked as an installer will check it.
            let signed = Hart::open(&path)?.verify(&keys)?;
            assert_eq!((&signed.signer, &signed.hash), (&signer, &hash), "what was just signed");
            return Ok(Built { ident, path, hash, signer, new_key });
        }
    }
    let message = format!(
        "the last {RELEASES_TRIED_MAX} releases in {} are taken; wait a second",
        output_dir.display()
    );
    Err(Error::Plan { path: plan_dir.join("plan.toml"), message })
}

/// The directory of the plan; the user may also name `plan.toml` itself.
fn plan_dir_of(path: &Path) -> Result<&Path, Error> {
    let no_plan = |reason: &'static str| Error::NoPlan { path: path.to_owned(), reason };
    let meta = path.metadata().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => no_plan("it does not exist"),
        _ => Error::io(path)(e),
    })?;
    if meta.is_file() {
        let is_plan = path.file_name().is_some_and(|name| name == PLAN_FILE);
        let dir = path.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
        return dir.filter(|_| is_plan).ok_or_else(|| no_plan("it is a file of another name"));
    }
    if path.join(PLAN_FILE).is_file() { Ok(path) } else { Err(no_plan("there is no plan.toml in it")) }
}

/// Writes header and payload to `path` unless it exists, and says whether it did.
fn write_file(path: &Path, header: &str, payload: &mut impl io::Read) -> io::Result<bool> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".building-").tempfile_in(dir)?;
    file.write_all(header.as_bytes())?;
    io::copy(payload, &mut file)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => atomic::sync_dir(dir).map(|()| true),
        Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(failed.error),
    }
}

/// The installed packages that fit a plan's dependencies.
struct Dependencies {
    direct: Vec<Installed>,
    all: BTreeSet<PackageIdent>,
}

impl Dependencies {
    fn resolve(root: &Root, plan: &Plan) -> Result<Self, Error> {
        let mut direct = Vec::new();
        let mut all = BTreeSet::new();
        for wanted in &plan.deps {
            let found = newest(root, wanted).map_err(|e| match e {
                Error::NotInstalled { .. } => Error::dependency(root, plan.ident.to_string(), wanted.clone()),
                other => other,
            })?;
            all.insert(found.ident().clone());
            all.extend(found.idents(MetaFile::Tdeps)?);
            direct.push(found);
        }
        Ok(Self { direct, all })
    }
}

/// The files that the author wrote, from the plan's directory.
fn sources(plan_dir: &Path, plan: &Plan) -> Result<Content, Error> {
    let mut content = Content::new();
    let defaults = plan_dir.join("default.toml");
    if look::meta(&defaults).map_err(Error::io(&defaults))?.is_some() {
        let text = read_text(&defaults)?;
        content.insert("default.toml".to_owned(), Item::Text { text, executable: false });
    }
    for folder in ["config", "config_install", "hooks"] {
        let path = plan_dir.join(folder);
        if look::meta(&path).map_err(Error::io(&path))?.is_none() {
            continue;
        }
        add_tree(plan_dir, folder, &mut content)?;
        for (path, item) in content.range_mut(format!("{folder}/")..format!("{folder}0")) {
            let from = plan_dir.join(path);
            match item {
                Item::Copy { executable, .. } => {
                    *executable = folder == "hooks";
                    template::check(&from, &read_text(&from)?)?;
                }
                Item::Symlink { .. } => {
                    let message = "a template cannot be a link; copy the file".to_owned();
                    return Err(Error::Plan { path: from, message });
                }
                Item::Dir | Item::Text { .. } => {}
            }
        }
    }
    let has_hook = content.contains_key("hooks/health-check");
    if let Some(message) = plan.health.as_ref().and_then(|health| health.misfit(has_hook)) {
        return Err(Error::Plan { path: plan_dir.join("plan.toml"), message: message.to_owned() });
    }
    for path in &plan.files {
        add_parents(path, &mut content);
        add_tree(plan_dir, path, &mut content)?;
    }
    Ok(content)
}

fn add_parents(path: &str, content: &mut Content) {
    for (at, _) in path.match_indices('/') {
        content.insert(path[..at].to_owned(), Item::Dir);
    }
}

/// Adds a file, a link, or a directory with its whole content.
fn add_tree(plan_dir: &Path, path: &str, content: &mut Content) -> Result<(), Error> {
    let from = plan_dir.join(path);
    let wrong = |message: &str| Error::Plan { path: from.clone(), message: message.to_owned() };
    let meta = from.symlink_metadata().map_err(Error::io(&from))?;
    let item = if meta.is_symlink() {
        let target = fs::read_link(&from).map_err(Error::io(&from))?;
        let depth = path.matches('/').count();
        let ups = target.components().take_while(|c| matches!(c, std::path::Component::ParentDir)).count();
        let plain = target.components().skip(ups).all(|c| matches!(c, std::path::Component::Normal(_)));
        if !plain || ups > depth {
            return Err(wrong("this link leads out of the plan; copy the file that it points to"));
        }
        Item::Symlink { target }
    } else if meta.is_dir() {
        let mut names = Vec::new();
        for entry in fs::read_dir(&from).map_err(Error::io(&from))? {
            let name = entry.map_err(Error::io(&from))?.file_name();
            names.push(
                name.into_string().map_err(|_| wrong("a name in this directory is not UTF-8; rename it"))?,
            );
        }
        for name in names {
            add_tree(plan_dir, &format!("{path}/{name}"), content)?;
        }
        Item::Dir
    } else if meta.is_file() {
        Item::Copy { from: from.clone(), executable: meta.permissions().mode() & 0o111 != 0 }
    } else {
        return Err(wrong("a package holds files, directories and links, and this is none of them"));
    };
    content.insert(path.to_owned(), item);
    Ok(())
}

/// The files that describe the package.
fn metafiles(plan: &Plan, ident: &PackageIdent, deps: &Dependencies, sources: &Content) -> Content {
    let lines = |items: Vec<String>| items.iter().map(|item| format!("{item}\n")).collect::<String>();
    let equals = |(name, value): (&String, &String)| format!("{name}={value}");
    let binds = |binds: &BTreeMap<String, Vec<String>>| {
        lines(binds.iter().map(|(name, exports)| format!("{name}={}", exports.join(" "))).collect())
    };
    let own_path = sources.contains_key("bin").then(|| format!("/hab/pkgs/{ident}/bin"));
    let dep_paths = deps.direct.iter().filter_map(|dep| dep.line(MetaFile::RuntimePath).ok().flatten());
    let runtime_path: Vec<String> = own_path.clone().into_iter().chain(dep_paths).collect();
    let runtime_path = runtime_path.join(":");
    let ports: Vec<String> = plan.exposes.iter().map(u16::to_string).collect();
    let is_service = sources.contains_key("hooks/run") || sources.contains_key("run");
    let service_line = |text: String| if is_service { format!("{text}\n") } else { String::new() };
    let own_path_line = (!runtime_path.is_empty()).then(|| format!("PATH={runtime_path}"));
    let environment = plan.service.environment.iter().map(equals).chain(own_path_line).collect();
    let capabilities = plan.service.capabilities.to_string();
    let texts = [
        (MetaFile::Ident, format!("{ident}\n")),
        (MetaFile::Target, format!("{}\n", host_target())),
        (MetaFile::Manifest, manifest(plan, ident, deps)),
        (MetaFile::Deps, lines(deps.direct.iter().map(|dep| dep.ident().to_string()).collect())),
        (MetaFile::Tdeps, lines(deps.all.iter().map(ToString::to_string).collect())),
        (MetaFile::Path, lines(own_path.into_iter().collect())),
        (MetaFile::RuntimePath, lines(vec![runtime_path].into_iter().filter(|p| !p.is_empty()).collect())),
        (MetaFile::RuntimeEnvironment, lines(environment)),
        (MetaFile::Exports, lines(plan.exports.iter().map(equals).collect())),
        (MetaFile::Exposes, lines(vec![ports.join(" ")].into_iter().filter(|p| !p.is_empty()).collect())),
        (MetaFile::Binds, binds(&plan.binds)),
        (MetaFile::BindsOptional, binds(&plan.binds_optional)),
        (MetaFile::SvcUser, service_line(plan.service.user.clone())),
        (MetaFile::SvcGroup, service_line(plan.service.group.clone())),
        (MetaFile::ShutdownSignal, service_line(plan.service.shutdown_signal.as_str()[3..].to_owned())),
        (MetaFile::ShutdownTimeout, service_line(plan.service.shutdown_timeout_s.to_string())),
        (MetaFile::Demoted, service_line(plan.service.demoted.to_string())),
        (MetaFile::Limits, plan.service.limits.to_metafile()),
        (MetaFile::Capabilities, lines(vec![capabilities].into_iter().filter(|c| !c.is_empty()).collect())),
        (MetaFile::Health, plan.health.as_ref().map(HealthPlan::to_metafile).unwrap_or_default()),
        (MetaFile::Drain, plan.drain.to_metafile()),
    ];
    // A metafile that would be empty is left out.
    let said = texts.into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(meta, text)| (meta.file_name().to_owned(), Item::Text { text, executable: false })).collect()
}

fn manifest(plan: &Plan, ident: &PackageIdent, deps: &Dependencies) -> String {
    let mut text = format!("# {} / {}\n\n", ident.origin(), ident.name());
    if let Some(description) = &plan.description {
        let _ = writeln!(text, "{description}\n");
    }
    let or_none = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let fields = [
        ("Maintainer", plan.maintainer.clone().unwrap_or_else(|| "none".to_owned())),
        ("Version", ident.version().unwrap_or_default().to_owned()),
        ("Release", ident.release().unwrap_or_default().to_owned()),
        ("Target", host_target()),
        ("License", or_none(plan.license.clone())),
        ("Dependencies", or_none(deps.direct.iter().map(|dep| dep.ident().to_string()).collect())),
    ];
    for (name, value) in fields {
        let _ = writeln!(text, "* __{name}__: {value}");
    }
    text
}

/// Writes the compressed archive.
fn write_payload(
    out: &fs::File,
    ident: &PackageIdent,
    content: &Content,
    time: UnixTime,
) -> Result<(), Error> {
    let top = format!("hab/pkgs/{ident}");
    let mtime_s = Duration::from_millis(time.as_millis()).as_secs();
    let mut tar = tar::Builder::new(XzEncoder::new(io::BufWriter::new(out), XZ_PRESET));
    let entries = [(String::new(), Item::Dir)];
    for (path, item) in entries.iter().map(|(p, i)| (p, i)).chain(content) {
        let name = if path.is_empty() { format!("{top}/") } else { format!("{top}/{path}") };
        append(&mut tar, &name, item, mtime_s)?;
    }
    let done = tar.into_inner().and_then(XzEncoder::finish).and_then(|mut file| file.flush());
    done.map_err(Error::io(Path::new(&top)))
}

fn append(
    tar: &mut tar::Builder<impl io::Write>,
    name: &str,
    item: &Item,
    mtime_s: u64,
) -> Result<(), Error> {
    let mut header = TarHeader::new_gnu();
    header.set_mtime(mtime_s);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    let mode = |executable: bool| if executable { 0o755 } else { 0o644 };
    let written = match item {
        Item::Dir => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            tar.append_data(&mut header, name, io::empty())
        }
        Item::Text { text, executable } => {
            header.set_mode(mode(*executable));
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, name, text.as_bytes())
        }
        Item::Copy { from, executable } => {
            let mut bytes = Vec::new();
            fs::File::open(from)
                .and_then(|mut file| file.read_to_end(&mut bytes))
                .map_err(Error::io(from))?;
            header.set_mode(mode(*executable));
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes.as_slice())
        }
        Item::Symlink { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            tar.append_link(&mut header, name, target)
        }
    };
    written.map_err(Error::io(Path::new(name)))
}
