//! Fetching from real repositories, over real servers, and reading from the cache.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod following;
mod origin;
mod ssh;
#[path = "../../../ssh/tests/support/mod.rs"]
mod sshd;
mod submodules;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hades_source::git::{Credentials, FetchError, Follow, ReadOptions, RemoteOptions, Repository};
use hades_source::manifest::{Limits, ManifestSet, ReadError, read_dir};
use origin::{Origin, Server, git, object};
use tempfile::TempDir;

/// A repository with a cache of its own.
struct Clone {
    cache: TempDir,
    repository: Repository,
}

impl std::ops::Deref for Clone {
    type Target = Repository;
    fn deref(&self) -> &Repository {
        &self.repository
    }
}

fn clone(url: &str) -> Clone {
    clone_with(url, |_| {})
}

fn clone_with(url: &str, change: impl FnOnce(&mut RemoteOptions)) -> Clone {
    let mut options = RemoteOptions::new(url, "main");
    change(&mut options);
    let cache = tempfile::tempdir().unwrap();
    let repository = Repository::open(&cache.path().join("cache"), options).unwrap();
    Clone { cache, repository }
}

impl Clone {
    fn git_dir(&self) -> std::path::PathBuf {
        self.cache.path().join("cache/repo.git")
    }

    fn names(&self, commit: &str) -> Vec<String> {
        names(&self.read(commit, &ReadOptions::new(".")).unwrap())
    }
}

fn names(set: &ManifestSet) -> Vec<String> {
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    set.documents.iter().map(|each| each.name.clone()).collect()
}

/// A fetch's error without what differs from run to run.
fn failure(url: &str) -> String {
    shown(&clone(url).fetch(None).unwrap_err(), url)
}

fn shown(error: &FetchError, url: &str) -> String {
    format!("{}: {error}", error.reason()).replace(url, "URL")
}

#[test]
fn a_local_repository() {
    let origin = Origin::new();
    let clone = clone(&origin.url());
    let first = clone.fetch(None).unwrap();
    assert_eq!(first.id, origin.git(&["rev-parse", "HEAD"]));
    assert_eq!((first.summary.as_str(), first.author.as_str()), ("first", "Ada"));
    assert_eq!(first.author_time, 1_700_000_000);
    assert_eq!(first.rewound, None);
    assert_eq!(clone.names(&first.id), ["production"]);

    let again = clone.fetch(Some(&first.id)).unwrap();
    assert_eq!((&again.id, again.rewound), (&first.id, Some(false)));

    origin.write("shop/staging.yaml", object("staging"));
    origin.commit("second");
    let third = origin.commit("third");
    let latest = clone.fetch(Some(&first.id)).unwrap();
    assert_eq!((latest.id.as_str(), latest.rewound), (third.as_str(), Some(false)));
    assert_eq!(clone.names(&latest.id), ["production", "staging"]);
    assert_eq!(clone.names(&first.id), ["production"], "what was fetched stays");
}

#[test]
fn only_the_commit_is_fetched() {
    let origin = Origin::new();
    let parent = origin.git(&["rev-parse", "HEAD"]);
    origin.commit("second");
    origin.git(&["checkout", "--quiet", "-b", "other"]);
    origin.write("other.yaml", object("other"));
    let other = origin.commit("other");
    let clone = clone(&origin.url());
    clone.fetch(None).unwrap();
    for absent in [parent, other] {
        assert!(git(&clone.git_dir(), &["cat-file", "-e", &absent]).is_err());
    }
}

/// What holds for every kind of server.
fn check_server(origin: &Origin, clone: &Clone, server: &Server) {
    let parent = origin.git(&["rev-parse", "HEAD"]);
    let first_id = origin.commit("second");
    let first = clone.fetch(None).unwrap();
    assert_eq!(first.id, first_id);
    assert_eq!(clone.names(&first.id), ["production"]);
    let history = git(&clone.git_dir(), &["cat-file", "-e", &parent]);
    assert!(history.is_err(), "only one commit deep");

    server.requests();
    let again = clone.fetch(Some(&first.id)).unwrap();
    assert_eq!((&again.id, again.rewound), (&first.id, Some(false)));
    let posts = server.requests();
    assert!(posts.iter().filter(|line| line.starts_with("POST")).count() <= 1, "{posts:?}");

    origin.write("shop/production.yaml", object("renamed"));
    let next = origin.commit("third");
    let latest = clone.fetch(Some(&first.id)).unwrap();
    assert_eq!((latest.id.as_str(), latest.rewound), (next.as_str(), Some(false)));
    assert_eq!(clone.names(&latest.id), ["renamed"]);

    origin.commit("fourth");
    origin.commit("fifth");
    let latest = clone.fetch(Some(&latest.id)).unwrap();
    assert_eq!(latest.rewound, None, "too little history to tell");
    assert_eq!(clone.names(&latest.id), ["renamed"]);
}

