//! What is sealed, by which key, and how all of it is sealed anew.

use std::collections::HashSet;

use redb::{ReadableDatabase, ReadableTable};

use super::super::faults::Kind;
use super::super::row::Seal;
use super::*;
use crate::rotation::{finish, rotate};
use crate::seal::{IdentityInfo, IdentitySource, SealError};

type Turn = tokio::sync::Mutex<()>;

/// How many Secrets the small stores have.
const FEW: usize = 5;

async fn with_secrets(directory: &Path, count: usize) -> Store {
    let store = open(directory);
    for index in 0..count {
        set(&store, SECRETS, &format!("s{index}"), &format!("planted-{index}")).await.unwrap();
    }
    set(&store, MAPS, "plain", "nothing").await.unwrap();
    store
}

fn is_whole(store: &Store, count: usize) -> bool {
    let content = content(store);
    let secret = |index| {
        let place = (SECRETS.to_owned(), format!("s{index}"));
        content.get(&place) == Some(&format!("planted-{index}"))
    };
    content.len() == count + 1 && (0..count).all(secret)
}

/// The seals of all sealed rows, and the ids of all data keys.
fn seals(store: &Store) -> (Vec<Seal>, Vec<u32>) {
    let reading = store.shared.handle.begin_read().unwrap();
    let objects = reading.transaction.open_table(OBJECTS).unwrap();
    let mut found = Vec::new();
    for entry in objects.range::<&[u8]>(..).unwrap() {
        let (header, _) = row::decode(entry.unwrap().1.value()).unwrap();
        if header.is_sealed() && !found.contains(&header.seal) {
            found.push(header.seal);
        }
    }
    let keys = reading.transaction.open_table(keys::KEYS).unwrap();
    (found, keys.range::<u32>(..).unwrap().map(|entry| entry.unwrap().0.value()).collect())
}

/// Everything that is sealed in the store: rows and data keys.
fn ciphertexts(store: &Store) -> Vec<Vec<u8>> {
    let reading = store.shared.handle.begin_read().unwrap();
    let objects = reading.transaction.open_table(OBJECTS).unwrap();
    let rows = objects.range::<&[u8]>(..).unwrap().map(|entry| entry.unwrap().1.value().to_vec());
    let mut found: Vec<_> = rows.filter(|row| row::decode(row).unwrap().0.is_sealed()).collect();
    let keys = reading.transaction.open_table(keys::KEYS).unwrap();
    found.extend(keys.range::<u32>(..).unwrap().map(|entry| entry.unwrap().1.value().to_vec()));
    found
}

/// How many of them are in some file of the directory, be it in a part that is free.
fn left_of(directory: &Path, ciphertexts: &[Vec<u8>]) -> usize {
    // The end of each: a page may hold it without its beginning.
    let ends: HashSet<&[u8]> = ciphertexts.iter().map(|text| &text[text.len() - 24..]).collect();
    let mut found = HashSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let file = std::fs::read(entry.unwrap().path()).unwrap();
        for window in file.windows(24) {
            if let Some(end) = ends.get(window) {
                found.insert(*end);
            }
        }
    }
    found.len()
}

fn identity(directory: &Path) -> IdentityInfo {
    IdentityInfo::read(directory, &IdentitySource::default()).unwrap()
}

/// Everything is sealed for the one identity that is left.
#[track_caller]
fn assert_rotated(directory: &Path, store: &Store) {
    let (seals, keys) = seals(store);
    assert_eq!((seals.len(), keys.len()), (1, 1), "{seals:?} {keys:?}");
    assert_eq!(seals, [Seal::Key(keys[0])]);
    let identity = identity(directory);
    assert_eq!(identity.former, Vec::<String>::new());
    assert_eq!(store.shared.keyring.key().unwrap().recipient(), identity.recipient);
}

#[tokio::test]
async fn a_row_opens_in_its_place_and_at_its_version_only() {
    let directory = fast_directory();
    let store = with_secrets(directory.path(), 2).await;
    store.close().await;
    let row = |name: &str| {
        let mut taken = Vec::new();
        maintenance::damage(directory.path(), SECRETS, name, |row| {
            taken.clone_from(&row);
            row
        });
        taken
    };
    let (first, second) = (row("s0"), row("s1"));
    // An earlier state under a later version.
    let mut later = second.clone();
    later[9] += 1;
    for changed in [first, later] {
        maintenance::damage(directory.path(), SECRETS, "s1", |_| changed);
        let problems = verify(directory.path()).unwrap().problems;
        let found = problems.iter().any(|it| it.contains("put in the place of another"));
        assert!(found, "{problems:?}");
        let opened = Store::open_on(
            directory.path(),
            config(directory.path()),
            Disk::default(),
            format::STEPS,
        );
        assert!(matches!(opened, Err(StoreError::Seal(SealError::Damaged))), "{opened:?}");
    }
}

