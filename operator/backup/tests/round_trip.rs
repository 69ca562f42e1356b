//! A backup of a server that runs, restored: whole, or not at all.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hades_apiserver::bootstrap::{self, DirectoryLock};
use hades_apiserver::{Identity, IdentityPlace, IdentitySource, audit, maintenance};
use hades_backup::{BackupError, RestoreError, UNFINISHED, inspect, read_identities, restore};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use support::{Bed, PLANTED, key, names, open, surroundings};

fn nothing(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// What opens the Secrets is in the backup.
fn within() -> IdentitySource {
    IdentitySource::default()
}

#[tokio::test]
async fn what_was_there_is_there_again_and_what_came_later_is_not() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let gathered = bed.gather();
    // After the moment that the backup shows.
    bed.write("later").await;
    let mut backup = Vec::new();
    let written = gathered.write(std::slice::from_ref(&recipient), &mut backup).unwrap();
    assert_eq!(written.size, backup.len() as u64);
    let manifest = inspect(&backup[..], &key).unwrap();
    assert_eq!(manifest.recipients, [recipient.to_string()]);
    let id = std::fs::read_to_string(bed.data().join("installation-id")).unwrap();
    assert_eq!(manifest.installation, id.trim());
    let target = bed.dir.path().join("restored");
    let restored = restore(&backup[..], &key, &target, &within(), nothing).unwrap();
    assert_eq!(restored, manifest);
    assert!(!names(&target).contains(&UNFINISHED.to_owned()));
    assert!(!names(&bed.data()).iter().any(|name| name.ends_with(".partial")), "nothing is left");
    for name in ["identity.age", "fingerprint.key", "ca.key", "admin.kubeconfig", "installation-id"]
    {
        let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert_eq!(read(&target), read(&bed.data()), "{name}");
    }
    let report = audit::verify(&target, None).unwrap();
    assert_eq!((report.problems, report.notes), (vec![], vec![]));
    let server = open(&target).await;
    assert_eq!(support::read(&server).await, PLANTED);
    let client = server.client(Identity::controller("tester"));
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    assert!(maps.get_opt("first").await.unwrap().is_some());
    assert!(maps.get_opt("later").await.unwrap().is_none());
    server.shutdown().await;
}

#[tokio::test]
async fn a_stopped_server_is_backed_up_by_its_files() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let data = bed.data();
    bed.server.shutdown().await;
    let copy = |path: &Path| hades_apiserver::maintenance::copy_closed(&data, path);
    let gathered = hades_backup::gather(&surroundings(&data), copy).unwrap();
    let mut backup = Vec::new();
    gathered.write(&[recipient], &mut backup).unwrap();
    restore(&backup[..], &key, &bed.dir.path().join("restored"), &within(), nothing).unwrap();
}

#[tokio::test]
async fn nothing_shows_without_the_key() {
    let bed = Bed::new().await;
    let (_, recipient, _) = key(bed.dir.path());
    let backup = bed.backup(&recipient);
    let identity = std::fs::read_to_string(bed.data().join("identity.age")).unwrap();
    let secret = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY")).unwrap();
    for word in [PLANTED, secret, "installation", "manifest.json", "BEGIN"] {
        let found = backup.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!found, "{word}");
    }
    let other = tempfile::tempdir().unwrap();
    let (wrong, _, _) = key(other.path());
    let error = inspect(&backup[..], &wrong).unwrap_err();
    assert!(matches!(error, RestoreError::WrongIdentity), "{error}");
    // The identity at rest is no key of backups.
    let at_rest = read_identities(&bed.data().join("identity.age")).unwrap();
    assert!(matches!(inspect(&backup[..], &at_rest), Err(RestoreError::WrongIdentity)));
    let nobody = bed.gather().write(&[], &mut Vec::new()).unwrap_err();
    assert!(matches!(nobody, BackupError::NoRecipient));
}

