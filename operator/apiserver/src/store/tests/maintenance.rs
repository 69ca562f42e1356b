//! Verify, compact, and the file that gives room back by itself.

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::*;

/// Changes the bytes of a row behind the store's back.
pub(super) fn damage(
    directory: &Path,
    resource: &str,
    name: &str,
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
) {
    let database = redb::Database::open(directory.join(FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut objects = txn.open_table(OBJECTS).unwrap();
        let key = key(resource, name).encode();
        let row = objects.get(key.as_slice()).unwrap().unwrap().value().to_vec();
        objects.insert(key.as_slice(), change(row).as_slice()).unwrap();
    }
    txn.commit().unwrap();
}

fn replace(row: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let at = row.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    [&row[..at], to.as_bytes(), &row[at + from.len()..]].concat()
}

async fn sample() -> TempDir {
    let directory = fast_directory();
    let store = open(directory.path());
    for name in ["a", "b", "c", "d", "e", "f"] {
        set(&store, MAPS, name, name).await.unwrap();
    }
    set(&store, SECRETS, "s", "hunter2").await.unwrap();
    store.close().await;
    directory
}

#[tokio::test]
async fn a_good_store_has_no_problems_and_is_counted() {
    let directory = sample().await;
    let before = std::fs::read(directory.path().join(FILE)).unwrap();
    let report = assert_sound(directory.path());
    assert_eq!(report.resources[MAPS].objects, 6);
    assert_eq!(report.resources[SECRETS].objects, 1);
    assert_eq!((report.format, report.version, report.closed), (2, 8, true));
    assert_eq!(report.length, before.len() as u64);
    assert!(report.stored > 7 * 60 && report.stored < report.length);
    assert_eq!(std::fs::read(directory.path().join(FILE)).unwrap(), before, "looked at only");
}

#[tokio::test]
async fn a_store_in_use_is_not_looked_at() {
    let directory = fast_directory();
    let store = open(directory.path());
    set(&store, MAPS, "a", "").await.unwrap();
    assert!(matches!(verify(directory.path()), Err(StoreError::InUse(_))));
    assert!(matches!(compact(directory.path()), Err(StoreError::InUse(_))));
    // What is there at this moment can be checked as a copy: repaired in memory.
    let copy = after_a_crash(directory.path());
    let before = std::fs::read(copy.path().join(FILE)).unwrap();
    let report = assert_sound(copy.path());
    assert!(!report.closed);
    assert_eq!(std::fs::read(copy.path().join(FILE)).unwrap(), before);
    let nothing = fast_directory();
    assert!(matches!(verify(nothing.path()), Err(StoreError::File { .. })));
    assert_eq!(std::fs::read_dir(nothing.path()).unwrap().count(), 0, "and nothing is made");
}

#[tokio::test]
async fn every_damage_is_named_with_its_place_and_without_a_value() {
    let directory = sample().await;
    let path = directory.path();
    damage(path, MAPS, "a", |_| b"short".to_vec());
    damage(path, MAPS, "b", |row| replace(row, "\"data\":\"b\"", "\"data\":\"b"));
    damage(path, MAPS, "c", |row| replace(row, "\"name\":\"c\"", "\"name\":\"x\""));
    damage(path, MAPS, "d", |row| replace(row, "uid-d", "uid-e"));
    damage(path, MAPS, "f", |mut row| {
        row[9] = 200;
        row[1] = 1;
        replace(row, "uid-f", "")
    });
    damage(path, SECRETS, "s", |mut row| {
        let last = row.len() - 1;
        row[last] ^= 1;
        row
    });
    let problems = verify(path).unwrap().problems;
    let expected = [
        "/configmaps a: the row can't be decoded",
        "/configmaps b: the object can't be read: line 1",
        "/configmaps c: name and namespace in the object are not those of its key",
        "/configmaps e: another object has its uid, too",
        "/configmaps f: its version 200 is past the version 8 of the store",
        "/configmaps f: resourceVersion \"7\" in the object is not the 200 of its row",
        "/configmaps f: deletionTimestamp and the mark of its row don't agree",
        "/configmaps f: it has no uid",
        "/secrets s: a sealed row could not be opened",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}");
        assert!(!problem.contains("hunter2"));
    }
}

