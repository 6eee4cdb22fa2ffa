//! Which keys count, whichever way a package comes; and what a host does about files that are damaged, shared or served by
//! another program.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use super::{Depot, blob_of};
use crate::support::{Supervisor, annulus, eventually, finish, text};

impl Depot {
    fn new_key(&self) {
        eventually("the next key is of another second", || {
            let made =
                finish(annulus().arg("--root").arg(self.maker()).args(["origin", "key", "generate", "test"]));
            (made.0 == 0).then_some(())
        });
    }

    /// The public keys of who makes packages, oldest first.
    fn keys(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.maker().join("cache/keys")).expect("there").flatten();
        let mut keys: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        keys.retain(|path| path.extension().is_some_and(|extension| extension == "pub"));
        keys.sort();
        keys
    }
}

#[test]
fn a_removed_key_counts_nowhere_and_a_host_with_it_follows_to_the_next() {
    let depot = Depot::start(&[]);
    let (old, file) = depot.upload("1.0.0", "exec sleep 1000");
    depot.certify();
    depot.promote(&old, "stable");
    let first = depot.keys().remove(0);
    depot.new_key();
    depot.certify();
    assert!(depot.make(&["origin", "certify", "test"]).contains("nothing to change"));
    let name = first.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
    let said = depot.make(&["origin", "certify", "test", "--remove", &name]);
    assert!(said.contains("list 3 ") && said.contains(&format!("{name} counts no more")), "{said}");
    assert!(
        depot.make(&["origin", "certify", "test"]).contains("nothing to change"),
        "it does not come back"
    );
    let (new, _) = depot.upload("2.0.0", "exec sleep 1000");
    depot.promote(&new, "stable");

    // By its name, or from unstable: the list has the first word.
    let fresh = depot.dir.path().join("fresh");
    for args in [&["test/web/1.0.0", "--channel", "unstable"][..], &[&old]] {
        let (code, out, error) = depot.run_as(&fresh, &[&["pkg", "install"], args].concat());
        assert!(code == 1 && error.contains("does not name"), "{args:?}: {out}{error}");
    }
    // A host that was given the old key by hand.
    let by_hand = depot.dir.path().join("by-hand");
    fs::create_dir_all(by_hand.join("cache/keys")).expect("made");
    fs::copy(&first, by_hand.join("cache/keys").join(first.file_name().expect("a name"))).expect("copied");
    assert_eq!(depot.run_as(&by_hand, &["pkg", "verify", text(&file)]).0, 0, "it knows no list yet");
    let (code, out, error) = depot.run_as(&by_hand, &["pkg", "install", "test/web"]);
    assert!(code == 0 && out.contains(&format!("{new} is installed in")), "{out}{error}");
    for args in [["pkg", "verify", text(&file)], ["pkg", "install", text(&file)]] {
        let (code, out, error) = depot.run_as(&by_hand, &args);
        assert!(code != 0 && error.contains("counts no more"), "{args:?}: {out}{error}");
    }
    let (code, _, error) =
        depot.run_as(&by_hand, &["origin", "key", "download", "test", &name[name.len() - 14..]]);
    assert!(code != 0 && error.contains("other keys of test"), "{error}");

    // Another depot of the same origin is given the lists that it has not seen.
    let second = Depot::start(&[]);
    let mut certify = annulus();
    certify.arg("--root").arg(depot.maker()).args(["origin", "certify", "test"]);
    let (code, out, error) =
        finish(certify.env("HAB_BLDR_URL", second.url()).env("HAB_AUTH_TOKEN", &second.token));
    assert!(code == 0 && out.contains("list 1 ") && out.contains("list 4 "), "{out}{error}");
    let (code, _, error) = second.run_as(&by_hand, &["pkg", "install", "test/web", "--channel", "qa"]);
    assert!(code == 2 && error.contains("has no test/web"), "it is believed: {error}");
}

#[test]
fn the_list_of_a_dependencys_origin_counts_as_well() {
    let depot = Depot::start(&[]);
    let lib = crate::support::plan(&depot.dir.path().join("plan-lib"), "lib", "exec sleep 1000");
    let toml = fs::read_to_string(lib.join("plan.toml")).expect("read");
    fs::write(lib.join("plan.toml"), toml.replace("\"test\"", "\"dep\"")).expect("written");
    let built = depot.make(&["pkg", "build", text(&lib)]);
    let ident =
        built.split_whitespace().find(|word| word.starts_with("dep/lib/")).expect("an ident").to_owned();
    depot.make(&["pkg", "install", &ident, "--url", ""]);
    let (code, token, error) =
        finish(annulus().args(["depot", "token", "dep", "--role", "promote"]).args(super::at(&depot.dir)));
    assert_eq!(code, 0, "{error}");
    let token = token.trim();
    let file =
        depot.maker().join("cache/artifacts").join(format!("{}-x86_64-linux.hart", ident.replace('/', "-")));
    depot.make(&["pkg", "upload", text(&file), "-z", token]);
    depot.make(&["origin", "certify", "dep", "-z", token]);
    let web = crate::support::plan(&depot.dir.path().join("plan-web"), "web", "exec sleep 1000");
    let toml = fs::read_to_string(web.join("plan.toml")).expect("read");
    fs::write(web.join("plan.toml"), format!("deps = [\"dep/lib\"]\n{toml}")).expect("written");
    let built = depot.make(&["pkg", "build", text(&web)]);
    let own =
        built.split_whitespace().find(|word| word.starts_with("test/web/")).expect("an ident").to_owned();
    let file =
        depot.maker().join("cache/artifacts").join(format!("{}-x86_64-linux.hart", own.replace('/', "-")));
    depot.make(&["pkg", "upload", text(&file)]);
    depot.certify();
    depot.promote(&own, "stable");
    let list = depot.dir.path().join("depot/lists/dep/current");
    fs::write(&list, fs::read_to_string(&list).expect("read").replace("\"number\": 1", "\"number\": 2"))
        .expect("written");
    fs::rename(&list, list.with_file_name("1.list")).expect("moved");
    depot.changed();
    let user = depot.dir.path().join("user");
    let (code, out, error) = depot.run_as(&user, &["pkg", "install", "test/web"]);
    assert!(code == 1 && error.contains("says of dep is refused"), "{out}{error}");
}