#[tokio::test]
async fn a_row_in_the_clear_is_refused_where_none_lies_in_the_clear() {
    for (resource, name) in [(SECRETS, "s1"), ("-private/passwords", "s1")] {
        let directory = fast_directory();
        let store = open(directory.path());
        let version = set(&store, resource, name, "planted").await.unwrap();
        store.close().await;
        maintenance::damage(directory.path(), resource, name, |_| {
            let mut object = object(name, "forged");
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            let header = Header { seal: Seal::None, terminating: false, version };
            row::encode(header, object.to_string().as_bytes())
        });
        let problems = verify(directory.path()).unwrap().problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].ends_with("it is not encrypted"), "{problems:?}");
        let config = config(directory.path());
        let opened = Store::open_on(directory.path(), config, Disk::default(), format::STEPS);
        assert!(matches!(opened, Err(StoreError::Seal(SealError::Damaged))), "{opened:?}");
    }
}

#[tokio::test]
async fn a_row_of_the_first_format_opens_in_its_place_and_at_its_version_only() {
    let directory = fast_directory();
    let store = with_secrets(directory.path(), 2).await;
    let first = store.get(&key(SECRETS, "s0")).unwrap().unwrap();
    let second = store.get(&key(SECRETS, "s1")).unwrap().unwrap();
    store.close().await;
    for (object, is_good) in [
        (second.object.to_vec(), true),
        (first.object.to_vec(), false),
        // An earlier state under a later version.
        (second.object.to_vec(), false),
    ] {
        let version = second.version + u64::from(!is_good);
        maintenance::damage(directory.path(), SECRETS, "s1", |_| {
            for_identity(directory.path(), version, &object)
        });
        let problems = verify(directory.path()).unwrap().problems;
        let found = problems.iter().any(|it| it.contains("put in the place of another"));
        assert_ne!(found, is_good, "{problems:?}");
        let config = config(directory.path());
        let opened = Store::open_on(directory.path(), config, Disk::default(), format::STEPS);
        match opened {
            Ok(store) => {
                assert!(is_good);
                store.close().await;
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Seal(SealError::Damaged)) && !is_good);
            }
        }
    }
}

/// A row as the first format had it.
fn for_identity(directory: &Path, version: u64, object: &[u8]) -> Vec<u8> {
    let recipient: age::x25519::Recipient = identity(directory).recipient.parse().unwrap();
    let header = Header { seal: Seal::Identity, terminating: false, version };
    row::encode(header, &age::encrypt(&recipient, object).unwrap())
}

#[tokio::test]
async fn everything_is_sealed_anew_while_others_read_and_write() {
    let directory = fast_directory();
    let store = with_secrets(directory.path(), 600).await;
    let before = ciphertexts(&store);
    let (version, first) = (store.version().unwrap(), identity(directory.path()).recipient);
    let mut list = store.scan(SECRETS, None).unwrap();
    list.next_page(1).unwrap();
    let writing = async {
        for round in 0..40 {
            set(&store, SECRETS, &format!("s{round}"), &format!("planted-{round}")).await.unwrap();
            assert!(is_whole(&store, 600));
        }
    };
    let keyring = Arc::clone(&store.shared.keyring);
    let turn = Turn::default();
    let (rotated, ()) = tokio::join!(rotate(&store, &keyring, &turn), writing);
    let rotated = rotated.unwrap();
    assert!(rotated.rows > 500 && rotated.rows <= 600, "{rotated:?}");
    assert_ne!(rotated.recipient, first);
    assert_rotated(directory.path(), &store);
    assert_eq!(store.version().unwrap(), version + 40, "sealing anew is no change");
    assert_eq!(list.next_page(usize::MAX).unwrap().len(), 599, "a list goes on in the old file");
    drop(list);
    let copy = after_a_crash(directory.path());
    let again = open(copy.path());
    assert!(is_whole(&again, 600));
    store.close().await;
    assert_sound(directory.path());
    assert_eq!(left_of(directory.path(), &before), 0);
}