#[test]
fn an_http_server() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    check_server(&origin, &clone(&server.url("git")), &server);
}

#[test]
fn an_https_server() {
    let origin = Origin::new();
    let server = Server::https(&origin);
    let clone = clone_with(&server.url("git"), |options| {
        options.extra_ca.clone_from(&server.ca);
    });
    check_server(&origin, &clone, &server);
}

#[test]
fn a_server_that_knows_only_the_old_protocol() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    check_server(&origin, &clone(&server.url("old")), &server);
}

#[test]
fn only_what_differs_is_sent() {
    let origin = Origin::new();
    // Doesn't compress: a linear congruence's high bytes.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    origin.write("picture.bin", noise);
    origin.commit("picture");
    let server = Server::http(&origin);
    let clone = clone(&server.url("git"));
    let sent = || -> u64 {
        let requests = server.requests();
        requests.iter().map(|line| line.split(' ').nth(3).unwrap().parse::<u64>().unwrap()).sum()
    };
    let first = clone.fetch(None).unwrap();
    assert!(sent() > 300_000);
    origin.write("shop/staging.yaml", object("staging"));
    origin.commit("second");
    let second = clone.fetch(Some(&first.id)).unwrap();
    assert!(sent() < 5_000);
    assert_eq!(clone.names(&second.id), ["production", "staging"]);
    assert!(git(&clone.git_dir(), &["cat-file", "-e", "HEAD:picture.bin"]).is_err());
    let picture = format!("{}:picture.bin", second.id);
    assert_eq!(git(&clone.git_dir(), &["cat-file", "-s", &picture]).unwrap(), "300000");
}

#[test]
fn a_force_push_is_followed_and_noticed() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    let local = clone(&origin.url());
    let remote = clone(&server.url("git"));
    origin.write("shop/second.yaml", object("second"));
    origin.commit("second");
    let known = local.fetch(None).unwrap().id;
    assert_eq!(remote.fetch(None).unwrap().id, known);
    origin.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    origin.write("shop/other.yaml", object("other"));
    let rewritten = origin.commit("rewritten");

    let commit = local.fetch(Some(&known)).unwrap();
    assert_eq!((commit.id.as_str(), commit.rewound), (rewritten.as_str(), Some(true)));
    assert_eq!(local.names(&commit.id), ["other", "production"]);
    let commit = remote.fetch(Some(&known)).unwrap();
    assert_eq!((commit.id.as_str(), commit.rewound), (rewritten.as_str(), None));
    assert_eq!(remote.names(&commit.id), ["other", "production"]);
    // What was never seen says nothing.
    let unknown = "1".repeat(40);
    assert_eq!(local.fetch(Some(&unknown)).unwrap().rewound, None);
    assert_eq!(local.fetch(Some("nonsense")).unwrap().rewound, None);
}

#[test]
fn an_empty_repository() {
    let origin = Origin::empty();
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git"), server.url("old")] {
        let error = clone(&url).fetch(None).unwrap_err();
        assert!(matches!(error, FetchError::EmptyRepository { .. }), "{error}");
        assert!(!error.is_transient());
    }
}

#[test]
fn a_missing_branch() {
    let origin = Origin::new();
    origin.git(&["branch", "production"]);
    origin.git(&["branch", "master"]);
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git"), server.url("old")] {
        let missing = |branch: &str| {
            let clone =
                clone_with(&url, |options| options.follow = Follow::Branch(branch.to_owned()));
            clone.fetch(None).unwrap_err().to_string()
        };
        assert_eq!(
            missing("prodution"),
            "the repository has no branch \"prodution\"; did you mean \"production\"? \
             (there are: main, master, production)"
        );
        assert_eq!(
            missing("xyz"),
            "the repository has no branch \"xyz\" (there are: main, master, production)"
        );
    }
}

