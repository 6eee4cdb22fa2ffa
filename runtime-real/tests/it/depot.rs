//! A depot as its users meet it: the road of a package from upload to install, what other programs ask, and what a depot that
//! lies, lags behind or breaks off cannot do.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::support::{Supervisor, annulus, eventually, finish, get, plan, request, text};

mod trust;

/// A depot that is served, the root of who makes packages, and a token that allows all.
struct Depot {
    child: Child,
    at: SocketAddr,
    dir: TempDir,
    token: String,
}

impl Drop for Depot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Depot {
    fn start(extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (code, token, error) =
            finish(annulus().args(["depot", "token", "test", "--role", "promote"]).args(at(&dir)));
        assert_eq!(code, 0, "{error}");
        let mut serve = annulus();
        serve.args(["depot", "serve", "--listen", "127.0.0.1:0"]).args(at(&dir)).args(extra);
        let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut said).expect("a line");
        let at = said.trim().rsplit("://").next().and_then(|at| at.parse().ok());
        let at = at.unwrap_or_else(|| panic!("no address: {said}"));
        Self { child, at, dir, token: token.trim().to_owned() }
    }

    fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    fn maker(&self) -> PathBuf {
        self.dir.path().join("maker")
    }

    /// Runs a command against this depot.
    fn run_as(&self, root: &Path, args: &[&str]) -> (i32, String, String) {
        finish(annulus().arg("--root").arg(root).args(args).env("HAB_BLDR_URL", self.url()))
    }

    /// Runs a command of who makes packages, and expects it to succeed.
    fn make(&self, args: &[&str]) -> String {
        let mut command = annulus();
        command.arg("--root").arg(self.maker()).args(args);
        let (code, out, error) =
            finish(command.env("HAB_BLDR_URL", self.url()).env("HAB_AUTH_TOKEN", &self.token));
        assert_eq!(code, 0, "{args:?}: {out}{error}");
        out
    }

    /// Builds a version and uploads it; returns its ident and its file.
    fn upload(&self, version: &str, run: &str) -> (String, PathBuf) {
        let dir = plan(&self.dir.path().join(format!("plan-{version}")), "web", run);
        let toml = fs::read_to_string(dir.join("plan.toml")).expect("read");
        fs::write(dir.join("plan.toml"), toml.replace("1.0.0", version)).expect("written");
        let built = self.make(&["pkg", "build", text(&dir)]);
        let ident =
            built.split_whitespace().find(|word| word.starts_with("test/web/")).expect("an ident").to_owned();
        let name = format!("{}-x86_64-linux.hart", ident.replace('/', "-"));
        let file = self.maker().join("cache/artifacts").join(name);
        self.make(&["pkg", "upload", text(&file)]);
        (ident, file)
    }

    fn certify(&self) {
        self.make(&["origin", "certify", "test"]);
    }

    fn promote(&self, ident: &str, channel: &str) {
        self.make(&["pkg", "promote", ident, channel]);
    }

    /// Where the head of a channel lies.
    fn head(&self, channel: &str) -> PathBuf {
        self.dir.path().join("depot/heads/test").join(channel).join("x86_64-linux/current")
    }

    /// Lets the process that serves see what was changed behind its back.
    fn changed(&self) {
        let path = self.dir.path().join("depot/private/generation");
        let number: u64 = fs::read_to_string(&path).expect("read").parse().expect("a number");
        fs::write(&path, (number + 1).to_string()).expect("written");
    }
}

fn at(dir: &TempDir) -> [String; 2] {
    ["--dir".to_owned(), text(&dir.path().join("depot")).to_owned()]
}