#[tokio::test]
async fn a_crash_between_any_two_steps_costs_time_only() {
    let directory = fast_directory();
    let store = with_secrets(directory.path(), FEW).await;
    let keyring = Arc::clone(&store.shared.keyring);
    let mut crashes = Vec::new();
    let crash = || after_a_crash(directory.path());
    keyring.renew().unwrap();
    crashes.push(crash());
    store.add_key().await.unwrap();
    crashes.push(crash());
    // Half of the rows, by being written.
    set(&store, SECRETS, "s0", "planted-0").await.unwrap();
    crashes.push(crash());
    // A second rotation begins before the first one has ended.
    keyring.renew().unwrap();
    crashes.push(crash());
    assert_eq!(store.reseal().await.unwrap(), FEW as u64 - 1);
    crashes.push(crash());
    store.add_key().await.unwrap();
    crashes.push(crash());
    store.reseal().await.unwrap();
    crashes.push(crash());
    assert_eq!(store.remove_keys().await.unwrap(), 2);
    crashes.push(crash());
    store.rewrite().await.unwrap();
    crashes.push(crash());
    for (step, copy) in crashes.iter().enumerate() {
        assert_sound(copy.path());
        let store = open(copy.path());
        assert!(is_whole(&store, FEW), "step {step}");
        finish(&store, &store.shared.keyring, &Turn::default()).await.unwrap();
        assert!(is_whole(&store, FEW), "step {step}");
        assert_rotated(copy.path(), &store);
        store.close().await;
        assert_sound(copy.path());
    }
}

#[tokio::test]
async fn a_disk_that_fails_at_any_call_of_a_rotation_loses_nothing() {
    // Every other call for each kind: all of them would take long.
    for (first, kind) in [(0, Kind::Full), (1, Kind::Torn), (0, Kind::Lost)] {
        for calls in (first..).step_by(2) {
            let directory = fast_directory();
            with_secrets(directory.path(), FEW).await.close().await;
            let disk = Disk::default();
            let store = open_on(directory.path(), &disk);
            disk.faults.fail_after(calls, 1, kind);
            let keyring = Arc::clone(&store.shared.keyring);
            let rotated = rotate(&store, &keyring, &Turn::default()).await;
            let met = disk.faults.heal() > 0;
            let copy = after_a_crash(directory.path());
            if !met {
                rotated.unwrap();
                break;
            }
            let label = format!("{kind:?} after {calls}");
            // In the process that goes on, and after a crash.
            finish(&store, &keyring, &Turn::default()).await.unwrap();
            assert!(is_whole(&store, FEW), "{label}");
            assert_rotated(directory.path(), &store);
            let again = open(copy.path());
            assert!(is_whole(&again, FEW), "{label}");
            finish(&again, &again.shared.keyring, &Turn::default()).await.unwrap();
            assert!(is_whole(&again, FEW), "{label}");
            assert_rotated(copy.path(), &again);
        }
    }
}

#[tokio::test]
async fn there_is_one_rotation_at_a_time() {
    let directory = fast_directory();
    let store = with_secrets(directory.path(), 1).await;
    let (keyring, turn) = (Arc::clone(&store.shared.keyring), Turn::default());
    let taken = turn.lock().await;
    let before = identity(directory.path());
    let mut rotating = std::pin::pin!(rotate(&store, &keyring, &turn));
    assert!(futures::poll!(&mut rotating).is_pending());
    assert_eq!(identity(directory.path()), before);
    drop(taken);
    rotating.await.unwrap();
    assert_rotated(directory.path(), &store);
}

#[tokio::test]
async fn a_full_disk_ends_a_rotation_and_room_lets_it_go_on() {
    let directory = fast_directory();
    let disk = Disk::default();
    with_secrets(directory.path(), FEW).await.close().await;
    let store = open_on(directory.path(), &disk);
    let keyring = Arc::clone(&store.shared.keyring);
    disk.faults.fill();
    let error = rotate(&store, &keyring, &Turn::default()).await.unwrap_err();
    assert!(matches!(error, crate::RotationError::Unfinished(StoreError::Full)), "{error:?}");
    assert!(is_whole(&store, FEW));
    assert_eq!(identity(directory.path()).former.len(), 1, "both are needed");
    disk.faults.heal();
    finish(&store, &keyring, &Turn::default()).await.unwrap();
    assert_rotated(directory.path(), &store);
}