#[test]
fn a_damaged_file_is_brought_anew_and_many_bring_one_file() {
    let depot = Depot::start(&[]);
    let (ident, file) = depot.upload("1.0.0", "exec sleep 1000");
    depot.certify();
    depot.promote(&ident, "stable");
    let user = depot.dir.path().join("user");
    let cache = user.join("cache/artifacts");
    fs::create_dir_all(&cache).expect("made");
    let name = file.file_name().expect("a name");
    fs::write(cache.join(name), "damaged").expect("written");
    // And the beginning of another file, as a mirror may have given it.
    fs::write(cache.join(format!(".{}.part", name.to_str().expect("text"))), "HART-1\nother")
        .expect("written");
    thread::scope(|scope| {
        let installs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| depot.run_as(&user, &["pkg", "install", "test/web"]))).collect();
        for install in installs {
            let (code, out, error) = install.join().expect("ended");
            assert_eq!(code, 0, "{out}{error}");
        }
    });
    assert_eq!(fs::read(cache.join(name)).expect("there"), fs::read(&file).expect("there"));
    assert_eq!(fs::read_dir(&cache).expect("there").count(), 1, "nothing else is left");
}

/// A web server that has files, and knows nothing of depots.
fn files_of(dir: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut asked = [0; 4096];
            let read = client.read(&mut asked).unwrap_or_default();
            let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
            let path = asked.split_whitespace().nth(1).unwrap_or_default();
            let path = path.split('?').next().and_then(|path| path.strip_prefix("/v1/")).unwrap_or_default();
            let found = fs::read(dir.join(path)).ok();
            let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
            let body = found.unwrap_or_default();
            let _ = write!(
                client,
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = client.write_all(&body);
        }
    });
    at
}

#[test]
fn a_web_server_that_has_the_files_is_a_mirror() {
    let depot = Depot::start(&[]);
    let (ident, file) = depot.upload("1.0.0", "exec sleep 1000");
    depot.certify();
    depot.promote(&ident, "stable");
    let url = format!("http://{}", files_of(depot.dir.path().join("depot")));
    let install = |root: &str, what: &str| {
        depot.run_as(&depot.dir.path().join(root), &["pkg", "install", what, "--url", &url])
    };
    let (code, out, error) = install("user", "test/web");
    assert!(code == 0 && out.contains(&format!("{ident} is installed in")), "{out}{error}");
    let (code, out, error) = install("other", &ident);
    assert!(code == 0 && out.contains(&format!("{ident} is installed in")), "{out}{error}");
    let (code, _, error) = install("user", "test/none");
    assert!(code == 2 && error.contains("has no test/none"), "{error}");
    damage(&blob_of(&depot, &file));
    let (code, _, error) = install("third", "test/web");
    assert!(code == 1 && error.contains("nothing was installed"), "{error}");
}

#[test]
fn a_depot_is_asked_through_the_proxy_that_the_environment_names() {
    let depot = Depot::start(&[]);
    depot.upload("1.0.0", "exec sleep 1000");
    // It passes on what comes, and cuts nothing off.
    let proxy = format!("http://{}", super::cutting(depot.at, usize::MAX));
    let search = |without: &str| {
        let mut command = annulus();
        command.args(["pkg", "search", "web", "--url", "http://depot.invalid:9640"]);
        finish(command.env("HTTP_PROXY", &proxy).env("http_proxy", &proxy).env("NO_PROXY", without))
    };
    let (code, out, error) = search("");
    assert!(code == 0 && out.contains("test/web/1.0.0"), "{out}{error}");
    let (code, _, error) = search("depot.invalid");
    assert!(code == 1 && error.contains("cannot be asked"), "{error}");
}

#[test]
fn old_releases_go_except_those_that_are_in_use() {
    let depot = Depot::start(&[]);
    let idents: Vec<String> = ["1.0.0", "1.1.0", "1.2.0"]
        .iter()
        .map(|version| depot.upload(version, "exec sleep 1000").0)
        .collect();
    let supervisor = Supervisor::start(&[]);
    for ident in &idents {
        let (code, _, error) = supervisor.run(&["pkg", "install", ident, "--url", &depot.url()]);
        assert_eq!(code, 0, "{error}");
    }
    let (code, _, error) = supervisor.run(&["svc", "load", &idents[0]]);
    assert_eq!(code, 0, "{error}");
    let (_, out, _) = supervisor.run(&["pkg", "prune", "--keep", "1", "--dry-run"]);
    assert!(out.contains(&format!("{} would be removed", idents[1])), "{out}");
    let (code, out, error) = supervisor.run(&["pkg", "prune", "--keep", "1", "--files"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains(&format!("{} is kept, because service web", idents[0])), "{out}");
    assert_eq!(supervisor.run(&["pkg", "list"]).1, format!("{}\n{}\n", idents[0], idents[2]));
    let files = fs::read_dir(supervisor.root().join("cache/artifacts")).expect("there");
    assert_eq!(files.count(), 2, "the file is gone as well");
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(path, bytes).expect("written");
}