#[test]
fn a_package_goes_from_its_maker_to_another_host() {
    let depot = Depot::start(&[]);
    let (old, file) = depot.upload("1.0.0", "exec sleep 1000");
    let user = depot.dir.path().join("user");
    let (code, _, error) = depot.run_as(&user, &["pkg", "install", "test/web"]);
    assert!(
        code == 2 && error.contains("the channel stable of test") && error.contains("--channel"),
        "{error}"
    );
    depot.certify();
    depot.promote(&old, "stable");
    let (code, out, error) = depot.run_as(&user, &["install", "test/web"]);
    assert_eq!(code, 0, "{error}");
    assert!(
        out.contains("is trusted from now on by its key test-")
            && out.contains(&format!("{old} is installed in")),
        "{out}"
    );
    let (new, _) = depot.upload("1.1.0", "exec sleep 1000");
    depot.promote(&new, "stable");
    let (_, out, _) = depot.run_as(&user, &["pkg", "install", "test/web"]);
    assert!(out.contains(&format!("{new} is installed in")), "{out}");
    depot.make(&["pkg", "upload", text(&file), "--channel", "qa"]);
    assert_eq!(depot.make(&["pkg", "channels", &old]), "qa\nstable\nunstable\n");
    assert_eq!(depot.make(&["channel", "list", "test"]), "qa\nstable\nunstable\n");
    assert_eq!(depot.make(&["pkg", "search", "we"]), format!("{new}\n{old}\n"));
    depot.make(&["pkg", "demote", &new, "stable"]);
    let other = depot.dir.path().join("other");
    let (_, out, _) = depot.run_as(&other, &["pkg", "install", "test/web"]);
    assert!(out.contains(&format!("{old} is installed in")), "the channel goes back: {out}");
    let (_, out, _) = depot.run_as(&other, &["pkg", "install", "test/web", "--channel", "unstable"]);
    assert!(out.contains(&format!("{new} is installed in")), "{out}");
}

#[test]
fn what_is_not_allowed_is_refused_with_the_way_to_it() {
    let depot = Depot::start(&[]);
    let (ident, file) = depot.upload("1.0.0", "exec sleep 1000");
    let maker = depot.maker();
    let run = |args: &[&str]| depot.run_as(&maker, args);
    let wrong = ["-z", "wrong"];
    for (args, code, why) in [
        (&["pkg", "promote", &ident, "stable"][..], 7, "-z or HAB_AUTH_TOKEN"),
        (&["pkg", "promote", &ident, "stable", wrong[0], wrong[1]], 7, "not one of this depot's"),
        (&["pkg", "promote", &ident, "stable", "-z", &depot.token], 7, "annulus origin certify test"),
        (&["pkg", "promote", "test/web", "stable"], 2, "names no build"),
        (
            &["pkg", "promote", "test/web/9.9/20260101000000", "stable", "-z", &depot.token],
            2,
            "was never uploaded",
        ),
        (&["pkg", "promote", &ident, "../x"], 2, "cannot name a channel"),
        (&["pkg", "demote", &ident, "unstable"], 2, "annulus pkg delete"),
        (&["pkg", "demote", &ident, "none", "-z", &depot.token], 2, "has no channel none"),
        (&["pkg", "channels", "test/web/9.9/20260101000000"], 2, "does not have"),
        (&["pkg", "search", "nothing-of-that-name"], 2, "no package whose name contains"),
        (&["pkg", "install", "test/none"], 2, "has no test/none"),
        (&["pkg", "install", "test/web", "--url", "ftp://x"], 2, "depots speak http and https"),
        (&["pkg", "install", "test/web", "--url", "http://127.0.0.1:1"], 1, "cannot be asked"),
        (&["channel", "destroy", "stable", "-o", "test", "-z", &depot.token], 7, "never removed"),
        (&["pkg", "upload", "/dev/null"], 1, "not a regular file"),
    ] {
        let (found, out, error) = run(args);
        assert!(found == code && error.contains(why), "{args:?}: {found} {out}{error}");
    }
    let mut nowhere = annulus();
    let (code, _, error) = finish(nowhere.arg("--root").arg(&maker).args(["pkg", "upload", text(&file)]));
    assert!(code == 2 && error.contains("no depot is named"), "{error}");
}

