//! Full disks and failing disks.

use std::time::Duration;

use super::super::faults::Kind;
use super::*;

/// A write as the sweep remembers it.
type Known = HashMap<(String, String), String>;

/// The workload of the sweep: durable and volatile writes, deletions, and a few
/// that come together. Every write that was acknowledged is in `known`.
async fn work(store: &Store, known: &mut Known) {
    let mut last = 0;
    for round in 0..3 {
        for (resource, name) in [
            (MAPS, "one"),
            (LEASES, "leader"),
            (LEASES, "other"),
            (SECRETS, "sealed"),
            (MAPS, "two"),
        ] {
            let data = format!("{round} {}", "x".repeat(900));
            if let Ok(version) = set(store, resource, name, &data).await {
                assert!(version > last, "versions go on");
                last = version;
                known.insert((resource.to_owned(), name.to_owned()), data);
            }
        }
        let names: Vec<_> = (0..5).map(|index| format!("many-{round}-{index}")).collect();
        let writes = names.iter().map(|name| set(store, MAPS, name, "m"));
        for (name, outcome) in names.iter().zip(futures::future::join_all(writes).await) {
            if outcome.is_ok() {
                known.insert((MAPS.to_owned(), name.clone()), "m".to_owned());
            }
        }
        // A file that can not be opened anew can not be read either.
        let row = store.get(&key(MAPS, "one")).unwrap_or_default();
        if let Some(row) = row
            && store.write(delete(MAPS, "one", row.version)).await.is_ok()
        {
            known.remove(&(MAPS.to_owned(), "one".to_owned()));
        }
    }
}

