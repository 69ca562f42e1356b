//! The store is copied for a backup.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::copy::copy_closed;
use super::super::format::Step;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_shows_one_moment_while_writers_go_on() {
    let directory = fast_directory();
    let store = open(directory.path());
    // Two objects that are always written one after the other: `b` is never ahead.
    for name in ["a", "b"] {
        set(&store, MAPS, name, "0").await.unwrap();
    }
    set(&store, SECRETS, "s", "planted-value").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        async move {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                count += 1;
                for name in ["a", "b"] {
                    set(&store, MAPS, name, &count.to_string()).await.unwrap();
                }
            }
            count
        }
    });
    for round in 0..10 {
        let place = directory.path().join(format!("copy-{round}"));
        std::fs::create_dir(&place).unwrap();
        for key in ["identity.age", "fingerprint.key"] {
            std::fs::copy(directory.path().join(key), place.join(key)).unwrap();
        }
        let copied = store.copy(&place.join(FILE)).unwrap();
        let report = verify(&place).unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        assert!(report.closed);
        assert_eq!((report.format, report.version), (copied.format, copied.version));
        let bytes = std::fs::read(place.join(FILE)).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"planted-value"));
        let copy = open(&place);
        let read = |name: &str| -> u32 {
            data_of(&copy.get(&key(MAPS, name)).unwrap().unwrap().object).parse().unwrap()
        };
        let (a, b) = (read("a"), read("b"));
        assert!(a == b || a == b + 1, "{a} {b}");
        assert!(copy.version().unwrap() >= copied.version);
        copy.close().await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 0);
    store.close().await;
}

#[tokio::test]
async fn a_closed_store_is_copied_as_it_is_and_not_touched() {
    let directory = fast_directory();
    let store = open(directory.path());
    set(&store, MAPS, "a", "old").await.unwrap();
    let target = directory.path().join("copy.redb");
    assert!(matches!(copy_closed(directory.path(), &target), Err(StoreError::InUse(_))));
    store.close().await;
    drop(store);
    let before = std::fs::read(directory.path().join(FILE)).unwrap();
    copy_closed(directory.path(), &target).unwrap();
    assert_eq!(std::fs::read(directory.path().join(FILE)).unwrap(), before);
    // A later version opens the copy as it would the original.
    const ONE: Step = Step { what: "nothing", row: |_, _| Ok(None) };
    std::fs::rename(&target, directory.path().join(FILE)).unwrap();
    let disk = Disk::default();
    let store = Store::open_on(directory.path(), config(directory.path()), disk, &[ONE, ONE]);
    let store = store.unwrap();
    assert_eq!(data_of(&store.get(&key(MAPS, "a")).unwrap().unwrap().object), "old");
    store.close().await;
    drop(store);
    // And what it wrote is nothing for this one.
    let error = copy_closed(directory.path(), &target).unwrap_err();
    assert!(matches!(error, StoreError::Format(3)), "{error}");
    assert!(!target.exists());
}
