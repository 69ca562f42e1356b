//! Restarts, crashes, full disks, and hands that touch the files.

use std::io::Write;
use std::time::Duration;

use super::*;

/// A log with these many records, of a server that has ended.
async fn log_of(count: usize) -> TempDir {
    let bed = Bed::new().await;
    write(&bed.server, count);
    bed.stop().await
}

fn write(server: &ApiServer, count: usize) {
    for index in 0..count {
        server.audit().record(AuditEvent::new("login", &format!("/auth/login/{index}")));
    }
}

async fn again(directory: &TempDir) -> ApiServer {
    ApiServer::open(config(directory.path())).await.unwrap()
}

fn looked(directory: &TempDir) -> Report {
    verify(directory.path(), None).unwrap()
}

fn only_file(directory: &TempDir) -> PathBuf {
    let names = files::list(&folder(directory.path())).unwrap();
    assert_eq!(names.len(), 1);
    names[0].path(&folder(directory.path()))
}

#[tokio::test]
async fn the_chain_goes_on_over_restarts() {
    let directory = log_of(10).await;
    for _ in 0..3 {
        let server = again(&directory).await;
        write(&server, 5);
        assert_eq!(server.audit().verify().await.unwrap().problems, [""; 0]);
        server.shutdown().await;
    }
    let report = looked(&directory);
    assert_eq!((report.records, report.first, report.last), (25, 1, 25));
    assert!(report.problems.is_empty() && report.notes.is_empty(), "{report:?}");
}

