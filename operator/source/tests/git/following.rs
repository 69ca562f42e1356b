//! Tags, commits, filters, and reading only what changed.

use hades_source::git::{Changes, Credentials, FetchError, Follow, HttpCredentials, ReadOptions};
use hades_source::manifest::ManifestSet;

use crate::origin::{Origin, Server, object};
use crate::{Clone, clone, clone_with, names};

fn following(url: &str, follow: Follow) -> Clone {
    clone_with(url, |options| options.follow = follow)
}

fn tag(text: &str) -> Follow {
    Follow::Tag(text.to_owned())
}

/// A manifest per release, tagged `v1.0.0`, `v1.1.0` (an annotated tag) and `v2.0.0`.
fn releases() -> (Origin, Vec<String>) {
    let origin = Origin::empty();
    let mut commits = Vec::new();
    for version in ["v1.0.0", "v1.1.0", "v2.0.0"] {
        origin.write("a.yaml", object(&version.replace('.', "-")));
        commits.push(origin.commit(version));
        if version == "v1.1.0" {
            origin.git(&["tag", "-a", "-m", version, version]);
        } else {
            origin.git(&["tag", version]);
        }
    }
    origin.write("a.yaml", object("unreleased"));
    commits.push(origin.commit("unreleased"));
    (origin, commits)
}

#[test]
fn a_tag_or_the_newest_of_a_range() {
    let (origin, commits) = releases();
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git"), server.url("old")] {
        for (wanted, found, commit) in [
            ("v1.0.0", "v1.0.0", 0),
            ("^1", "v1.1.0", 1),
            ("v1.1.0", "v1.1.0", 1),
            ("*", "v2.0.0", 2),
        ] {
            let clone = following(&url, tag(wanted));
            let fetched = clone.fetch(None).unwrap();
            assert_eq!(fetched.id, commits[commit], "{wanted} of {url}");
            assert_eq!(fetched.follows, format!("tag {found}"));
            assert_eq!(clone.names(&fetched.id), [found.replace('.', "-")]);
        }
        let error = following(&url, tag("^3")).fetch(None).unwrap_err();
        assert!(matches!(error, FetchError::TagNotFound { .. }), "{error}");
        assert!(error.to_string().contains("v2.0.0"), "{error}");
    }
    // A new release is taken when it comes, and a moved tag is followed.
    let clone = following(&server.url("git"), tag("^1"));
    clone.fetch(None).unwrap();
    origin.git(&["tag", "v1.2.0", &commits[3]]);
    assert_eq!(clone.fetch(None).unwrap().follows, "tag v1.2.0");
    origin.git(&["tag", "--force", "v1.2.0", &commits[0]]);
    assert_eq!(clone.fetch(None).unwrap().id, commits[0]);
}

#[test]
fn one_commit() {
    let (origin, commits) = releases();
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git")] {
        let clone = following(&url, Follow::Commit(commits[1].clone()));
        let fetched = clone.fetch(None).unwrap();
        assert_eq!(fetched.id, commits[1]);
        assert_eq!(clone.names(&fetched.id), ["v1-1-0"]);
        server.requests();
        assert_eq!(clone.fetch(None).unwrap().id, commits[1]);
        assert_eq!(server.requests().len(), 0, "what can't change isn't asked for again");
        let missing = following(&url, Follow::Commit("1".repeat(40))).fetch(None).unwrap_err();
        assert!(matches!(missing, FetchError::CommitNotFound { .. }), "{missing}");
    }
}