#[test]
fn main_and_master_are_taken_for_each_other() {
    let origin = Origin::new();
    origin.git(&["branch", "--move", "master"]);
    origin.git(&["branch", "maint"]);
    let error = clone(&origin.url()).fetch(None).unwrap_err();
    assert!(error.to_string().contains("did you mean \"master\"?"), "{error}");
}

#[test]
fn what_is_no_repository() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    let nowhere = format!("file://{}/nothing", origin.root().display());
    let folder = format!("file://{}", origin.root().display());
    let file = format!("file://{}/shop/production.yaml", origin.path().display());
    let missing = server.url("git").replace("/repo/", "/nothing/");
    let cases = [
        ("missing folder", nowhere),
        ("folder without repository", folder),
        ("file", file),
        ("missing on the server", missing),
        ("page", server.url("page")),
        ("private", server.url("private")),
        ("failing", server.url("failing")),
        ("loop", server.url("loop")),
        ("insecure redirect", server.url("insecure")),
        ("nonsense", server.url("nonsense")),
        ("cut off", server.url("cut")),
        ("damaged", server.url("damaged")),
    ];
    let all = cases
        .iter()
        .map(|(name, url)| format!("{name}: {}", failure(url)))
        .collect::<Vec<_>>()
        .join("\n")
        .replace(&origin.root().display().to_string(), "ROOT");
    insta::assert_snapshot!(all);
}

#[test]
fn a_redirect_is_followed() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    let clone = clone(&server.url("moved"));
    let commit = clone.fetch(None).unwrap();
    assert_eq!(clone.names(&commit.id), ["production"]);
    let moved = server.requests().iter().filter(|line| line.contains("/moved/")).count();
    assert_eq!(moved, 1, "later requests go where the first was sent");
}

#[test]
fn credentials_open_a_private_repository_and_stay_with_its_host() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    let credentials = |options: &mut RemoteOptions| {
        options.credentials = Credentials::basic("me", "secret");
    };
    let clone = clone_with(&server.url("private"), credentials);
    let commit = clone.fetch(None).unwrap();
    assert_eq!(clone.names(&commit.id), ["production"]);
    assert!(!format!("{clone:?}", clone = clone.repository).contains("secret"));

    let elsewhere = Server::http(&origin);
    let away = server.url(&format!("away/{}/private", elsewhere.port()));
    let error = clone_with(&away, credentials).fetch(None).unwrap_err();
    assert!(matches!(error, FetchError::AuthenticationRequired { .. }), "{error}");
    let requests = elsewhere.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|line| line.ends_with(" -")), "{requests:?}");

    let away = server.url(&format!("away/{}/git", elsewhere.port()));
    clone_with(&away, credentials).fetch(None).unwrap();
    let requests = elsewhere.requests();
    assert!(requests.len() >= 3, "{requests:?}");
    assert!(requests.iter().all(|line| line.ends_with(" -")), "{requests:?}");
}

#[test]
fn servers_that_are_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = format!("http://127.0.0.1:{port}/shop");
    assert_eq!(
        failure(&refused),
        "RepositoryUnreachable: can't reach URL: Connection refused (os error 111)"
    );
    let unknown = failure("https://git.invalid/shop");
    assert!(unknown.contains("the host name git.invalid doesn't resolve"), "{unknown}");
    let error = clone(&refused).fetch(None).unwrap_err();
    assert!(error.is_transient());
}

#[test]
fn a_certificate_of_an_unknown_ca_is_refused() {
    let origin = Origin::new();
    let server = Server::https(&origin);
    let url = server.url("git");
    insta::assert_snapshot!(failure(&url), @"RepositoryUnreachable: can't reach URL: TLS: invalid peer certificate: UnknownIssuer; if 127.0.0.1 has a certificate of an own CA, add that CA's certificate");
    let broken = clone_with(&url, |options| options.extra_ca = Some(b"no PEM".to_vec()));
    assert!(matches!(broken.fetch(None), Err(FetchError::Invalid(_))));
    // A certificate of that CA for another name is not enough.
    let other_name = url.replace("127.0.0.1", "localhost");
    let error = clone_with(&other_name, |options| options.extra_ca.clone_from(&server.ca))
        .fetch(None)
        .unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[test]
fn a_server_that_hangs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/shop", listener.local_addr().unwrap());
    let origin = Origin::new();
    let server = Server::http(&origin);
    for url in [silent, server.url("dripping")] {
        let hanging = clone_with(&url, |options| options.timeout = Duration::from_millis(300));
        let error = hanging.fetch(None).unwrap_err();
        assert_eq!(
            shown(&error, &url),
            "RepositoryUnreachable: can't reach URL: it took longer than 0.3 s"
        );
    }
    drop(listener);
}

