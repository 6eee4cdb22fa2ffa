//! Root, or the supervisor's user, led through a link of a service to files that the service may not touch.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{SERVICE_USER, open_to_all, said_by, user};
use crate::host::Host;
use crate::support::{eventually, plan, text};

/// A plan with a template two folders deep, run by this script as this user.
fn deep_plan(host: &Host, run: &str, service: &str) -> PathBuf {
    let plan = plan(&host.root.path().join("plans"), "thief", run);
    fs::create_dir_all(plan.join("config/a/b")).expect("made");
    fs::write(plan.join("config/a/b/app.conf"), "colour={{cfg.colour}}\n").expect("written");
    let file = plan.join("plan.toml");
    let toml = fs::read_to_string(&file).expect("a plan");
    fs::write(file, format!("{toml}\n{service}\n")).expect("written");
    plan
}

/// Changes the configuration of the service on this host.
fn set_colour(host: &Host, colour: &str) {
    let path = host.root.path().join("user/thief/config/user.toml");
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, format!("colour = \"{colour}\"\n")).expect("written");
}

/// Everything in a directory, with owner, mode and size.
fn census(dir: &Path) -> Vec<(PathBuf, u32, u32, u64)> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        let meta = fs::symlink_metadata(&at).expect("it is there");
        if meta.is_dir() {
            todo.extend(fs::read_dir(&at).expect("readable").map(|entry| entry.expect("readable").path()));
        }
        found.push((at, meta.uid(), meta.mode(), if meta.is_dir() { 0 } else { meta.len() }));
    }
    found.sort();
    found
}

/// Has the service put a link to `target` in the place of one of its folders of configuration, and changes what is
/// rendered there. Nothing may be made, replaced or given away in the target.
fn lead_away(host: &Host, target: &Path, service: &str) {
    fs::create_dir_all(target.join("b")).expect("made");
    fs::write(target.join("b/app.conf"), "mine\n").expect("written");
    fs::write(target.join("secret"), "mine\n").expect("written");
    let before = census(target);
    let target = text(target);
    let run = format!("mv config/a var/a && ln -s {target} config/a && : > var/led\nexec sleep 1000");
    host.load(&host.install_plan(&deep_plan(host, &run, service)));
    let svc = host.root.path().join("svc/thief");
    eventually("the link is there", || svc.join("var/led").exists().then_some(()));
    set_colour(host, "red");
    eventually("the supervisor meets the link", || host.log().contains("config/a/b/app.conf").then_some(()));
    assert_eq!(census(Path::new(target)), before, "{}", host.log());
    // The service goes on with the supervisor's next order once it has put its folder back.
    fs::remove_file(svc.join("config/a")).expect("a link");
    fs::rename(svc.join("var/a"), svc.join("config/a")).expect("put back");
    set_colour(host, "green");
    eventually("it is rendered again", || {
        let app = fs::read_to_string(svc.join("config/a/b/app.conf")).ok()?;
        (app == "colour=green\n").then_some(())
    });
    assert_eq!(census(Path::new(target)), before);
}

#[test]
fn a_link_in_the_place_of_a_folder_is_not_followed() {
    let host = Host::start(|_| {});
    lead_away(&host, &host.root.path().join("elsewhere"), "");
}

#[test]
#[ignore = "starts processes of another user: for root, and run by .ci/run"]
fn root_is_not_led_through_a_link_of_a_service() {
    let host = Host::start(|_| {});
    open_to_all(host.root.path());
    let service = format!("[service]\nuser = {SERVICE_USER:?}\ngroup = \"nogroup\"\n");
    lead_away(&host, &host.root.path().join("of-root"), &service);
}

#[test]
#[ignore = "starts processes of another user: for root, and run by .ci/run"]
fn a_service_can_change_nothing_of_what_root_writes_beside_its_folders() {
    let host = Host::start(|_| {});
    open_to_all(host.root.path());
    let more = format!("[service]\nuser = {SERVICE_USER:?}\ngroup = \"nogroup\"\n");
    let tries = "for what in config data files hooks logs var run PID; do mv $what gone-$what; done; rm -rf hooks logs run PID; \
                 for what in logs/thief.log hooks/run hooks/init run PID new; do ln -sf /etc/passwd $what; \
                 mkfifo $what; echo evil > $what; ln -f run config/run; done; ls -la . hooks logs";
    let said = said_by(&host, "thief", tries, &more);
    let svc = host.root.path().join("svc/thief");
    let nobody = user(SERVICE_USER).uid.as_raw();
    for entry in fs::read_dir(&svc).expect("readable").map(|entry| entry.expect("readable")) {
        let name = entry.file_name().into_string().expect("text");
        let is_services =
            ["config", "config_install", "data", "files", "static", "var"].contains(&name.as_str());
        let meta = fs::symlink_metadata(entry.path()).expect("there");
        assert_eq!(meta.uid() == nobody, is_services, "{name}: {said}");
        assert!(!meta.is_symlink() && !name.starts_with("gone"), "{name}: {said}");
    }
    let run = fs::read_to_string(svc.join("run")).expect("there");
    assert!(run.starts_with("#!/bin/sh\n"), "{run}");
    assert_eq!(fs::metadata(svc.join("run")).expect("there").uid(), 0);
    // Its log is written on, as a file of root.
    let log = svc.join("logs/thief.log");
    assert!(!log.exists() || fs::symlink_metadata(&log).expect("there").is_file());
}

#[test]
#[ignore = "starts processes of another user: for root, and run by .ci/run"]
fn a_link_or_another_name_for_a_file_of_root_is_not_given_away() {
    let host = Host::start(|_| {});
    open_to_all(host.root.path());
    let secret = host.root.path().join("secret-of-root");
    fs::write(&secret, "colour=red\n").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("set");
    let service = format!("[service]\nuser = {SERVICE_USER:?}\ngroup = \"nogroup\"\n");
    host.load(&host.install_plan(&deep_plan(&host, ": > var/runs\nexec sleep 1000", &service)));
    let svc = host.root.path().join("svc/thief");
    let app = svc.join("config/a/b/app.conf");
    eventually("it runs", || svc.join("var/runs").exists().then_some(()));
    for what in ["link", "other name"] {
        fs::remove_file(&app).expect("there");
        if what == "link" {
            symlink(&secret, &app).expect("made");
            set_colour(&host, "blue");
        } else {
            // A service may do this where `fs.protected_hardlinks` is 0. The name has the content that is wanted next.
            fs::hard_link(&secret, &app).expect("made");
            set_colour(&host, "red");
        }
        eventually(&format!("{what} is replaced"), || {
            let meta = fs::symlink_metadata(&app).ok()?;
            (meta.is_file() && meta.nlink() == 1 && meta.uid() != 0).then_some(())
        });
        let meta = fs::metadata(&secret).expect("there");
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (0, 0o600), "{what}");
        assert_eq!(fs::read_to_string(&secret).expect("there"), "colour=red\n", "{what}");
    }
}