#[test]
fn a_depot_that_goes_back_or_keeps_back_is_refused() {
    let depot = Depot::start(&[]);
    depot.certify_after_upload();
    let (old, _) = depot.upload("1.1.0", "exec sleep 1000");
    depot.promote(&old, "stable");
    let before = fs::read(depot.head("stable")).expect("a head");
    let (new, file) = depot.upload("1.2.0", "exec sleep 1000");
    depot.promote(&new, "stable");
    let user = depot.dir.path().join("user");
    let install = |args: &[&str]| depot.run_as(&user, &[&["pkg", "install", "test/web"], args].concat());
    assert_eq!(install(&[]).0, 0);

    let now = fs::read(depot.head("stable")).expect("a head");
    fs::write(depot.head("stable"), &before).expect("written");
    depot.changed();
    let (code, _, error) = install(&[]);
    assert!(code == 1 && error.contains("was seen before: an old copy"), "{error}");
    fs::remove_file(depot.head("stable")).expect("removed");
    depot.changed();
    let (code, _, error) = install(&[]);
    assert!(code == 1 && error.contains("keeps back what counts"), "{error}");
    fs::rename(depot.dir.path().join("depot/lists"), depot.dir.path().join("lists")).expect("moved");
    depot.changed();
    let (code, _, error) = install(&[]);
    assert!(code == 1 && error.contains("it has no list of that origin's keys"), "{error}");
    fs::rename(depot.dir.path().join("lists"), depot.dir.path().join("depot/lists")).expect("moved");
    fs::write(depot.head("stable"), &now).expect("written");
    depot.changed();
    assert_eq!(install(&[]).0, 0, "what was refused has changed nothing");

    // Another content under the name of what the channel holds.
    let blob = blob_of(&depot, &file);
    let mut bytes = fs::read(&blob).expect("read");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(&blob, &bytes).expect("written");
    let other = depot.dir.path().join("other");
    let (code, _, error) = depot.run_as(&other, &["pkg", "install", "test/web"]);
    assert!(
        code == 1
            && error.contains("which is what the channel holds")
            && error.contains("nothing was installed"),
        "{error}"
    );
    bytes.truncate(bytes.len() / 2);
    fs::write(&blob, &bytes).expect("written");
    let (code, _, error) = depot.run_as(&other, &["pkg", "install", "test/web"]);
    assert!(code == 1 && error.contains("ended before all had come"), "{error}");
    assert!(!other.join("pkgs/test").exists());
    fs::copy(&file, &blob).expect("mended");
    assert_eq!(depot.run_as(&other, &["pkg", "install", "test/web"]).0, 0, "and goes on where it stopped");
}

impl Depot {
    fn certify_after_upload(&self) {
        self.upload("1.0.0", "exec sleep 1000");
        self.certify();
    }
}

fn blob_of(depot: &Depot, file: &Path) -> PathBuf {
    let hash = depot.make(&["pkg", "hash", text(file)]);
    depot.dir.path().join("depot/blobs").join(hash.split_whitespace().next().expect("a hash"))
}

#[test]
fn a_key_that_was_not_seen_before_has_to_be_compared() {
    let depot = Depot::start(&[]);
    let (first, _) = depot.upload("1.0.0", "exec sleep 1000");
    let user = depot.dir.path().join("user");
    let install =
        |args: &[&str]| depot.run_as(&user, &[&["pkg", "install", "--channel", "unstable"], args].concat());
    let (code, out, error) = install(&["test/web"]);
    assert!(code == 0 && out.contains("fingerprint") && out.contains(&first), "{out}{error}");
    eventually("the next key is of another second", || {
        finish(annulus().arg("--root").arg(depot.maker()).args(["origin", "key", "generate", "test"]))
            .0
            .eq(&0)
            .then_some(())
    });
    let (second, _) = depot.upload("2.0.0", "exec sleep 1000");
    let (code, _, error) = install(&["test/web"]);
    assert!(code == 1 && error.contains("trusts other keys of that origin"), "{error}");
    let told = error.split("--trust ").nth(1).expect("how").trim().to_owned();
    let (code, out, error) = install(&["test/web", "--trust", &told]);
    assert!(code == 0 && out.contains(&second), "{out}{error}");
}