#[test]
fn a_repository_that_is_too_large() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    for index in 0..200 {
        let noise: String = (0..200_u64)
            .map(|each| (each * 7919 + index * 104_729).wrapping_pow(3).to_string())
            .collect();
        origin.write(&format!("{index}.txt"), noise);
    }
    origin.commit("much");
    for url in [origin.url(), server.url("git"), server.url("old")] {
        let clone = clone_with(&url, |options| options.max_bytes = 20_000);
        let error = clone.fetch(None).unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { limit: 20_000 }), "{url}: {error}");
    }
}

#[test]
fn a_damaged_cache_is_replaced() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git")] {
        let damages: [fn(&Path); 6] = [
            |dir| fs::remove_file(dir.join("repo.git/HEAD")).unwrap(),
            |dir| fs::remove_dir_all(dir.join("repo.git/objects")).unwrap(),
            |dir| fs::remove_file(dir.join("source")).unwrap(),
            |dir| fs::write(dir.join("repo.git/refs/hades/head"), "nonsense").unwrap(),
            |dir| fs::remove_dir_all(dir.join("repo.git")).unwrap(),
            |dir| for_objects(dir, |file| fs::write(file, "nonsense").unwrap()),
        ];
        for (index, damage) in damages.iter().enumerate() {
            let clone = clone(&url);
            let commit = clone.fetch(None).unwrap();
            damage(&clone.cache.path().join("cache"));
            let again = clone.fetch(Some(&commit.id)).unwrap();
            assert_eq!(again.id, commit.id);
            assert_eq!(clone.names(&again.id), ["production"], "damage {index}");
        }
    }
}

/// Everything that holds objects, packed or loose.
fn for_objects(cache: &Path, change: fn(&Path)) {
    let mut folders = vec![cache.join("repo.git/objects")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                // git makes them read-only.
                fs::remove_file(&path).unwrap();
                change(&path);
            }
        }
    }
}

/// Fetches twice, so that the second commit's pack builds on the first one's, and
/// takes the first one's away.
fn half_damaged(origin: &Origin, url: &str) -> (Clone, String) {
    let clone = clone(url);
    clone.fetch(None).unwrap();
    let packs = clone.git_dir().join("objects/pack");
    let first: Vec<_> = fs::read_dir(packs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(first.len(), 2, "a pack and its index");
    origin.write("shop/staging.yaml", object("staging"));
    origin.commit("second");
    let second = clone.fetch(None).unwrap().id;
    assert_eq!(clone.names(&second), ["production", "staging"]);
    for file in first {
        fs::remove_file(file).unwrap();
    }
    (clone, second)
}

#[test]
fn damage_that_only_reading_finds_is_healed_by_the_next_fetch() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git")] {
        let (clone, commit) = half_damaged(&origin, &url);
        let error = clone.read(&commit, &ReadOptions::new(".")).unwrap_err();
        assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
        assert_eq!(clone.fetch(None).unwrap().id, commit);
        assert_eq!(clone.names(&commit), ["production", "staging"]);
        origin.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    }
}

#[test]
fn damage_that_the_next_commit_builds_on_is_healed_by_fetching_it() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git")] {
        let (clone, _) = half_damaged(&origin, &url);
        origin.write("shop/third.yaml", object("third"));
        let third = origin.commit("third");
        assert_eq!(clone.fetch(None).unwrap().id, third);
        assert_eq!(clone.names(&third), ["production", "staging", "third"]);
        origin.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    }
}

