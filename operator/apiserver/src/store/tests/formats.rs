//! The store is brought from format to format.

use std::sync::atomic::AtomicUsize;

use redb::{ReadableTable, ReadableTableMetadata};

use super::super::disk::Cached;
use super::super::faults::Kind;
use super::*;

fn mark(row: &[u8], what: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(&row[row::HEADER..]).unwrap();
    let text = text.replacen("\"data\":\"", &format!("\"data\":\"{what}"), 1);
    Some([&row[..row::HEADER], text.as_bytes()].concat())
}

const ONE: Step = Step { what: "a mark for every object", row: |_, row| Ok(mark(row, "one+")) };
const TWO: Step = Step {
    what: "a second mark for those with a b",
    row: |key, row| Ok(if key.ends_with(b"b") { mark(row, "two+") } else { None }),
};

async fn old_store() -> TempDir {
    let directory = fast_directory();
    let store = open_with(directory.path(), &[]).unwrap();
    for name in ["a", "b"] {
        set(&store, MAPS, name, name).await.unwrap();
    }
    store.close().await;
    directory
}

fn open_with(directory: &Path, steps: &[Step]) -> Result<Store, StoreError> {
    Store::open_on(directory, config(directory), Disk::default(), steps)
}

fn data(store: &Store, name: &str) -> String {
    data_of(&store.get(&key(MAPS, name)).unwrap().unwrap().object)
}

#[tokio::test]
async fn an_older_store_takes_every_step_and_its_copy_is_kept() {
    let directory = old_store().await;
    let store = open_with(directory.path(), &[ONE]).unwrap();
    assert_eq!((data(&store, "a"), data(&store, "b")), ("one+a".into(), "one+b".into()));
    store.close().await;
    let store = open_with(directory.path(), &[ONE, TWO]).unwrap();
    assert_eq!((data(&store, "a"), data(&store, "b")), ("one+a".into(), "two+one+b".into()));
    set(&store, MAPS, "a", "new").await.unwrap();
    store.close().await;
    let store = open_with(directory.path(), &[ONE, TWO]).unwrap();
    assert_eq!(data(&store, "a"), "new", "a step is taken once");
    store.close().await;
    // The way back is the copy.
    let error = open_with(directory.path(), &[]).unwrap_err();
    assert!(matches!(error, StoreError::Format(3)), "{error}");
    assert!(matches!(verify(directory.path()), Err(StoreError::Format(3))));
    assert!(matches!(compact(directory.path()), Err(StoreError::Format(3))));
    let copy = directory.path().join("store.redb.format-1");
    std::fs::copy(copy, directory.path().join(FILE)).unwrap();
    assert_sound(directory.path());
    let store = open_with(directory.path(), &[]).unwrap();
    assert_eq!(data(&store, "a"), "a");
}

#[tokio::test]
async fn an_upgrade_that_fails_leaves_the_store_as_it_was() {
    static ROWS: AtomicUsize = AtomicUsize::new(0);
    const BAD: Step = Step {
        what: "fails at the second row",
        row: |_, row| match ROWS.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(mark(row, "half+")),
            _ => Err(StoreError::CorruptRow),
        },
    };
    let directory = old_store().await;
    open_with(directory.path(), &[ONE, BAD]).unwrap_err();
    assert_sound(directory.path());
    let store = open_with(directory.path(), &[]).unwrap();
    assert_eq!((data(&store, "a"), data(&store, "b")), ("a".into(), "b".into()));
    drop(store);
}

#[tokio::test]
async fn a_crash_at_any_call_of_an_upgrade_is_harmless() {
    for kind in [Kind::Full, Kind::Torn, Kind::Lost] {
        for calls in 0.. {
            let directory = old_store().await;
            let disk = Disk::default();
            disk.faults.fail_after(calls, u64::MAX, kind);
            let opened = Store::open_on(
                directory.path(),
                config(directory.path()),
                disk.clone(),
                &[ONE, TWO],
            );
            let met = disk.faults.heal() > 0;
            drop(opened);
            let copy = after_a_crash(directory.path());
            if !met {
                break;
            }
            let store = open_with(copy.path(), &[ONE, TWO]).unwrap();
            let found = (data(&store, "a"), data(&store, "b"));
            assert_eq!(found, ("one+a".into(), "two+one+b".into()), "{kind:?} after {calls}");
        }
    }
}

#[test]
fn a_new_store_has_the_latest_format() {
    let directory = fast_directory();
    drop(open_with(directory.path(), &[ONE, TWO]).unwrap());
    assert!(!directory.path().join("store.redb.format-1").exists());
    let mut opened = None;
    while opened.is_none() {
        // The writer thread gives the file back a little later.
        opened = Disk::default().database(&directory.path().join(FILE), Cached::Trusted).ok();
        std::thread::yield_now();
    }
    let (database, _) = opened.unwrap();
    assert_eq!(format::counters(&database).unwrap().unwrap().format, 3);
    let txn = database.begin_write().unwrap();
    assert!(txn.open_table(OBJECTS).unwrap().is_empty().unwrap());
    assert!(txn.open_table(OBJECTS).unwrap().first().unwrap().is_none());
}