#[tokio::test]
async fn what_is_cut_off_or_changed_is_told_and_leaves_nothing() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let backup = bed.backup(&recipient);
    let target = bed.dir.path().join("restored");
    let refused = |bytes: &[u8]| {
        let error = restore(bytes, &key, &target, &within(), nothing).unwrap_err();
        assert!(!target.exists(), "{error}");
        error
    };
    let length = backup.len();
    for cut in [0, 10, 100, 200, 300, length / 3, length / 2, 65_536 + 400, length - 17, length - 1]
    {
        let error = refused(&backup[..cut]);
        let told = matches!(error, RestoreError::Truncated | RestoreError::Damaged(_));
        assert!(told || cut < 300, "{cut}: {error}");
    }
    for at in [length - 1, length - 30, length / 2, length / 3, 400, 150] {
        let mut changed = backup.clone();
        changed[at] ^= 1;
        let error = refused(&changed);
        let told = matches!(error, RestoreError::Damaged(_) | RestoreError::WrongIdentity);
        // The head may not look like one any more.
        assert!(told || at < 200, "{at}: {error}");
    }
    let mut longer = backup.clone();
    longer.extend_from_slice(b"more");
    refused(&longer);
    let error = refused(b"no backup at all").to_string();
    assert!(error.contains("no backup"), "{error}");
}

#[tokio::test]
async fn only_an_empty_directory_is_restored_into() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let backup = bed.backup(&recipient);
    let target = bed.dir.path().join("restored");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join("precious"), "data").unwrap();
    let error = restore(&backup[..], &key, &target, &within(), nothing).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty(_)), "{error}");
    assert_eq!(names(&target), ["precious"]);
    // As a crash leaves it: half of the files, and nothing in its place.
    std::fs::remove_file(target.join("precious")).unwrap();
    let partial = target.join(UNFINISHED);
    std::fs::create_dir(&partial).unwrap();
    std::fs::write(partial.join("store.redb"), "half").unwrap();
    restore(&backup[..], &key, &target, &within(), nothing).unwrap();
    assert!(!partial.exists() && target.join("store.redb").exists());
    // A crash while files were put in their place: nobody knows which are.
    std::fs::create_dir(&partial).unwrap();
    let error = restore(&backup[..], &key, &target, &within(), nothing).unwrap_err();
    assert!(matches!(error, RestoreError::Half(_)), "{error}");
    // What can't be finished leaves an empty directory empty.
    let other = bed.dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let fails = |_: &Path| Err(std::io::Error::other("no room"));
    restore(&backup[..], &key, &other, &within(), fails).unwrap_err();
    assert!(names(&other).is_empty());
}

#[tokio::test]
async fn nobody_else_gets_into_the_directory_meanwhile() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let backup = bed.backup(&recipient);
    let target = bed.dir.path().join("restored");
    let meanwhile = |_: &Path| {
        let error = bootstrap::prepare(&target, &[], "https://127.0.0.1:7443").unwrap_err();
        assert!(error.to_string().contains("is in use by another hades"), "{error}");
        let error = restore(&backup[..], &key, &target, &within(), nothing).unwrap_err();
        assert!(matches!(error, RestoreError::InUse(_)), "{error}");
        Ok(())
    };
    restore(&backup[..], &key, &target, &within(), meanwhile).unwrap();
    assert_eq!(support::read(&open(&target).await).await, PLANTED);
    // A server that runs there for the first time.
    let fresh = bed.dir.path().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    let held = DirectoryLock::take(&fresh).unwrap();
    let error = restore(&backup[..], &key, &fresh, &within(), nothing).unwrap_err();
    assert!(matches!(error, RestoreError::InUse(_)), "{error}");
    assert_eq!(names(&fresh), ["lock"]);
    drop(held);
    // Somebody copies a file there, who knows of no lock.
    let copies = |_: &Path| std::fs::write(fresh.join("ca.key"), "precious");
    let error = restore(&backup[..], &key, &fresh, &within(), copies).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty(_)), "{error}");
    assert_eq!(names(&fresh), ["ca.key", "lock"]);
    assert_eq!(std::fs::read_to_string(fresh.join("ca.key")).unwrap(), "precious");
}