#[test]
fn a_cache_of_another_repository_is_not_used() {
    let (one, two) = (Origin::new(), Origin::empty());
    two.write("two.yaml", object("two"));
    two.commit("two");
    let cache = tempfile::tempdir().unwrap();
    let open = |origin: &Origin| {
        Repository::open(cache.path(), RemoteOptions::new(origin.url(), "main")).unwrap()
    };
    let first = open(&one).fetch(None).unwrap();
    let second = open(&two).fetch(None).unwrap();
    let set = open(&two).read(&second.id, &ReadOptions::new(".")).unwrap();
    assert_eq!(names(&set), ["two"]);
    let gone = open(&two).read(&first.id, &ReadOptions::new("."));
    assert!(matches!(gone, Err(ReadError::CommitMissing { .. })));
}

#[test]
fn one_cache_serves_many_at_once() {
    let origin = Origin::new();
    let server = Server::http(&origin);
    let cache = tempfile::tempdir().unwrap();
    let (path, url) = (cache.path(), server.url("git"));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let options = RemoteOptions::new(url.as_str(), "main");
                let repository = Repository::open(path, options).unwrap();
                for _ in 0..3 {
                    let commit = repository.fetch(None).unwrap();
                    let set = repository.read(&commit.id, &ReadOptions::new(".")).unwrap();
                    assert_eq!(names(&set), ["production"]);
                }
            });
        }
        scope.spawn(|| {
            for index in 0..5 {
                origin.write("note.txt", index.to_string());
                origin.commit("more");
            }
        });
    });
}

#[test]
fn a_repository_of_another_user_is_refused() {
    let origin = Origin::new();
    // Only root can make one; nobody else can come by one without root's help.
    let git_dir = origin.path().join(".git");
    let given = std::os::unix::fs::chown(&git_dir, Some(65_534), None)
        .and_then(|()| std::os::unix::fs::chown(origin.path(), Some(65_534), None));
    if given.is_err() {
        return;
    }
    let error = clone(&origin.url()).fetch(None).unwrap_err();
    assert!(matches!(error, FetchError::NotTrusted { .. }), "{error}");
}

#[test]
fn links_and_submodules_are_not_followed() {
    let origin = Origin::new();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, origin.path().join(name)).unwrap();
    };
    link("/etc/passwd", "passwd.yaml");
    link("shop/production.yaml", "alias.yml");
    link("shop", "folder");
    link("/etc/hosts", ".hadesignore");
    let head = origin.git(&["rev-parse", "HEAD"]);
    let entry = format!("160000,{head},module");
    origin.git(&["add", "--all"]);
    origin.git(&["update-index", "--add", "--cacheinfo", &entry]);
    origin.git(&["commit", "--quiet", "-m", "links"]);
    let clone = clone(&origin.url());
    let commit = clone.fetch(None).unwrap();
    let read = |path: &str| clone.read(&commit.id, &ReadOptions::new(path));
    let set = read(".").unwrap();
    assert_eq!(set.files, 1);
    let errors: Vec<_> = set.errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(errors.join("\n"), @r"
    .hadesignore: a symbolic link, which is not followed
    alias.yml: a symbolic link, which is not followed: put the manifest itself here
    passwd.yaml: a symbolic link, which is not followed: put the manifest itself here
    ");
    assert_eq!(
        set.notes,
        [
            "folder: a symbolic link, which is not followed",
            "module: a submodule, which is not fetched"
        ]
    );
    let paths = ["folder", "folder/production.yaml", "passwd.yaml", "module/a"];
    for path in paths {
        let error = read(path).unwrap_err();
        assert!(matches!(error, ReadError::PathNotFollowed { .. }), "{path}: {error}");
    }
}