#[test]
fn habitats_client_finds_what_it_looks_for() {
    let depot = Depot::start(&[]);
    let (ident, file) = depot.upload("1.0.0", "exec sleep 1000");
    depot.certify();
    depot.promote(&ident, "stable");
    let agent = ("user-agent", "hab/1.6.1244 (x86_64-linux; 5.15.0)");
    let ask = |path: &str| get(depot.at, &format!("/v1/{path}"), &[agent]);
    let latest = ask("depot/channels/test/stable/pkgs/web/latest");
    let record = latest.json();
    assert_eq!(latest.status, 200);
    for field in ["ident", "checksum", "manifest", "deps", "tdeps", "exposes", "config"] {
        assert!(!record[field].is_null(), "{field}: {record}");
    }
    assert_eq!(
        record["checksum"].as_str(),
        depot.make(&["pkg", "hash", text(&file)]).split_whitespace().next()
    );
    let parts: Vec<&str> = ident.split('/').collect();
    let (version, release) = (parts[2], parts[3]);
    assert_eq!(ask(&format!("depot/channels/test/unstable/pkgs/web/{version}/{release}")).status, 200);
    assert_eq!(
        ask(&format!("depot/channels/test/stable/pkgs/web/{version}/latest?target=x86_64-linux")).status,
        200
    );
    assert_eq!(ask("depot/channels/test/stable/pkgs/none/latest").status, 404);
    assert_eq!(ask("depot/channels/test/stable/pkgs/_latest").status, 400);
    assert_eq!(
        ask("depot/channels/test/stable/pkgs/_latest?target=x86_64-linux").json()["data"][0]["name"],
        "web"
    );
    let listed = ask("depot/pkgs/test/web?range=0");
    assert_eq!((listed.status, &listed.json()["total_count"]), (200, &1.into()));
    assert_eq!(ask("depot/pkgs/search/web?range=0&distinct=true").json()["data"][0]["name"], "web");
    assert_eq!(ask("depot/pkgs/test/web/versions").json()[0]["release_count"], "1");
    let channels = ask(&format!("depot/pkgs/{ident}/channels")).json();
    assert_eq!(
        (channels[0]["name"].as_str(), channels[1]["name"].as_str()),
        (Some("stable"), Some("unstable"))
    );
    let keys = ask("depot/origins/test/keys").json();
    let revision = keys[0]["revision"].as_str().expect("a key");
    let key = ask(&format!("depot/origins/test/keys/{revision}"));
    assert!(
        key.head.contains(&format!("x-filename: test-{revision}.pub")) && key.body.starts_with("SIG-PUB-1")
    );
}

#[test]
fn habitats_client_is_told_by_the_status_what_became_of_a_change() {
    let depot = Depot::start(&[]);
    let (ident, _) = depot.upload("1.0.0", "exec sleep 1000");
    depot.certify();
    depot.promote(&ident, "stable");
    let agent = ("user-agent", "hab/1.6.1244 (x86_64-linux; 5.15.0)");
    let parts: Vec<&str> = ident.split('/').collect();
    let (version, release) = (parts[2], parts[3]);
    let bearer = format!("Bearer {}", depot.token);
    let headers = [agent, ("authorization", bearer.as_str()), ("content-length", "0")];
    let post = |path: &str| request(depot.at, "POST", &format!("/v1/{path}"), &headers).status;
    assert_eq!(post("depot/channels/test/dev"), 201);
    assert_eq!(post("depot/channels/test/dev"), 409);
    let wrong =
        request(depot.at, "POST", "/v1/depot/channels/test/dev2", &[agent, ("authorization", "Bearer x")]);
    assert_eq!((wrong.status, &wrong.json()["code"]), (401, &401.into()));
    let put = |path: &str| request(depot.at, "PUT", &format!("/v1/{path}"), &headers).status;
    assert_eq!(
        put(&format!("depot/channels/test/dev/pkgs/web/{version}/{release}/promote?target=x86_64-linux")),
        200
    );
    assert_eq!(
        put(&format!("depot/channels/test/dev/pkgs/web/{version}/{release}/promote?target=aarch64-linux")),
        404
    );
    assert_eq!(put(&format!("depot/channels/test/unstable/pkgs/web/{version}/{release}/demote")), 403);
    let upload = format!("depot/pkgs/{ident}?checksum={}&target=x86_64-linux", "0".repeat(64));
    assert_eq!(post(&upload), 409, "it is there");
    assert_eq!(post("depot/pkgs/test/web/2.0/20260101000000?target=x86_64-linux"), 400, "no checksum");
    let empty =
        format!("depot/pkgs/test/web/2.0/20260101000000?checksum={}&target=x86_64-linux", "0".repeat(64));
    assert_eq!(post(&empty), 422, "another content");
    assert_eq!(
        request(depot.at, "DELETE", &format!("/v1/depot/pkgs/{ident}"), &headers).status,
        422,
        "in stable"
    );
}

