//! Fetching over SSH from a real server.

use std::net::TcpListener;
use std::time::Duration;

use hades_source::git::{Credentials, FetchError, RemoteOptions, SshCredentials};

use crate::origin::{Origin, object};
use crate::sshd::Sshd;
use crate::{Clone, clone_with};

fn url(sshd: &Sshd, origin: &Origin) -> String {
    format!("ssh://{}{}", sshd.authority(), origin.path().display())
}

/// `known_hosts` as `ssh-keyscan` prints it.
fn known_hosts(sshd: &Sshd) -> String {
    let authority = sshd.authority();
    let (host, port) = authority.trim_start_matches("root@").split_once(':').unwrap();
    format!("[{host}]:{port} {}\n", sshd.host_key())
}

fn credentials(sshd: &Sshd) -> Credentials {
    let known_hosts = Some(known_hosts(sshd));
    Credentials { http: None, ssh: Some(SshCredentials { identity: sshd.login(), known_hosts }) }
}

fn over_ssh(sshd: &Sshd, origin: &Origin) -> Clone {
    clone_with(&url(sshd, origin), |options| options.credentials = credentials(sshd))
}

fn failure(sshd: &Sshd, origin: &Origin, change: impl FnOnce(&mut RemoteOptions)) -> FetchError {
    let clone = clone_with(&url(sshd, origin), |options| {
        options.credentials = credentials(sshd);
        change(options);
    });
    clone.fetch(None).unwrap_err()
}

fn check(sshd: &Sshd) {
    let origin = Origin::new();
    let first_id = origin.git(&["rev-parse", "HEAD"]);
    let clone = over_ssh(sshd, &origin);
    let first = clone.fetch(None).unwrap();
    assert_eq!((first.id.as_str(), first.follows.as_str()), (first_id.as_str(), "branch main"));
    assert_eq!(clone.names(&first.id), ["production"]);
    assert_eq!(clone.fetch(Some(&first.id)).unwrap().id, first.id, "nothing new");
    origin.write("shop/staging.yaml", object("staging"));
    origin.commit("second");
    let second = clone.fetch(Some(&first.id)).unwrap();
    assert_eq!(second.rewound, Some(false));
    assert_eq!(clone.names(&second.id), ["production", "staging"]);
    assert!(!format!("{:?}", clone.repository).contains("PRIVATE KEY"));
}

#[test]
fn both_versions_of_the_protocol() {
    let mut sshd = Sshd::start();
    check(&sshd);
    sshd.refuse_environment();
    sshd.restart();
    check(&sshd);
}

#[test]
fn a_key_that_was_rotated_is_refused_until_the_new_one_is_given() {
    let mut sshd = Sshd::start();
    let origin = Origin::new();
    let old = over_ssh(&sshd, &origin);
    old.fetch(None).unwrap();
    sshd.rotate_login();
    let error = old.fetch(None).unwrap_err();
    assert!(matches!(error, FetchError::KeyRefused { .. }), "{error}");
    assert!(error.to_string().contains("ssh-ed25519 AAAA"), "{error}");
    assert!(!error.is_transient());
    over_ssh(&sshd, &origin).fetch(None).unwrap();
}

#[test]
fn a_server_with_another_host_key_is_not_trusted() {
    let mut sshd = Sshd::start();
    let origin = Origin::new();
    let pinned = over_ssh(&sshd, &origin);
    let old = sshd.host_key().fingerprint();
    sshd.change_host_key();
    sshd.restart();
    let error = pinned.fetch(None).unwrap_err();
    assert!(matches!(error, FetchError::HostKey { .. }), "{error}");
    assert_eq!(error.reason(), "HostKeyMismatch");
    let new = sshd.host_key().fingerprint();
    let words = error.to_string();
    assert!(words.contains(&old) && words.contains(&new), "{words}");
    assert!(!sshd.log().contains("Accepted publickey"), "no login was tried");
    over_ssh(&sshd, &origin).fetch(None).unwrap();
}

#[test]
fn without_a_host_key_or_an_identity_nothing_is_asked() {
    let sshd = Sshd::start();
    let origin = Origin::new();
    let unpinned = failure(&sshd, &origin, |options| {
        let ssh = options.credentials.ssh.as_mut().unwrap();
        ssh.known_hosts = Some("git.example.com ssh-ed25519 AAAA".to_owned());
    });
    assert!(matches!(unpinned, FetchError::HostKey { .. }), "{unpinned}");
    assert!(unpinned.to_string().contains("ssh-keyscan -p "), "{unpinned}");
    let bare = failure(&sshd, &origin, |options| options.credentials = Credentials::default());
    assert!(bare.to_string().contains("private key as \"identity\""), "{bare}");
    let broken = failure(&sshd, &origin, |options| {
        options.credentials.ssh.as_mut().unwrap().identity = "hunter2".into();
    });
    assert!(matches!(broken, FetchError::Invalid(_)), "{broken}");
    assert!(!broken.to_string().contains("hunter2"), "{broken}");
}

#[test]
fn what_is_no_repository() {
    let sshd = Sshd::start();
    let origin = Origin::new();
    let path = origin.path().display().to_string();
    let missing = failure(&sshd, &origin, |options| {
        options.url = options.url.replace(&path, "/nothing/here; touch /tmp/pwned'");
    });
    assert!(matches!(missing, FetchError::NotFound { .. }), "{missing}");
    let branch = failure(&sshd, &origin, |options| {
        options.follow = hades_source::git::Follow::Branch("master".to_owned());
    });
    assert!(branch.to_string().contains("did you mean \"main\"?"), "{branch}");
    let empty = Origin::empty();
    let error = failure(&sshd, &empty, |_| {});
    assert!(matches!(error, FetchError::EmptyRepository { .. }), "{error}");
}

#[test]
fn limits_hold() {
    let sshd = Sshd::start();
    let origin = Origin::new();
    origin.write("large.bin", (0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    origin.commit("large");
    let large = failure(&sshd, &origin, |options| options.max_bytes = 20_000);
    assert!(matches!(large, FetchError::TooLarge { limit: 20_000 }), "{large}");
    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = failure(&sshd, &origin, |options| {
        let address = silent.local_addr().unwrap();
        options.url = format!("ssh://git@{address}/shop.git");
        options.timeout = Duration::from_millis(300);
        let key = sshd.host_key();
        options.credentials.ssh.as_mut().unwrap().known_hosts = Some(key.to_string());
    });
    assert!(hanging.to_string().contains("it took longer than 0.3 s"), "{hanging}");
    assert!(hanging.is_transient());
}