#[test]
fn paths_of_the_repository() {
    let origin = Origin::new();
    origin.write("shop/deep/staging.yaml", object("staging"));
    origin.write(".hidden/secret.yaml", object("hidden"));
    origin.write("broken.yaml", "a: [\n");
    origin.commit("second");
    let clone = clone(&origin.url());
    let commit = clone.fetch(None).unwrap();
    let read = |path: &str| clone.read(&commit.id, &ReadOptions::new(path));
    for path in ["shop", "shop/", "./shop", "/shop"] {
        let set = read(path).unwrap();
        assert_eq!(names(&set), ["staging", "production"], "{path}");
        assert_eq!(set.documents[0].file, "shop/deep/staging.yaml");
    }
    assert_eq!(names(&read("shop/deep/staging.yaml").unwrap()), ["staging"]);
    assert_eq!(names(&read(".hidden").unwrap()), ["hidden"], "hidden but asked for");
    assert_eq!(read("").unwrap().errors[0].file, "broken.yaml");
    let failures = ["shp", "shop/deeper", "shop/production.yaml/a", "../shop", "shop/../../etc"]
        .map(|path| read(path).unwrap_err().to_string())
        .join("\n");
    insta::assert_snapshot!(failures, @r#"
    the repository has no "shp"; did you mean "shop"?
    the repository has no "shop/deeper"; did you mean "shop/deep"?
    the repository has no "shop/production.yaml/a"; did you mean "shop/production.yaml"?
    the path "../shop" leaves the repository: give one below its root, such as "deploy" or "."
    the path "shop/../../etc" leaves the repository: give one below its root, such as "deploy" or "."
    "#);
}

#[test]
fn a_large_file_is_not_even_unpacked() {
    let origin = Origin::new();
    origin.write("large.yaml", "a".repeat(2 * 1024 * 1024));
    origin.commit("large");
    let clone = clone(&origin.url());
    let commit = clone.fetch(None).unwrap();
    let set = clone.read(&commit.id, &ReadOptions::new(".")).unwrap();
    assert_eq!(set.documents.len(), 1);
    assert_eq!(
        set.errors[0].to_string(),
        "large.yaml: the file is larger than 1048576 bytes; split it, or name it in .hadesignore \
         if it is no manifest"
    );
}

/// A tree that holds one folder ten times over, nine levels deep: a few hundred
/// bytes that check out to a billion files.
#[test]
fn folders_that_multiply() {
    let origin = Origin::new();
    let mut entry = format!(
        "100644 blob {}\ta.yaml",
        origin.git(&["hash-object", "-w", "shop/production.yaml"])
    );
    for _ in 0..9 {
        let lines: String =
            (0..10).map(|index| entry.replace("\ta", &format!("\ta{index}")) + "\n").collect();
        origin.write("../tree", lines);
        let tree = origin.git(&["-c", "alias.make=!git mktree < ../tree", "make"]);
        entry = format!("040000 tree {tree}\ta");
    }
    let tree = entry.split([' ', '\t']).nth(2).unwrap();
    let commit = origin.git(&["commit-tree", tree, "-m", "bomb"]);
    origin.git(&["update-ref", "refs/heads/main", &commit]);
    let server = Server::http(&origin);
    for url in [origin.url(), server.url("git")] {
        let clone = clone(&url);
        assert_eq!(clone.fetch(None).unwrap().id, commit);
        let error = clone.read(&commit, &ReadOptions::new(".")).unwrap_err();
        assert!(
            matches!(error, ReadError::TooManyFiles { .. } | ReadError::TooManyEntries { .. }),
            "{error}"
        );
        let looking = clone_with(&url, |options| options.submodules = Some(".".to_owned()));
        assert_eq!(looking.fetch(None).unwrap().id, commit, "looking for submodules ends");
    }
}

#[test]
fn a_commit_and_its_work_tree_have_one_digest() {
    let origin = Origin::new();
    origin.write("shop/.hadesignore", "values.yaml\n");
    origin.write("shop/values.yaml", "a: 1\n");
    origin.write("shop/deep/a.json", "{}");
    origin.commit("second");
    let clone = clone(&origin.url());
    let commit = clone.fetch(None).unwrap();
    let committed = clone.read(&commit.id, &ReadOptions::new("shop")).unwrap();
    let local = read_dir(&origin.path().join("shop"), &Limits::default()).unwrap();
    assert_eq!(committed.digest, local.digest);
    assert_eq!((committed.files, local.files), (2, 2));
}

#[test]
fn what_was_never_fetched_can_not_be_read() {
    let origin = Origin::new();
    let clone = clone(&origin.url());
    let options = ReadOptions::new(".");
    let before = clone.read(&"1".repeat(40), &options);
    assert!(matches!(before, Err(ReadError::CommitMissing { .. })));
    clone.fetch(None).unwrap();
    for commit in [&"1".repeat(40), "nonsense", "HEAD", ""] {
        let error = clone.read(commit, &options).unwrap_err();
        assert!(matches!(error, ReadError::CommitMissing { .. }), "{error}");
    }
}
