use std::path::Path;

use annulus_core::MemberId;
use clap::Parser;

use super::*;
use crate::host::root::Root;
use crate::invite::line::{Address, JoinSecret};
use crate::keys::{KeyFile, KeyKind};
use crate::sup_run::options::Options;

const KEY: &str = "SYM-SEC-1\nblue-20261122015215\n\n0VDUuLDTfuFpwGY+j0kssC0oOLHxkjifFfpPgaY+zOM=";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn line(ring: &str) -> JoinLine {
    JoinLine {
        ring: ring.to_owned(),
        addresses: vec![Address::new("10.0.0.1", 9638).expect("an address")],
        inviter: MemberId::from_bytes([7; 16]),
        secret: JoinSecret::generate().expect("entropy"),
    }
}

struct Bed(tempfile::TempDir);

impl Bed {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn sup(&self) -> SupDir {
        Root::new(self.0.path()).expect("a root").sup("default")
    }

    fn plan(&self, args: &[&str]) -> Result<(Plan, Settings), JoiningError> {
        let cli = Cli::try_parse_from([&["sup"], args].concat()).expect("usage");
        let mut settings = cli.options.settings(&self.sup()).expect("settings");
        let cache = KeyCache::new(self.0.path().join("keys"));
        let plan = plan((&self.sup(), cache), cli.options.join.as_ref(), &mut settings)?;
        Ok((plan, settings))
    }

    fn joined(&self, line: &JoinLine) {
        fs::create_dir_all(self.sup().data()).expect("made");
        let invitation = line.secret.verifier().id();
        let peers = vec!["10.0.0.1:9638".to_owned(), "10.0.0.2:9638".to_owned()];
        Joined { ring: line.ring.clone(), invitation, peers }.write(&self.sup()).expect("written");
    }

    /// A copy of the ring's key, as a supervisor keeps it.
    fn keep(&self) {
        let own = self.sup().ring_keys();
        fs::create_dir_all(&own).expect("made");
        let file = KeyFile::parse(KEY, Path::new("a test")).expect("a key");
        assert_eq!(file.kind, KeyKind::Shared);
        fs::write(own.join("copy.sym.key"), file.to_text()).expect("written");
    }
}

#[test]
fn an_invitation_comes_as_an_option_or_from_a_file_and_stands_in_no_output() {
    let bed = Bed::new();
    let text = line("blue").to_text();
    let file = bed.0.path().join("line");
    fs::write(&file, format!("{text}\n")).expect("written");
    let from = format!("@{}", file.display());
    for given in [&text, &from] {
        let (plan, settings) = bed.plan(&["--join", given]).expect("usable");
        assert_eq!(plan.joining.map(|joining| joining.line.to_text()), Some(text.clone()));
        assert_eq!((settings.ring, plan.environment.is_none()), (None, true));
    }
    let options = Cli::try_parse_from(["sup", "--join", &text]).expect("usage").options;
    let secret = text.rsplit('/').nth(1).expect("a secret");
    assert!(!format!("{options:?}").contains(secret));
    let empty = bed.plan(&["--join", ""]).map(drop).expect_err("given and empty");
    assert!(empty.to_string().contains("given and empty"), "{empty}");
    assert_eq!(empty.exit_code(), exit::USAGE);
    let missing = bed.plan(&["--join", "@/no/such/file"]).map(drop).expect_err("no file").to_string();
    assert!(missing.contains("/no/such/file"), "{missing}");
    let cut = bed.plan(&["--join", &text[..text.len() - 3]]).map(drop).expect_err("cut");
    assert!(cut.to_string().contains("copy the whole line") && !cut.to_string().contains(secret), "{cut}");
    assert_eq!(cut.exit_code(), exit::USAGE);
}

#[test]
fn a_supervisor_that_joined_comes_back_with_and_without_the_line() {
    let bed = Bed::new();
    let blue = line("blue");
    bed.joined(&blue);
    let text = blue.to_text();
    for args in [&[][..], &["--join", &text], &["--join", "@/gone"], &["--ring", "blue", "--join", &text]] {
        let (plan, settings) = bed.plan(args).expect("usable");
        assert!(plan.joining.is_none(), "{args:?}");
        assert_eq!(plan.remark.is_some(), args.contains(&"--join"), "{args:?}");
        assert_eq!((settings.ring.as_deref(), settings.peers.len()), (Some("blue"), 2), "{args:?}");
    }
    let (_, settings) = bed.plan(&["--ring", "green"]).expect("an operator's word counts");
    assert_eq!((settings.ring.as_deref(), settings.peers.len()), (Some("green"), 0));
    let another = line("blue").to_text();
    assert!(bed.plan(&["--join", &another]).expect("usable").0.joining.is_some(), "for the present key");
    fs::write(bed.sup().data().join(FILE_NAME), "{").expect("written");
    let damaged = bed.plan(&[]).map(drop).expect_err("never in the clear");
    assert_eq!(damaged.exit_code(), exit::STORE);
    assert!(damaged.to_string().contains("JOINED") && damaged.to_string().contains("--ring"), "{damaged}");
}

#[test]
fn a_supervisor_that_has_the_rings_key_needs_no_invitation() {
    let bed = Bed::new();
    bed.keep();
    let (plan, settings) = bed.plan(&["--join", &line("blue").to_text()]).expect("usable");
    assert!(plan.joining.is_none() && plan.remark.expect("said").contains("in ring blue already"));
    assert_eq!((settings.ring.as_deref(), settings.peers.len()), (Some("blue"), 1));
    let other = bed.plan(&["--join", &line("green").to_text()]).map(drop).expect_err("another ring's");
    assert!(
        other.to_string().contains("--override-name") && other.to_string().contains("\"blue\""),
        "{other}"
    );
}

#[test]
fn what_contradicts_an_invitation_is_named() {
    let bed = Bed::new();
    let text = line("blue").to_text();
    let other = bed.plan(&["--join", &text, "--ring", "green"]).map(drop).expect_err("another ring");
    assert!(other.to_string().contains("\"green\"") && other.to_string().contains("\"blue\""), "{other}");
    bed.joined(&line("green"));
    let member = bed.plan(&["--join", &text]).map(drop).expect_err("a member of another ring");
    assert!(member.to_string().contains("--override-name"), "{member}");
    assert_eq!((other.exit_code(), member.exit_code()), (exit::USAGE, exit::USAGE));
}
