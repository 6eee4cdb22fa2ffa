//! `annulus pkg …`: make, look at and install packages.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;
use clap::Subcommand;

use crate::keys::{KeyCache, KeyKind};
use crate::package::{self, Error, Hart, Inspection, Limits, MetaFile};
use crate::root::Root;
use crate::{clock, crypto};

/// What can be done with packages.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a package of a plan, signed with its origin's key
    Build {
        /// Directory with plan.toml, default.toml, config/ and hooks/
        #[arg(value_name = "PLAN_DIR")]
        plan: PathBuf,
        /// Where to put the package file [default: cache/artifacts in the root]
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Verify package files and install what they hold
    Install {
        /// Package files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// List installed packages
    List,
    /// Show what a package file says about itself
    Info {
        /// Package file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the directory of the newest installed package that is IDENT
    Path {
        /// origin/name[/version[/release]]
        #[arg(value_name = "IDENT", value_parser = ident)]
        ident: PackageIdent,
    },
    /// Print the default configuration of the newest installed package that is IDENT
    Config {
        /// origin/name[/version[/release]]
        #[arg(value_name = "IDENT", value_parser = ident)]
        ident: PackageIdent,
    },
    /// Print the BLAKE2b hash of files
    Hash {
        /// Files of any kind
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Show the header of a package file, without verifying it
    Header {
        /// Package file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Check signature and content of a package file
    Verify {
        /// Package file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

fn ident(text: &str) -> Result<PackageIdent, String> {
    text.parse().map_err(|_| "a package is named origin/name[/version[/release]]".to_owned())
}

/// Carries out a command; what it found goes to standard output, what it made to standard output as well.
///
/// # Errors
/// Names the file or package, the reason, and what to do.
pub fn run(command: &Command, root: &Root) -> Result<u8, Error> {
    match command {
        Command::Build { plan, output } => build(root, plan, output.as_deref())?,
        Command::Install { files } => {
            for file in files {
                let done = package::install_file(root, file, Limits::default())?;
                let what = if done.already { "is installed already, in" } else { "is installed in" };
                print(&format!("{} {what} {}\n", done.ident, done.path.display()));
            }
        }
        Command::List => {
            let found = package::list(root)?;
            print(&found.iter().map(|package| format!("{}\n", package.ident())).collect::<String>());
        }
        Command::Info { file } => {
            let mut hart = Hart::open(file)?;
            let inspection = package::inspect(&mut hart, Limits::default())?;
            print(&describe(&hart, &inspection));
        }
        Command::Path { ident } => print(&format!("{}\n", package::newest(root, ident)?.path().display())),
        Command::Config { ident } => {
            let path = package::newest(root, ident)?.path().join("default.toml");
            if path.exists() {
                print(&fs::read_to_string(&path).map_err(Error::io(&path))?);
            }
        }
        Command::Hash { files } => {
            for file in files {
                let mut opened = File::open(file).map_err(Error::io(file))?;
                let hash = crypto::hash_reader(&mut opened).map_err(Error::io(file))?;
                print(&format!("{hash}  {}\n", file.display()));
            }
        }
        Command::Header { file } => {
            let hart = Hart::open(file)?;
            let signature = crypto::base64_encode(&hart.header().signature);
            print(&format!(
                "Package    : {}\nFormat     : HART-1\nKey        : {}\nHash type  : BLAKE2b\nSignature  : {signature}\n",
                file.display(),
                hart.header().signer,
            ));
        }
        Command::Verify { file } => {
            let signed = Hart::open(file)?.verify(&KeyCache::new(root.keys()))?;
            print(&format!(
                "{} is signed by {} and has hash {}\n",
                file.display(),
                signed.signer,
                signed.hash
            ));
        }
    }
    Ok(0)
}

fn build(root: &Root, plan: &Path, output: Option<&Path>) -> Result<(), Error> {
    let artifacts = root.artifacts();
    let built = package::build(root, plan, output.unwrap_or(&artifacts), clock::wall())?;
    if built.new_key {
        print(&new_key_line(&KeyCache::new(root.keys()), &built.signer));
    }
    print(&format!(
        "{} is built: {}\nhash {}, signed by {}\n",
        built.ident,
        built.path.display(),
        built.hash,
        built.signer
    ));
    Ok(())
}

/// What an operator has to know about a key that was just made.
pub(super) fn new_key_line(keys: &KeyCache, id: &crate::keys::KeyId) -> String {
    format!(
        "origin {} has a new signing key, {id}, in {}: keep {} secret and safe, give {} to whoever installs its packages\n",
        id.name(),
        keys.dir().display(),
        id.file_name(KeyKind::SigSecret),
        id.file_name(KeyKind::SigPublic),
    )
}

fn describe(hart: &Hart, inspection: &Inspection) -> String {
    let mut text = format!(
        "Package      : {}\nSigned by    : {} (not verified)\n",
        inspection.ident,
        hart.header().signer
    );
    let _ = writeln!(text, "Holds        : {} files, {} bytes", inspection.files_count, inspection.bytes);
    let named = [
        ("Target", MetaFile::Target),
        ("Needs", MetaFile::Deps),
        ("Exports", MetaFile::Exports),
        ("Ports", MetaFile::Exposes),
        ("Binds", MetaFile::Binds),
        ("May bind", MetaFile::BindsOptional),
        ("Runs as", MetaFile::SvcUser),
        ("Stop signal", MetaFile::ShutdownSignal),
        ("Killed after", MetaFile::ShutdownTimeout),
    ];
    for (name, metafile) in named {
        let lines: Vec<&str> =
            inspection.metafiles.get(&metafile).map_or_else(Vec::new, |text| text.lines().collect());
        if !lines.is_empty() {
            let unit = if metafile == MetaFile::ShutdownTimeout { " s" } else { "" };
            let _ = writeln!(text, "{name:<13}: {}{unit}", lines.join(", "));
        }
    }
    if let Some(manifest) = inspection.metafiles.get(&MetaFile::Manifest) {
        let _ = write!(text, "\n{manifest}");
    }
    text
}

/// Prints text; a reader that went away (`| head`) is no error.
pub(super) fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