#[tokio::test]
async fn whatever_is_changed_shows() {
    let directory = log_of(10).await;
    let path = only_file(&directory);
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let mut without = lines.clone();
    without.remove(4);
    let mut swapped = lines.clone();
    swapped.swap(4, 5);
    let mut twice = lines.clone();
    twice.insert(4, lines[4]);
    for (what, text, words) in [
        ("edited", whole.replace("/login/4", "/login/X"), "record 5, line 5"),
        ("taken out", joined(&without), "record 5 is missing before line 5"),
        ("swapped", joined(&swapped), "record 5 is missing before line 5"),
        ("put in twice", joined(&twice), "is record 5, after record 5"),
        ("written in", whole.replacen('\n', "\nsomething else\n", 1), "line 2 of audit-"),
        ("cut at the end", joined(&lines[..8]), "records 9 to 10 are missing at the end"),
        ("cut at the start", joined(&lines[2..]), "records 1 to 2 are missing before line 1"),
        ("emptied", String::new(), "records 1 to 10 are missing at the end"),
    ] {
        std::fs::write(&path, text).unwrap();
        let report = looked(&directory);
        let found = report.problems.iter().any(|problem| problem.contains(words));
        assert!(found, "{what}: {report:?}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(looked(&directory).problems, ["records 1 to 10 are missing at the end"]);
    std::fs::write(&path, &whole).unwrap();
    assert!(looked(&directory).problems.is_empty());
    std::fs::remove_file(folder(directory.path()).join("head")).unwrap();
    assert!(looked(&directory).problems[0].contains("the file head is missing"));
}

#[tokio::test]
async fn a_cut_is_not_hidden_by_what_comes_after_it() {
    let directory = log_of(10).await;
    let path = only_file(&directory);
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: String = text.lines().take(6).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, kept).unwrap();
    let server = again(&directory).await;
    write(&server, 1);
    let found = records(&server, Query::default()).await;
    assert!(found[1]["annotations"][annotations::MISSING].as_str().unwrap().contains("up to 10"));
    server.shutdown().await;
    let report = looked(&directory);
    assert!(report.problems[0].contains("records 7 to 10 are missing"), "{report:?}");
    assert_eq!((report.problems.len(), report.last), (1, 12));
}

#[tokio::test]
async fn a_write_that_a_crash_cut_off_is_told_and_is_no_problem() {
    let directory = log_of(3).await;
    let path = only_file(&directory);
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"kind":"Event","apiVersion":"audit.k8"#).unwrap();
    let report = looked(&directory);
    assert!(report.problems.is_empty(), "{report:?}");
    assert!(report.notes[0].contains("isn't complete"), "{report:?}");
    let server = again(&directory).await;
    write(&server, 2);
    let found = records(&server, Query::default()).await;
    assert_eq!(found.len(), 6);
    let torn = found[2]["annotations"][annotations::TORN].as_str().unwrap();
    assert!(torn.contains("38 bytes"), "{torn}");
    server.shutdown().await;
    let report = looked(&directory);
    assert_eq!((report.problems.len(), report.records, report.files), (0, 6, 2));
    assert!(report.notes[0].contains("cut off by a crash"), "{report:?}");
    // Nobody hides behind such a note.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("audit.k8", "audit.k")).unwrap();
    assert!(!looked(&directory).problems.is_empty());
}

#[tokio::test]
async fn one_crash_after_another_is_no_problem() {
    let part = br#"{"kind":"Event","apiVersion":"audit.k8"#;
    // What the second crash leaves of the file that the second start began.
    type Cut = fn(&mut Vec<u8>);
    let left: [(&str, Cut); 5] = [
        ("all", |_| {}),
        ("nothing", Vec::clear),
        ("a part of its first record", |bytes| bytes.truncate(50)),
        ("more than its records", |bytes| bytes.extend_from_slice(br#"{"kind":"#)),
        ("half of its last record", |bytes| bytes.truncate(bytes.len() - 30)),
    ];
    for (what, cut) in left {
        let directory = log_of(3).await;
        let folder = folder(directory.path());
        let head = folder.join("head");
        let mut file =
            std::fs::OpenOptions::new().append(true).open(only_file(&directory)).unwrap();
        file.write_all(part).unwrap();
        let old = std::fs::read(&head).unwrap();
        let server = again(&directory).await;
        write(&server, 2);
        server.shutdown().await;
        std::fs::write(&head, &old).unwrap();
        let second = files::list(&folder).unwrap()[1].path(&folder);
        let mut bytes = std::fs::read(&second).unwrap();
        cut(&mut bytes);
        std::fs::write(&second, bytes).unwrap();
        for _ in 0..2 {
            let server = again(&directory).await;
            write(&server, 2);
            assert!(server.audit().verify().await.unwrap().problems.is_empty(), "{what}");
            server.shutdown().await;
            let report = looked(&directory);
            assert!(report.problems.is_empty(), "{what}: {report:?}");
        }
        // Nobody hides behind it.
        let first = files::list(&folder).unwrap()[0].path(&folder);
        let text = std::fs::read_to_string(&first).unwrap();
        std::fs::write(&first, text.replace("/login/2", "/login/X")).unwrap();
        assert!(!looked(&directory).problems.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn the_end_that_a_crash_left_is_told_on_the_disk_at_once() {
    let directory = log_of(3).await;
    let path = only_file(&directory);
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{").unwrap();
    let server = again(&directory).await;
    let key = crate::seal::Keyring::load(directory.path()).unwrap().audit_key();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while head::Head::read(&folder(directory.path()), &key).unwrap().unwrap().last.number < 4 {
        assert!(std::time::Instant::now() < deadline, "the head doesn't hear of it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.shutdown().await;
}

#[tokio::test]
async fn what_the_head_did_not_hear_of_any_more_is_found() {
    // As after kill -9: the head is older than the records.
    let directory = log_of(3).await;
    let head = folder(directory.path()).join("head");
    let old = std::fs::read(&head).unwrap();
    let server = again(&directory).await;
    write(&server, 4);
    server.shutdown().await;
    std::fs::write(&head, old).unwrap();
    assert!(looked(&directory).problems.is_empty());
    let server = again(&directory).await;
    write(&server, 1);
    server.shutdown().await;
    let report = looked(&directory);
    assert_eq!((report.problems.len(), report.records), (0, 8), "{report:?}");
}

#[tokio::test]
async fn the_oldest_files_make_room_and_that_is_told() {
    let options = AuditOptions { max_size: 200 << 10, ..AuditOptions::default() };
    let bed = Bed::with(|config| config.audit = options.clone()).await;
    for _ in 0..40 {
        write(&bed.server, 25);
        // One write each, so that files can be begun in between.
        bed.records(Query::default()).await;
    }
    let directory = bed.directory.path().to_owned();
    let size: u64 = files::list(&folder(&directory))
        .unwrap()
        .iter()
        .map(|name| std::fs::metadata(name.path(&folder(&directory))).unwrap().len())
        .sum();
    assert!(size <= 210 << 10, "{size}");
    let found = bed.records(Query { limit: Some(10_000), ..Query::default() }).await;
    let removed = found.iter().find(|one| one["annotations"][annotations::REMOVED].is_string());
    assert!(removed.is_some(), "{} records", found.len());
    let directory = bed.stop().await;
    let report = looked(&directory);
    assert!(report.problems.is_empty(), "{report:?}");
    assert!(report.first > 1 && report.files > 3, "{report:?}");
    assert_eq!(report.records, report.last - report.first + 1);
    // A file less than the head says is a cut, and not the making of room.
    let oldest = files::list(&folder(directory.path())).unwrap()[0];
    std::fs::remove_file(oldest.path(&folder(directory.path()))).unwrap();
    assert!(looked(&directory).problems[0].contains("are missing before line 1"));
}

#[tokio::test]
async fn while_nothing_can_be_written_people_change_nothing_and_controllers_go_on() {
    let bed = Bed::new().await;
    let audit = folder(bed.directory.path());
    let aside = bed.directory.path().join("aside");
    std::fs::rename(&audit, &aside).unwrap();
    let body = r#"{"metadata":{"name":"c"}}"#;
    assert_eq!(bed.ask("good", "POST", CONFIG_MAPS, body).await.0, 201, "some can wait");
    write(&bed.server, 40_000);
    let body = r#"{"metadata":{"name":"d"}}"#;
    assert_eq!(bed.ask("good", "POST", CONFIG_MAPS, body).await.0, 503);
    assert_eq!(bed.ask("good", "GET", CONFIG_MAPS, "").await.0, 200);
    assert_eq!(bed.ask("wrong", "POST", CONFIG_MAPS, body).await.0, 401);
    let here = Identity::controller("c");
    assert_eq!(bed.ask_here(here, "POST", CONFIG_MAPS, body).await, 201);
    std::fs::rename(&aside, &audit).unwrap();
    let body = r#"{"metadata":{"name":"e"}}"#;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while bed.ask("good", "POST", CONFIG_MAPS, body).await.0 == 503 {
        assert!(std::time::Instant::now() < deadline, "it is never written again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bed.records(Query::default()).await;
    let directory = bed.stop().await;
    let text = log_text(directory.path());
    assert!(text.contains(annotations::LOST), "what was lost is counted");
    let report = looked(&directory);
    assert!(report.problems.is_empty(), "{report:?}");
}

#[tokio::test]
async fn two_servers_do_not_write_one_log() {
    let bed = Bed::new().await;
    let other = tempfile::tempdir().unwrap();
    let mut config = config(other.path());
    config.audit.directory = Some(folder(bed.directory.path()));
    let error = ApiServer::open(config).await.unwrap_err();
    assert!(error.to_string().contains("written by another hades"), "{error}");
}