/// One run with a fault after `calls` calls. Whether the fault was met.
async fn one_run(calls: u64, failures: u64, kind: Kind) -> bool {
    let directory = fast_directory();
    let disk = Disk::default();
    let store = open_on(directory.path(), &disk);
    disk.faults.fail_after(calls, failures, kind);
    let mut known = Known::new();
    work(&store, &mut known).await;
    let met = disk.faults.heal() > 0;
    let label = format!("{kind:?} after {calls}");
    // It works again by itself; how long that takes is bounded by one second.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while let Err(error) = set(&store, MAPS, "after", "well").await {
        assert!(tokio::time::Instant::now() < deadline, "{label}: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    known.insert((MAPS.to_owned(), "after".to_owned()), "well".to_owned());
    assert_known(&content(&store), &known, &label, |_| true);
    check_ring(&store, &label);
    let version = store.version().unwrap();
    // The last write was durable, so that nothing may be missing after a crash.
    let copy = after_a_crash(directory.path());
    assert_sound(copy.path());
    let again = open(copy.path());
    assert!(again.version().unwrap() >= version, "{label}");
    assert_known(&content(&again), &known, &label, |_| true);
    store.close().await;
    assert_sound(directory.path());
    met
}

#[track_caller]
fn assert_known(found: &Known, known: &Known, label: &str, about: impl Fn(&str) -> bool) {
    for (place, data) in known.iter().filter(|(place, _)| about(&place.0)) {
        assert!(found.get(place) == Some(data), "{label}: {place:?} was acknowledged");
    }
}

/// What watchers were told ends where the store stands, without a version twice.
#[track_caller]
fn check_ring(store: &Store, label: &str) {
    let (events, latest) = store.ring().since(1, |_| true).unwrap();
    assert_eq!(latest, store.version().unwrap(), "{label}");
    assert!(events.is_sorted_by(|a, b| a.version < b.version), "{label}");
    let mut told = Known::new();
    for event in events {
        let place = (event.key.resource().to_owned(), event.key.name().to_owned());
        match event.kind {
            crate::watch::EventKind::Deleted => told.remove(&place),
            _ => told.insert(place, data_of(&event.object)),
        };
    }
    assert!(told == content(store), "{label}: watchers know what is there");
}

#[tokio::test]
async fn no_failing_call_costs_an_acknowledged_write() {
    for kind in [Kind::Full, Kind::Torn, Kind::Lost] {
        let mut calls = 0;
        while one_run(calls, 1, kind).await {
            // Every call of the first commits, then a sample that shifts.
            calls += if calls < 40 { 1 } else { 7 };
        }
        assert!(calls > 40, "{kind:?}: the sweep went through the whole workload");
    }
}

#[tokio::test]
async fn a_disk_that_fails_for_longer_is_waited_for() {
    // Enough that opening the file anew fails as well.
    assert!(one_run(25, 3, Kind::Full).await);
    assert!(one_run(26, 4, Kind::Torn).await);
}

#[tokio::test]
async fn a_full_disk_refuses_what_grows_and_lets_the_rest_through() {
    let directory = fast_directory();
    let disk = Disk::default();
    let store = open_on(directory.path(), &disk);
    let big = "x".repeat(300_000);
    let mut versions = Vec::new();
    for index in 0..20 {
        versions.push(set(&store, MAPS, &format!("m{index}"), &big).await.unwrap());
    }
    disk.faults.fill();
    // What was set aside before lasts for a while.
    let mut refused = None;
    for index in 20..60 {
        if let Err(error) = set(&store, MAPS, &format!("m{index}"), &big).await {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.unwrap();
    assert!(matches!(refused, WriteError::Full), "{refused}");
    let grown = set(&store, MAPS, "m0", &format!("{big}{big}")).await.unwrap_err();
    assert!(matches!(grown, WriteError::Full), "{grown}");
    assert_eq!(data_of(&store.get(&key(MAPS, "m0")).unwrap().unwrap().object), big);
    set(&store, MAPS, "m0", "smaller").await.unwrap();
    let mut marked = object("m1", &big);
    marked["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let write = put_object(MAPS, "m1", Expect::Version(versions[1]), marked);
    store.write(write).await.unwrap();
    store.write(delete(MAPS, "m2", versions[2])).await.unwrap();
    disk.faults.heal();
    set(&store, MAPS, "again", &big).await.unwrap();
    store.close().await;
    assert_sound(directory.path());
}

#[tokio::test]
async fn a_list_goes_on_when_the_file_is_opened_anew() {
    let directory = fast_directory();
    let disk = Disk::default();
    let store = open_on(directory.path(), &disk);
    // More than the cache holds, so that the list has to read the file.
    let big = "x".repeat(200_000);
    for index in 0..100 {
        set(&store, MAPS, &format!("m{index:03}"), &big).await.unwrap();
    }
    let mut scan = store.scan(MAPS, None).unwrap();
    let first = scan.next_page(1).unwrap();
    disk.faults.fail_after(0, 1, Kind::Full);
    let error = set(&store, MAPS, "n", "").await.unwrap_err();
    assert!(matches!(error, WriteError::Full), "{error}");
    let mut names: Vec<_> = first.iter().map(|row| row.key.name().to_owned()).collect();
    loop {
        let page = scan.next_page(1 << 20).unwrap();
        if page.is_empty() {
            break;
        }
        names.extend(page.iter().map(|row| row.key.name().to_owned()));
    }
    assert_eq!(names.len(), 100);
    assert!(names.is_sorted());
    // A later state would mix two versions in one list.
    let mut scan = store.scan(MAPS, None).unwrap();
    scan.next_page(1).unwrap();
    disk.faults.fail_after(0, 1, Kind::Full);
    set(&store, MAPS, "n", "").await.unwrap_err();
    set(&store, MAPS, "n", "").await.unwrap();
    let error = loop {
        match scan.next_page(1 << 20) {
            Ok(page) => assert!(!page.is_empty(), "the list must not end as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::SnapshotGone), "{error}");
}

#[tokio::test]
async fn a_damaged_row_fails_its_own_write_and_no_other() {
    let directory = fast_directory();
    let store = open(directory.path());
    set(&store, MAPS, "bad", "").await.unwrap();
    set(&store, MAPS, "good", "").await.unwrap();
    store.close().await;
    super::maintenance::damage(directory.path(), MAPS, "bad", |_| b"?".to_vec());
    // Whoever restored the row by hand would see it; a server that runs must not
    // lose the others over it.
    let (store, writer) =
        Store::assemble(directory.path(), config(directory.path()), Disk::default(), format::STEPS)
            .unwrap();
    std::thread::spawn(move || writer.run());
    let good = store.get(&key(MAPS, "good")).unwrap().unwrap().version;
    let (bad, good) = tokio::join!(
        store.write(put("bad", MAPS, Expect::Version(1))),
        store.write(put("good", MAPS, Expect::Version(good))),
    );
    assert!(bad.unwrap_err().to_string().contains("hades store verify"));
    good.unwrap();
}