#[test]
fn a_bearer_token() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    let bearer = HttpCredentials::Bearer("secret".into());
    clone_with(&server.url("token"), |options| {
        options.credentials = Credentials { http: Some(bearer), ssh: None };
    })
    .fetch(None)
    .unwrap();
    let error = clone_with(&server.url("token"), |options| {
        options.credentials = Credentials::basic("git", "hunter2");
    })
    .fetch(None)
    .unwrap_err();
    assert!(matches!(error, FetchError::AuthenticationRequired { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

fn read(clone: &Clone, commit: &str, change: impl FnOnce(&mut ReadOptions)) -> ManifestSet {
    let mut options = ReadOptions::new(".");
    change(&mut options);
    clone.read(commit, &options).unwrap()
}

fn patterns(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn filters_leave_files_out() {
    let origin = Origin::empty();
    for name in ["apps/a.yaml", "apps/deep/b.yaml", "apps/values.yaml", "infra/c.yaml"] {
        let object_name = name.rsplit('/').next().unwrap().trim_end_matches(".yaml");
        origin.write(name, object(object_name));
    }
    origin.write(".hadesignore", "values.yaml\n");
    let commit = origin.commit("files");
    let clone = clone(&origin.url());
    clone.fetch(None).unwrap();
    let read = |include: &[&str], ignore: &[&str]| {
        let set = read(&clone, &commit, |options| {
            options.include = patterns(include);
            options.ignore = patterns(ignore);
        });
        names(&set).join(" ")
    };
    assert_eq!(read(&[], &[]), "a b c");
    assert_eq!(read(&["apps"], &[]), "a b");
    assert_eq!(read(&["apps/*.yaml"], &[]), "a");
    assert_eq!(read(&["**/deep/*", "c.yaml"], &[]), "b c");
    assert_eq!(read(&[], &["deep/", "infra/*.yaml"]), "a");
    assert_eq!(read(&["apps"], &["a.yaml"]), "b");
    assert_eq!(read(&["values.yaml"], &[]), "", ".hadesignore still counts");
}

fn changes(clone: &Clone, from: &str, to: &str) -> Option<Changes> {
    clone.read_changes(from, to, &ReadOptions::new(".")).unwrap()
}

fn files(set: &ManifestSet) -> Vec<&str> {
    set.documents.iter().map(|document| document.file.as_str()).collect()
}

#[test]
fn only_what_differs_between_two_commits_is_read() {
    let origin = Origin::empty();
    for index in 0..20 {
        let name = format!("{}/{index}.yaml", index % 4);
        origin.write(&name, object(&format!("object-{index}")));
    }
    let first = origin.commit("first");
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git")] {
        let clone = clone(&url);
        clone.fetch(None).unwrap();
        origin.write("1/5.yaml", object("renamed"));
        origin.write("new/a.yaml", object("new"));
        origin.write("README.md", "changed");
        origin.git(&["rm", "--quiet", "-r", "3"]);
        let second = origin.commit("second");
        clone.fetch(Some(&first)).unwrap();
        let found = changes(&clone, &first, &second).unwrap();
        assert_eq!(files(&found.after), ["1/5.yaml", "new/a.yaml"]);
        assert_eq!(
            files(&found.before),
            ["1/5.yaml", "3/11.yaml", "3/15.yaml", "3/19.yaml", "3/3.yaml", "3/7.yaml"]
        );
        let none = changes(&clone, &second, &second).unwrap();
        assert_eq!((none.before.files, none.after.files), (0, 0));
        // Errors are those of changed files; the others have none.
        origin.write("2/2.yaml", "a: [1\n");
        let broken = origin.commit("broken");
        clone.fetch(Some(&second)).unwrap();
        let found = changes(&clone, &second, &broken).unwrap();
        assert_eq!(found.after.errors[0].file, "2/2.yaml");
        assert!(changes(&clone, &broken, &second).is_none(), "the earlier one isn't sound");
        origin.git(&["reset", "--quiet", "--hard", &first]);
    }
}

#[test]
fn what_can_not_be_told_from_changes_is_read_whole() {
    let origin = Origin::new();
    let first = origin.git(&["rev-parse", "HEAD"]);
    let clone = clone(&origin.url());
    clone.fetch(None).unwrap();
    origin.write(".hadesignore", "shop\n");
    let ignoring = origin.commit("other files are left out");
    clone.fetch(None).unwrap();
    assert!(changes(&clone, &first, &ignoring).is_none());
    assert!(changes(&clone, &"1".repeat(40), &ignoring).is_none(), "never seen");
    let file = ReadOptions::new("shop/production.yaml");
    assert!(clone.read_changes(&first, &ignoring, &file).unwrap().is_none());
}