#[tokio::test]
async fn a_secret_in_the_clear_a_lost_key_and_bad_counters_are_problems() {
    let directory = sample().await;
    let path = directory.path();
    let clear = serde_json::to_vec(&{
        let mut object = object("s", "hunter2");
        object["metadata"]["resourceVersion"] = json!("8");
        object
    });
    let header = Header { seal: row::Seal::None, terminating: false, version: 8 };
    let clear = row::encode(header, &clear.unwrap());
    damage(path, SECRETS, "s", |_| clear);
    assert_eq!(verify(path).unwrap().problems, ["/secrets s: it is not encrypted"]);
    let directory = sample().await;
    std::fs::remove_file(directory.path().join("identity.age")).unwrap();
    let problems = verify(directory.path()).unwrap().problems;
    assert!(problems[0].contains("identity.age is missing"), "{problems:?}");
    assert!(problems[1].contains("without the key"), "{problems:?}");
    assert!(!directory.path().join("identity.age").exists(), "no key is made");
    let directory = sample().await;
    let database = redb::Database::open(directory.path().join(FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(COUNTERS).unwrap().insert(CEILING, 3).unwrap();
    txn.commit().unwrap();
    drop(database);
    let problems = verify(directory.path()).unwrap().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("past the ceiling 3"), "{problems:?}");
}

#[tokio::test]
async fn flipped_bits_anywhere_in_the_file_are_found_or_harmless() {
    let directory = sample().await;
    let path = directory.path().join(FILE);
    let whole = std::fs::read(&path).unwrap();
    let mut found = 0;
    for at in (0..whole.len()).step_by(977) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        // An error or a problem; never a panic, and never a change of the file.
        match verify(directory.path()) {
            Ok(report) => found += usize::from(!report.problems.is_empty()),
            Err(_) => found += 1,
        }
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
    assert!(found > 0);
}

#[tokio::test]
async fn compaction_makes_the_file_small_and_loses_nothing() {
    let directory = fast_directory();
    let store = open(directory.path());
    let big = "x".repeat(100_000);
    for index in 0..60 {
        set(&store, MAPS, &format!("m{index}"), &big).await.unwrap();
    }
    for index in (0..60).filter(|index| index % 10 != 9) {
        let name = format!("m{index}");
        let version = store.get(&key(MAPS, &name)).unwrap().unwrap().version;
        store.write(delete(MAPS, &name, version)).await.unwrap();
    }
    let expected = content(&store);
    let version = store.version().unwrap();
    store.close().await;
    let Compacted { before, after, clean } = compact(directory.path()).unwrap();
    assert!(clean);
    assert_eq!(after, std::fs::metadata(directory.path().join(FILE)).unwrap().len());
    assert!(after < 2_000_000 && after < before, "{before} -> {after}");
    assert_sound(directory.path());
    let store = open(directory.path());
    assert!(content(&store) == expected);
    assert_eq!(store.version().unwrap(), version);
}

/// A store of which little is left, still open.
async fn shrunken(directory: &Path) -> Store {
    let store = open(directory);
    let big = "x".repeat(500_000);
    for index in 0..40 {
        set(&store, MAPS, &format!("m{index:02}"), &big).await.unwrap();
    }
    set(&store, LEASES, "leader", "me").await.unwrap();
    for index in 0..38 {
        let name = format!("m{index:02}");
        let version = store.get(&key(MAPS, &name)).unwrap().unwrap().version;
        store.write(delete(MAPS, &name, version)).await.unwrap();
    }
    store
}

#[tokio::test]
async fn a_running_store_gives_room_back_and_nobody_notices() {
    let directory = fast_directory();
    let store = shrunken(directory.path()).await;
    let file = directory.path().join(FILE);
    let before = std::fs::metadata(&file).unwrap().len();
    assert!(!store.tidy(Duration::from_secs(3600)).await, "not while something is written");
    let mut scan = store.scan(MAPS, None).unwrap();
    scan.next_page(1).unwrap();
    set(&store, LEASES, "leader", "you").await.unwrap();
    let (expected, version) = (content(&store), store.version().unwrap());
    assert!(store.tidy(Duration::ZERO).await);
    let after = std::fs::metadata(&file).unwrap().len();
    assert!(after < 4_000_000 && after < before / 4, "{before} -> {after}");
    assert!(content(&store) == expected);
    assert_eq!(store.version().unwrap(), version);
    assert_eq!(scan.next_page(usize::MAX).unwrap().len(), 1, "a list goes on in the old file");
    drop(scan);
    assert!(!store.tidy(Duration::ZERO).await, "there is nothing more to gain");
    set(&store, MAPS, "new", "n").await.unwrap();
    // The lock went along with the file.
    assert!(matches!(verify(directory.path()), Err(StoreError::InUse(_))));
    let copy = after_a_crash(directory.path());
    assert_sound(copy.path());
    assert_eq!(content(&open(copy.path())).len(), 4);
    store.close().await;
    assert_sound(directory.path());
    assert!(!directory.path().join("store.redb.new").exists());
}

#[tokio::test]
async fn a_crash_while_the_file_is_rewritten_is_harmless() {
    let directory = fast_directory();
    let store = shrunken(directory.path()).await;
    let expected = content(&store);
    store.close().await;
    // What a crash before the rename leaves behind.
    std::fs::write(directory.path().join("store.redb.new"), b"half").unwrap();
    let store = open(directory.path());
    assert!(content(&store) == expected);
    set(&store, MAPS, "m38", "").await.unwrap();
    store.tidy(Duration::ZERO).await;
    store.close().await;
    assert_sound(directory.path());
}

#[test]
fn redb_keeps_what_these_tests_rely_on() {
    // A file that was not closed is refused by a reader, which is how the check
    // knows.
    let directory = fast_directory();
    let path = directory.path().join("file");
    let database = redb::Database::create(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(COUNTERS).unwrap().insert("a", 1).unwrap();
    txn.commit().unwrap();
    let copy = directory.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    assert!(redb::ReadOnlyDatabase::open(&copy).is_err());
    drop(database);
    let database = redb::ReadOnlyDatabase::open(&path).unwrap();
    let table = database.begin_read().unwrap().open_table(COUNTERS).unwrap();
    assert_eq!(table.len().unwrap(), 1);
}
