//! Submodules: fetched and read where that is asked for, and nobody's credentials told
//! to strangers.

use hades_source::git::{Credentials, FetchError, ReadOptions, Scope};

use crate::origin::{Origin, Server, git, object};
use crate::{Clone, clone_with};

/// A second repository beside an origin, at `ROOT/NAME`.
fn sibling(origin: &Origin, name: &str) -> String {
    let path = origin.root().join(name);
    std::fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet", "--initial-branch=main"]).unwrap();
    std::fs::create_dir(path.join("deploy")).unwrap();
    std::fs::write(path.join("deploy/lib.yaml"), object(name)).unwrap();
    git(&path, &["add", "--all"]).unwrap();
    git(&path, &["commit", "--quiet", "-m", "library"]).unwrap();
    git(&path, &["rev-parse", "HEAD"]).unwrap()
}

/// Commits a submodule without git's own checks.
fn add(origin: &Origin, path: &str, url: &str, commit: &str) -> String {
    let known = std::fs::read_to_string(origin.path().join(".gitmodules")).unwrap_or_default();
    origin.write(
        ".gitmodules",
        format!("{known}[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n"),
    );
    origin.git(&["add", ".gitmodules"]);
    origin.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    origin.git(&["commit", "--quiet", "-m", "submodule"]);
    origin.git(&["rev-parse", "HEAD"])
}

fn with_submodules(url: &str, below: &str) -> Clone {
    clone_with(url, |options| {
        options.submodules = Some(below.to_owned());
        options.credentials = Credentials::basic("me", "secret");
    })
}

#[test]
fn those_of_the_same_host_are_fetched_with_the_same_credentials() {
    let origin = Origin::new();
    let library = sibling(&origin, "library");
    let server = Server::http(&origin);
    // Relative to ROOT/repo/.git.
    let commit = add(&origin, "libs/one", "../../library/.git", &library);
    let clone = with_submodules(&server.url("private"), ".");
    assert_eq!(clone.fetch(None).unwrap().id, commit);
    assert_eq!(clone.names(&commit), ["library", "production"]);
    let below = clone.read(&commit, &ReadOptions::new("libs/one/deploy")).unwrap();
    assert_eq!(below.documents[0].file, "libs/one/deploy/lib.yaml");
    server.requests();
    clone.fetch(None).unwrap();
    let again = server.requests();
    assert!(again.iter().all(|line| line.contains("/repo/")), "{again:?}");

    // Off unless asked for, and only where something is read.
    let plain = clone_with(&server.url("git"), |_| {});
    plain.fetch(None).unwrap();
    assert_eq!(plain.names(&commit), ["production"]);
    let elsewhere = with_submodules(&server.url("private"), "shop");
    server.requests();
    elsewhere.fetch(None).unwrap();
    assert!(server.requests().iter().all(|line| line.contains("/repo/")));
}

#[test]
fn a_submodule_that_moves_is_a_change_of_its_files() {
    let origin = Origin::new();
    let library = sibling(&origin, "library");
    let first = add(&origin, "lib", "../library", &library);
    let clone = with_submodules(&origin.url(), ".");
    clone.fetch(None).unwrap();
    let path = origin.root().join("library");
    std::fs::write(path.join("deploy/more.yaml"), object("more")).unwrap();
    git(&path, &["add", "--all"]).unwrap();
    git(&path, &["commit", "--quiet", "-m", "more"]).unwrap();
    let moved = git(&path, &["rev-parse", "HEAD"]).unwrap();
    origin.git(&["update-index", "--cacheinfo", &format!("160000,{moved},lib")]);
    origin.git(&["commit", "--quiet", "-m", "moved"]);
    let second = clone.fetch(None).unwrap().id;
    let changes = clone.read_changes(&first, &second, &ReadOptions::new(".")).unwrap().unwrap();
    assert_eq!((changes.before.files, changes.after.files), (0, 1));
    assert_eq!(changes.after.documents[0].file, "lib/deploy/more.yaml");
}

#[test]
fn another_host_is_asked_without_credentials() {
    let origin = Origin::new();
    let stranger = Origin::empty();
    let library = sibling(&stranger, "library");
    let server = Server::http(&origin);
    let other = Server::http(&stranger);
    let url = other.url("private").replace("/repo/.git", "/library/.git");
    add(&origin, "lib", &url, &library);
    let error = with_submodules(&server.url("private"), ".").fetch(None).unwrap_err();
    let FetchError::Submodule { path, source } = &error else { panic!("{error}") };
    assert_eq!(path, "lib");
    assert!(matches!(**source, FetchError::AuthenticationRequired { .. }), "{source}");
    let requests = other.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|line| line.ends_with(" -")), "{requests:?}");
}

/// A token opens more than it was given for: whoever writes the repository names the
/// submodules.
#[test]
fn what_the_credentials_are_not_for_is_asked_without_them() {
    let origin = Origin::new();
    let library = sibling(&origin, "library");
    let server = Server::http(&origin);
    add(&origin, "lib", "../../library/.git", &library);
    let url = server.url("private");
    let fetch = |folders: &[&str]| {
        let folders: Vec<String> = folders.iter().map(|&folder| folder.to_owned()).collect();
        let forge = url.replace("/repo/.git", "");
        let clone = clone_with(&url, |options| {
            options.submodules = Some(".".to_owned());
            options.credentials = Credentials::basic("me", "secret");
            options.scope = Scope::new(&forge, Some(&folders));
        });
        clone.fetch(None)
    };
    let error = fetch(&["repo"]).unwrap_err();
    let FetchError::Submodule { path, source } = &error else { panic!("{error}") };
    assert_eq!(path, "lib");
    assert!(matches!(**source, FetchError::AuthenticationRequired { .. }), "{source}");
    fetch(&["repo", "library"]).unwrap();
}

#[test]
fn what_is_refused_is_named() {
    let refused = |path: &str, url: &str, commit: &str| {
        let origin = Origin::new();
        add(&origin, path, url, commit);
        let error = with_submodules(&origin.url(), ".").fetch(None).unwrap_err();
        assert!(!error.is_transient(), "{error}");
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            words = format!("{words}: {inner}");
            cause = inner.source();
        }
        words.replace(&origin.root().display().to_string(), "ROOT")
    };
    let nothing = "1".repeat(40);
    insta::assert_snapshot!(
        [
            refused("a", "../../../../../../../../../../x", &nothing),
            refused("b", "ext::sh -c true", &nothing),
            refused("c", "../nothing", &nothing),
            refused("d", "../repo", &nothing),
        ]
        .join("\n"),
        @r#"
    submodule "a": it leads above the root of the server
    submodule "b": repositories are fetched over https://, ssh:// or file://, not ext://
    submodule "c": there is no git repository at file://ROOT/nothing: the folder doesn't exist
    submodule "d": the repository has no commit 1111111111111111111111111111111111111111, or doesn't give it out: it must be in a branch or a tag
    "#
    );
}

#[test]
fn a_repository_in_itself_ends() {
    let origin = Origin::new();
    let mut commit = origin.git(&["rev-parse", "HEAD"]);
    // Each commit holds the one before.
    for _ in 0..7 {
        origin.write(".gitmodules", "");
        commit = add(&origin, "me", "../repo", &commit);
    }
    let error = with_submodules(&origin.url(), ".").fetch(None).unwrap_err();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    assert!(cause.to_string().contains("too many submodules"), "{error}");
}