/// A store as the first format had it: rows sealed for the identity, and no data key.
async fn of_the_first_format(directory: &Path) {
    let store = Store::open_on(directory, config(directory), Disk::default(), &[]).unwrap();
    for index in 0..FEW {
        set(&store, SECRETS, &format!("s{index}"), &format!("planted-{index}")).await.unwrap();
    }
    set(&store, MAPS, "plain", "nothing").await.unwrap();
    let rows: Vec<_> = (0..FEW)
        .map(|index| store.get(&key(SECRETS, &format!("s{index}"))).unwrap().unwrap())
        .collect();
    store.close().await;
    for row in &rows {
        let sealed = for_identity(directory, row.version, &row.object);
        maintenance::damage(directory, SECRETS, row.key.name(), |_| sealed);
    }
    let database = redb::Database::open(directory.join(FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    txn.delete_table(keys::KEYS).unwrap();
    txn.commit().unwrap();
}

#[tokio::test]
async fn rows_that_an_earlier_version_sealed_are_read_and_sealed_anew() {
    let directory = fast_directory();
    of_the_first_format(directory.path()).await;
    // With another identity it stays as it is.
    let right = std::fs::read(directory.path().join("identity.age")).unwrap();
    let other = fast_directory();
    Keyring::load_or_create(other.path()).unwrap();
    std::fs::copy(other.path().join("identity.age"), directory.path().join("identity.age"))
        .unwrap();
    let opened =
        Store::open_on(directory.path(), config(directory.path()), Disk::default(), format::STEPS);
    assert!(matches!(opened, Err(StoreError::Seal(_))), "{opened:?}");
    std::fs::write(directory.path().join("identity.age"), right).unwrap();
    assert_sound(directory.path());
    let store = open(directory.path());
    assert!(is_whole(&store, FEW));
    let sealed = ciphertexts(&store);
    finish(&store, &store.shared.keyring, &Turn::default()).await.unwrap();
    assert!(is_whole(&store, FEW));
    assert_rotated(directory.path(), &store);
    store.close().await;
    assert_eq!(assert_sound(directory.path()).format, 2);
    std::fs::remove_file(directory.path().join("store.redb.format-1")).unwrap();
    // All but the data key, which is the same.
    assert_eq!(left_of(directory.path(), &sealed), 1);
}

#[tokio::test]
async fn nothing_of_what_was_replaced_or_deleted_is_left_after_a_compaction() {
    let directory = fast_directory();
    let store = with_secrets(directory.path(), 50).await;
    let before = ciphertexts(&store);
    for index in 0..50 {
        let name = format!("s{index}");
        let version = set(&store, SECRETS, &name, "another").await.unwrap();
        if index % 2 == 0 {
            store.write(delete(SECRETS, &name, version)).await.unwrap();
        }
    }
    store.close().await;
    assert!(left_of(directory.path(), &before) > 1, "redb leaves it in free pages");
    assert!(compact(directory.path()).unwrap().clean);
    // The data key is the same.
    assert_eq!(left_of(directory.path(), &before), 1);
    assert_sound(directory.path());
    assert_eq!(content(&open(directory.path())).len(), 26);
}

#[tokio::test]
async fn another_identity_is_told_at_the_start() {
    let directory = fast_directory();
    with_secrets(directory.path(), 1).await.close().await;
    let other = fast_directory();
    Keyring::load_or_create(other.path()).unwrap();
    let needed = identity(directory.path()).recipient;
    std::fs::copy(other.path().join("identity.age"), directory.path().join("identity.age"))
        .unwrap();
    let opened =
        Store::open_on(directory.path(), config(directory.path()), Disk::default(), format::STEPS);
    let error = opened.unwrap_err().to_string();
    assert!(error.contains(&needed) && error.contains("another identity"), "{error}");
    let problems = verify(directory.path()).unwrap().problems;
    assert!(problems[0].contains(&needed), "{problems:?}");
    // Looked at by redb itself, the file is as it was.
    let database = redb::Database::open(directory.path().join(FILE)).unwrap();
    let read = database.begin_read().unwrap();
    let keys = read.open_table(keys::KEYS).unwrap();
    assert_eq!(keys.first().unwrap().unwrap().0.value(), 1);
}

#[tokio::test]
async fn a_kill_after_the_last_row_of_an_upgrade_leaves_nothing_of_before() {
    let directory = fast_directory();
    of_the_first_format(directory.path()).await;
    let store = open(directory.path());
    let sealed = ciphertexts(&store);
    assert_eq!(store.reseal().await.unwrap(), FEW as u64);
    let copy = after_a_crash(directory.path());
    std::fs::remove_file(copy.path().join("store.redb.format-1")).unwrap();
    let store = open(copy.path());
    let rotated = finish(&store, &store.shared.keyring, &Turn::default()).await.unwrap();
    assert_eq!(rotated, None, "the identity is the same");
    assert!(is_whole(&store, FEW) && !store.is_unclean().unwrap());
    store.close().await;
    // All but the data key, which is the same.
    assert_eq!(left_of(copy.path(), &sealed), 1);
}

#[tokio::test]
async fn a_kill_before_the_file_is_rewritten_leaves_nothing_of_an_identity_that_is_not_ours() {
    let (directory, other, given) = (fast_directory(), fast_directory(), fast_directory());
    with_secrets(directory.path(), FEW).await.close().await;
    Keyring::load_or_create(other.path()).unwrap();
    // As somebody put it first in a credential, above the present one.
    let both = [&other, &directory]
        .map(|it| std::fs::read_to_string(it.path().join("identity.age")).unwrap())
        .concat();
    let path = given.path().join("hades.identity");
    crate::private_file::write(&path, both.as_bytes()).unwrap();
    let place = crate::seal::IdentityPlace::Credential(path);
    let source = IdentitySource { place, passphrase_file: None };
    let open = |directory: &Path| {
        let keyring = Arc::new(Keyring::open(directory, &source).unwrap());
        let config = Config { keyring, ..config(directory) };
        Store::open_on(directory, config, Disk::default(), format::STEPS).unwrap()
    };
    let store = open(directory.path());
    let before = ciphertexts(&store);
    store.add_key().await.unwrap();
    store.reseal().await.unwrap();
    assert_eq!(store.remove_keys().await.unwrap(), 1);
    let copy = after_a_crash(directory.path());
    let store = open(copy.path());
    let keyring = &store.shared.keyring;
    finish(&store, keyring, &Turn::default()).await.unwrap();
    assert!(is_whole(&store, FEW) && !store.is_unclean().unwrap());
    assert_eq!(keyring.recipient(), identity(other.path()).recipient);
    let length = std::fs::metadata(copy.path().join(FILE)).unwrap().len();
    finish(&store, keyring, &Turn::default()).await.unwrap();
    assert_eq!(std::fs::metadata(copy.path().join(FILE)).unwrap().len(), length);
    store.close().await;
    assert_eq!(left_of(copy.path(), &before), 0);
}

#[tokio::test]
async fn a_rewrite_is_given_up_when_the_store_is_closed_and_done_by_the_next_start() {
    let directory = fast_directory();
    let store = with_secrets(directory.path(), FEW).await;
    let before = ciphertexts(&store);
    store.shared.keyring.renew().unwrap();
    store.add_key().await.unwrap();
    store.reseal().await.unwrap();
    store.remove_keys().await.unwrap();
    // As `close` does before it waits for the writer.
    store.shared.closing.cancel();
    let error = store.rewrite().await.unwrap_err();
    assert!(matches!(error, StoreError::Closed), "{error}");
    assert!(!directory.path().join("store.redb.new").exists());
    store.close().await;
    let store = open(directory.path());
    assert!(store.is_unclean().unwrap());
    finish(&store, &store.shared.keyring, &Turn::default()).await.unwrap().unwrap();
    assert_rotated(directory.path(), &store);
    store.close().await;
    assert!(store.shared.closing.is_cancelled());
    assert_eq!(left_of(directory.path(), &before), 0);
}

#[tokio::test]
async fn a_rewritten_file_is_written_to_even_if_its_name_may_not_last() {
    let (directory, disk) = (fast_directory(), Disk::default());
    let store = open_on(directory.path(), &disk);
    set(&store, MAPS, "a", "before").await.unwrap();
    disk.faults.forget_renames();
    let error = store.rewrite().await.unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error}");
    set(&store, MAPS, "a", "after").await.unwrap();
    store.close().await;
    let found = content(&open(directory.path()));
    assert_eq!(found[&(MAPS.to_owned(), "a".to_owned())], "after");
}