#[tokio::test]
async fn permissions_are_changed_where_it_was_asked_for() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let backup = bed.backup(&recipient);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let usual = bed.dir.path().join("usual");
    std::fs::create_dir(&usual).unwrap();
    let usual = mode(&usual);
    let parent = bed.dir.path().join("srv");
    let target = parent.join("hades");
    restore(&backup[..], &key, &target, &within(), nothing).unwrap();
    assert_eq!((mode(&parent), mode(&target)), (usual, 0o700));
    // One that was there stays as it was until it holds something.
    let shared = bed.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, Permissions::from_mode(0o755)).unwrap();
    restore(&b"no backup"[..], &key, &shared, &within(), nothing).unwrap_err();
    assert_eq!((mode(&shared), names(&shared)), (0o755, vec![]));
    restore(&backup[..], &key, &shared, &within(), nothing).unwrap();
    assert_eq!(mode(&shared), 0o700);
}

#[tokio::test]
async fn a_store_that_its_keys_do_not_open_is_refused() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    // The identity of another installation was put there.
    let other = Bed::new().await;
    std::fs::copy(other.data().join("identity.age"), bed.data().join("identity.age")).unwrap();
    let backup = bed.backup(&recipient);
    let target = bed.dir.path().join("restored");
    let error = restore(&backup[..], &key, &target, &within(), nothing).unwrap_err();
    assert!(matches!(error, RestoreError::Problems(_)), "{error}");
    assert!(!target.exists());
}

#[tokio::test]
async fn an_identity_that_is_kept_elsewhere_is_named_for_a_restore() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("identity.age");
    let write = |path: &Path, content: &[u8]| {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    };
    let elsewhere = |file: &Path, passphrase_file: Option<PathBuf>| IdentitySource {
        place: IdentityPlace::File(file.to_owned()),
        passphrase_file,
    };
    let passphrase = place.path().join("passphrase");
    let source = elsewhere(&file, Some(passphrase.clone()));
    let bed = Bed::with(elsewhere(&file, None)).await;
    let (key, recipient, _) = key(bed.dir.path());
    let backup = bed.backup(&recipient);
    assert!(!inspect(&backup[..], &key).unwrap().holds_identity());
    // As the server protects it, with less work for whoever guesses.
    let mut recipient = age::scrypt::Recipient::new("correct horse".to_owned().into());
    recipient.set_work_factor(2);
    write(&file, &age::encrypt(&recipient, &std::fs::read(&file).unwrap()).unwrap());
    let target = bed.dir.path().join("restored");
    let refused = |identity: &IdentitySource| {
        let error = restore(&backup[..], &key, &target, identity, nothing).unwrap_err();
        assert!(!target.exists(), "{error}");
        error
    };
    assert!(matches!(refused(&within()), RestoreError::IdentityElsewhere));
    let none = elsewhere(&place.path().join("none"), None);
    assert!(matches!(refused(&none), RestoreError::IdentityMissing(_)));
    assert!(matches!(refused(&elsewhere(&file, None)), RestoreError::Passphrase));
    write(&passphrase, b"wrong horse");
    assert!(matches!(refused(&source), RestoreError::Identity(_)));
    write(&passphrase, b"correct horse");
    let strangers = Bed::new().await;
    let other = elsewhere(&strangers.data().join("identity.age"), None);
    assert!(matches!(refused(&other), RestoreError::Problems(_)));
    restore(&backup[..], &key, &target, &source, nothing).unwrap();
    assert!(!target.join("identity.age").exists());
    assert_eq!(support::read(&support::open_with(&target, source).await).await, PLANTED);
}