#[test]
fn a_promotion_ends_the_wait_for_it() {
    let depot = Depot::start(&[]);
    let (ident, _) = depot.upload("1.0.0", "exec sleep 1000");
    depot.certify();
    let address = depot.at;
    let waiting = thread::spawn(move || {
        get(address, "/v1/heads/test/stable/x86_64-linux/current?number=0&wait=60", &[])
    });
    depot.promote(&ident, "stable");
    let answer = waiting.join().expect("answered");
    assert!(answer.status == 200 && answer.body.starts_with("HEAD-1\ntest.channel-"), "{}", answer.body);
    assert_eq!(get(address, "/v1/heads/test/stable/x86_64-linux/current?number=1&wait=0", &[]).status, 204);
}

/// Passes connections on to a depot, and cuts the first download off after so many bytes.
fn cutting(to: SocketAddr, after: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address");
    let cuts = Arc::new(AtomicUsize::new(1));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let cuts = Arc::clone(&cuts);
            thread::spawn(move || pass(client, to, &cuts, after));
        }
    });
    at
}

fn pass(mut client: TcpStream, to: SocketAddr, cuts: &AtomicUsize, after: usize) {
    let mut asked = [0; 4096];
    let read = client.read(&mut asked).unwrap_or_default();
    let is_download = String::from_utf8_lossy(&asked[..read]).contains("/download?");
    let mut depot = TcpStream::connect(to).expect("the depot listens");
    depot.write_all(&asked[..read]).expect("sent");
    let cut = is_download
        && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    let limit = if cut { after as u64 } else { u64::MAX };
    let _ = std::io::copy(&mut (&depot).take(limit), &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let depot = Depot::start(&[]);
    let (_, file) = depot.upload("1.0.0", "exec sleep 1000");
    let size = usize::try_from(fs::metadata(&file).expect("there").len()).expect("small");
    let url = format!("http://{}", cutting(depot.at, size));
    let user = depot.dir.path().join("user");
    let install =
        || depot.run_as(&user, &["pkg", "install", "test/web", "--channel", "unstable", "--url", &url]);
    let (code, _, error) = install();
    assert!(code == 1 && error.contains("cannot be asked"), "{error}");
    let part = fs::read_dir(user.join("cache/artifacts")).expect("there").flatten().next().expect("a part");
    let begun = fs::metadata(part.path()).expect("there").len();
    assert!(begun > 0 && part.file_name().to_string_lossy().ends_with(".part"), "{begun}");
    let (code, out, error) = install();
    assert!(code == 0 && out.contains("is installed in"), "{out}{error}");
}

#[test]
fn a_supervisor_brings_what_it_is_to_run_and_gives_it_to_others() {
    let depot = Depot::start(&[]);
    let (ident, file) = depot.upload("1.0.0", "exec sleep 1000");
    depot.certify();
    depot.promote(&ident, "stable");
    let supervisor = Supervisor::start(&[]);
    let (code, out, error) = supervisor.run(&["svc", "load", "test/web", "--url", &depot.url()]);
    assert!(code == 0 && out.contains(&format!("{ident} is installed from")), "{out}{error}");
    eventually("it runs", || {
        (supervisor.json("/services/web/default")["process"]["state"] == "up").then_some(())
    });
    let hash = depot.make(&["pkg", "hash", text(&file)]);
    let blob = format!("/v1/blobs/{}", hash.split_whitespace().next().expect("a hash"));
    let mut stream = crate::support::send(supervisor.http, &format!("GET {blob} HTTP/1.0\r\n\r\n"));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(
        answer.ends_with(&fs::read(&file).expect("read")) && answer.starts_with(b"HTTP/1.0 200"),
        "the same bytes"
    );
    assert_eq!(get(supervisor.http, &format!("/v1/blobs/{}", "0".repeat(64)), &[]).status, 404);
    assert_eq!(get(supervisor.http, "/v1/blobs/..%2f..%2fetc%2fpasswd", &[]).status, 400);
    let (code, _, error) = supervisor.run(&["svc", "load", "test/none", "--url", &depot.url()]);
    assert!(code == 2 && error.contains("has no test/none"), "{error}");
    // What is installed is asked of no depot.
    let (code, _, error) =
        supervisor.run(&["svc", "load", "test/web", "--url", "http://127.0.0.1:1", "--force"]);
    assert_eq!(code, 0, "{error}");
    for (option, wrong) in [("--url", "garbage"), ("--channel", "a b")] {
        let (code, _, error) = supervisor.run(&["svc", "load", "test/web", option, wrong, "--force"]);
        assert!(code != 0 && error.contains(wrong), "{option}: {error}");
    }
}

#[test]
fn a_supervisor_serves_a_depot_beside_its_work() {
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("depot");
    let supervisor = Supervisor::start(&["--depot", text(&tree)]);
    assert_eq!(get(supervisor.http, "/v1/status", &[]).status, 200);
    assert_eq!(get(supervisor.http, "/v1/depot/channels/test", &[]).json()[0]["name"], "stable");
    let (code, token, error) =
        finish(annulus().args(["depot", "token", "test", "--role", "promote", "--dir", text(&tree)]));
    assert_eq!(code, 0, "{error}");
    let built = plan(dir.path(), "web", "exec sleep 1000");
    let (code, _, error) = supervisor.run(&["pkg", "build", text(&built)]);
    assert_eq!(code, 0, "{error}");
    let files = fs::read_dir(supervisor.root().join("cache/artifacts")).expect("there");
    let file = files.flatten().next().expect("a package").path();
    let url = format!("http://{}", supervisor.http);
    let (code, _, error) = supervisor.run(&["pkg", "upload", text(&file), "-u", &url, "-z", token.trim()]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(get(supervisor.http, "/v1/depot/pkgs/test/web", &[]).json()["total_count"], 1);
    assert_eq!(supervisor.get("/ready").status, 200);
}

#[test]
fn a_promotion_replaces_what_runs_at_once_and_a_bad_one_is_taken_back() {
    let depot = Depot::start(&[]);
    let (old, _) = depot.upload("1.0.0", "exec sleep 1000");
    depot.certify();
    depot.promote(&old, "stable");
    let supervisor = Supervisor::start(&[]);
    let (code, _, error) =
        supervisor.run(&["svc", "load", "test/web", "--strategy", "at-once", "--url", &depot.url()]);
    assert_eq!(code, 0, "{error}");
    let runs = |ident: &str| {
        let service = supervisor.json("/services/web/default");
        let is_up = service["process"]["state"] == "up" && service["pkg"]["ident"] == ident;
        (is_up && service["update"]["on_trial"] == false).then_some(service)
    };
    eventually("the first build has proved itself", || runs(&old));
    let (new, _) = depot.upload("1.1.0", "exec sleep 1000");
    depot.promote(&new, "stable");
    eventually("the promotion has reached it", || runs(&new));

    let (bad, _) = depot.upload("1.2.0", "exit 7");
    depot.promote(&bad, "stable");
    let service = eventually("the bad build is refused, and the one before runs", || {
        runs(&new).filter(|service| service["update"]["refused"]["ident"] == bad.as_str())
    });
    assert_eq!(service["update"]["channel"]["ident"], bad.as_str(), "{}", service["update"]);
    let (_, out, _) = supervisor.run(&["svc", "status"]);
    assert!(out.contains("is not tried again here"), "{out}");

    let (code, _, error) = supervisor.run(&["svc", "update", "test/web", "--to", &old]);
    assert_eq!(code, 0, "{error}");
    eventually("the order is carried out", || runs(&old));
    let (code, _, error) = supervisor.run(&["svc", "update", "test/web", "--to", "test/web"]);
    assert!(code == 2 && error.contains("with version and release"), "{error}");
}