#[tokio::test]
async fn a_backup_of_the_first_format_is_brought_up_to_date_by_the_first_start() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let key = read_identities(&fixtures.join("format-1.key")).unwrap();
    let backup = std::fs::read(fixtures.join("format-1.age")).unwrap();
    let manifest = inspect(&backup[..], &key).unwrap();
    assert_eq!((manifest.format, manifest.store_format), (1, 1));
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("restored");
    restore(&backup[..], &key, &target, &within(), nothing).unwrap();
    assert_eq!(maintenance::verify(&target).unwrap().format, 1, "a restore changes nothing");
    let server = open(&target).await;
    assert_eq!(support::read(&server).await, PLANTED);
    server.shutdown().await;
    let report = maintenance::verify(&target).unwrap();
    assert_eq!(report.format, maintenance::latest_format());
    assert_eq!(report.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_opens_however_the_identity_is_replaced_meanwhile() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let stop = Arc::new(AtomicBool::new(false));
    let rotating = tokio::spawn({
        let (server, stop) = (bed.server.clone(), Arc::clone(&stop));
        async move {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                server.rotate_identity().await.unwrap();
                count += 1;
            }
            count
        }
    });
    let mut made = 0;
    while made < 6 {
        let copy = |path: &Path| bed.server.copy_store(path);
        let gathered = match hades_backup::gather(&surroundings(&bed.data()), copy) {
            Ok(gathered) => gathered,
            Err(BackupError::Restless) => continue,
            Err(error) => panic!("{error}"),
        };
        let mut backup = Vec::new();
        gathered.write(std::slice::from_ref(&recipient), &mut backup).unwrap();
        let target = bed.dir.path().join(format!("restored-{made}"));
        restore(&backup[..], &key, &target, &within(), nothing).unwrap();
        made += 1;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(rotating.await.unwrap() > 0);
}

#[tokio::test]
async fn keys_that_change_meanwhile_are_read_again() {
    let bed = Bed::new().await;
    let (data, token) = (bed.data(), bed.data().join("admin.token.sha256"));
    let count = std::cell::Cell::new(0);
    let copy = |path: &Path| {
        count.set(count.get() + 1);
        if count.get() < 3 {
            std::fs::write(&token, format!("{}\n", count.get())).unwrap();
        }
        bed.server.copy_store(path)
    };
    hades_backup::gather(&surroundings(&data), copy).unwrap();
    assert_eq!(count.get(), 3, "the third copy was made between two equal readings");
    let copy = |path: &Path| {
        count.set(count.get() + 1);
        std::fs::write(&token, format!("{}\n", count.get())).unwrap();
        bed.server.copy_store(path)
    };
    let error = hades_backup::gather(&surroundings(&data), copy).unwrap_err();
    assert!(matches!(error, BackupError::Restless), "{error}");
}

#[tokio::test]
async fn the_real_age_and_tar_open_it() {
    let bed = Bed::new().await;
    let (_, recipient, path) = key(bed.dir.path());
    let file = bed.dir.path().join("backup.age");
    std::fs::write(&file, bed.backup(&recipient)).unwrap();
    let age = Command::new("age")
        .arg("--decrypt")
        .arg("--identity")
        .args([&path, &file])
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut age) = age else {
        eprintln!("SKIPPED: there is no age; hack/test.sh installs it");
        return;
    };
    let mut tar = Command::new("tar");
    tar.args(["--list", "--verbose"]).stdin(age.stdout.take().unwrap());
    let listed = String::from_utf8(tar.output().unwrap().stdout).unwrap();
    assert!(age.wait().unwrap().success());
    let first = listed.lines().next().unwrap();
    assert!(first.starts_with("-rw------- ") && first.ends_with(" manifest.json"), "{listed}");
    for name in ["store.redb", "identity.age", "fingerprint.key", "audit/head"] {
        assert!(listed.lines().any(|line| line.ends_with(&format!(" {name}"))), "{name}: {listed}");
    }
    for name in ["lock", "instance.json", "repositories"] {
        assert!(!listed.contains(name), "{name}: {listed}");
    }
}
