//! Backups in a bucket: of a stand-in for AWS, and of servers that fail.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hades_backup::{
    BackupError, Destination, DestinationError, Gathered, Recipient, S3Error, S3Settings,
    Surroundings, inspect,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use support::{Bed, key, surroundings};

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "planted-secret-access-key";

fn settings(port: u16) -> S3Settings {
    S3Settings {
        region: None,
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        key: Some(KEY.to_owned()),
        secret: Some(SecretString::from(SECRET)),
        token: None,
    }
}

/// What a backup of that time is made of.
fn job(bed: &Bed, time: Timestamp) -> impl FnOnce() -> Result<Gathered, BackupError> + use<> {
    let (server, data) = (bed.server.clone(), bed.data());
    move || {
        let surroundings = Surroundings { time, ..surroundings(&data) };
        hades_backup::gather(&surroundings, |path| server.copy_store(path))
    }
}

struct StandIn {
    child: Child,
    port: u16,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl StandIn {
    fn start() -> Option<Self> {
        let place = std::env::var_os("HADES_MINISTACK").map(PathBuf::from).or_else(|| {
            Some(
                PathBuf::from(std::env::var_os("HOME")?)
                    .join(".cache/hades/ministack/bin/ministack"),
            )
        })?;
        if !place.exists() {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(place)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            // It checks signatures that are part of an address.
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stand_in = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the stand-in for AWS doesn't start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(stand_in)
    }

    /// A request without a signature, which it doesn't check.
    fn ask(&self, method: &str, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        answer.split_off(body)
    }
}

#[tokio::test]
async fn the_newest_stay_and_open() {
    let Some(aws) = StandIn::start() else {
        eprintln!("SKIPPED: there is no stand-in for AWS; hack/test.sh installs it");
        return;
    };
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let settings = settings(aws.port);
    let to: Destination = "s3://studio-backups/fleet/hades".parse().unwrap();
    let id = std::fs::read_to_string(bed.data().join("installation-id")).unwrap();
    let id = id.trim();
    let now: Timestamp = "2026-03-05T12:00:00Z".parse().unwrap();
    let error = to.newest(&settings, id, now).await.unwrap_err().to_string();
    assert!(error.contains("NoSuchBucket") && error.contains("make the bucket first"), "{error}");
    let stranger = S3Settings { secret: Some("another".into()), ..settings.clone() };
    let error = to.newest(&stranger, id, now).await.unwrap_err().to_string();
    assert!(error.contains("SignatureDoesNotMatch") && error.contains("don't fit"), "{error}");
    aws.ask("PUT", "/studio-backups");
    assert_eq!(to.newest(&settings, id, now).await.unwrap(), None);
    // Somebody else's, which nobody asked to remove.
    let others = "hades-00000000-0000-0000-0000-000000000000-20200101T000000Z.age";
    for foreign in ["notes.txt", others] {
        aws.ask("PUT", &format!("/studio-backups/fleet/hades/{foreign}"));
    }
    let start: Timestamp = "2026-03-01T02:00:00Z".parse().unwrap();
    let mut made = Vec::new();
    for night in 0..4 {
        let time = start + SignedDuration::from_hours(24 * night);
        let recipients = vec![recipient.clone()];
        let stored = to.store(&settings, recipients, 2, job(&bed, time)).await.unwrap();
        assert_eq!(stored.removed, Ok(usize::from(night > 1)), "night {night}");
        made.push(stored);
    }
    let newest = to.newest(&settings, id, now).await.unwrap();
    assert_eq!(newest, Some(made[3].name.time));
    let listed = String::from_utf8(aws.ask("GET", "/studio-backups?list-type=2")).unwrap();
    let there = |name: &str| listed.contains(&format!("<Key>fleet/hades/{name}</Key>"));
    assert!(there("notes.txt") && there(others), "{listed}");
    assert!(!there(&made[1].name.to_string()) && there(&made[2].name.to_string()), "{listed}");
    let path = format!("/studio-backups/fleet/hades/{}", made[3].name);
    let backup = aws.ask("GET", &path);
    assert_eq!(backup.len() as u64, made[3].written.size);
    assert_eq!(inspect(&backup[..], &key).unwrap().time, made[3].name.time);
}

/// Answers each connection with that, and returns what it was asked.
fn answering(answer: &'static str) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut first = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut first).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        first
    });
    (port, asked)
}

#[tokio::test]
async fn errors_say_what_to_do_and_hold_no_credential() {
    let to: Destination = "s3://studio-backups/x".parse().unwrap();
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 82\r\n\r\n<Error><Code>AccessDenied</Code><Message>X-Amz-Signature=abcdef</Message></Error>   ";
    for (answer, words) in [
        (refusal, "AccessDenied (403); the key needs s3:PutObject"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "region",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "doesn't answer as S3 does"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n<ListBu", "can't be reached"),
        ("", "can't be reached"),
    ] {
        let (port, asked) = answering(answer);
        let error = to.newest(&settings(port), "id", Timestamp::now()).await.unwrap_err();
        let DestinationError::S3(source) = &error else { panic!("{error}") };
        let told = format!("{error} {source:?}");
        assert!(told.contains(words), "{words}: {told}");
        let asked = asked.join().unwrap();
        assert!(asked.contains("X-Amz-Signature=") && !asked.contains(SECRET), "{asked}");
        assert!(!told.contains("Signature=") && !told.contains(SECRET), "{told}");
    }
    // Nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = to.newest(&settings(free), "id", Timestamp::now()).await.unwrap_err();
    assert!(matches!(error, DestinationError::S3(S3Error::Unreachable { .. })), "{error}");
}

#[tokio::test]
async fn a_list_without_end_is_none() {
    let page = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                <MaxKeys>1000</MaxKeys>\
                <NextContinuationToken>more</NextContinuationToken></ListBucketResult>";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Ends with the test.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let length = page.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{page}"
            );
        }
    });
    let to: Destination = "s3://studio-backups/x".parse().unwrap();
    let error = to.newest(&settings(port), "id", Timestamp::now()).await.unwrap_err();
    assert!(error.to_string().contains("more than 100000 objects"), "{error}");
}

#[tokio::test]
async fn a_backup_that_finds_no_room_says_where() {
    let bed = Bed::new().await;
    let (_, recipient, _) = key(bed.dir.path());
    let to: Destination = "s3://studio-backups/x".parse().unwrap();
    let (gathered, gone) = (bed.gather(), bed.data());
    bed.server.shutdown().await;
    std::fs::remove_dir_all(&gone).unwrap();
    let stored = to.store(&settings(1), vec![recipient], 2, || Ok(gathered)).await;
    let error = stored.unwrap_err().to_string();
    assert!(error.contains(gone.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_folder_keeps_the_newest_and_what_a_crash_left_goes() {
    let bed = Bed::new().await;
    let (key, recipient, _) = key(bed.dir.path());
    let folder = bed.dir.path().join("backups");
    let to = Destination::Folder(folder.clone());
    let none = S3Settings::default();
    let start: Timestamp = "2026-03-01T02:00:00Z".parse().unwrap();
    let store = |night: i64, recipients: Vec<Recipient>| {
        to.store(&none, recipients, 2, job(&bed, start + SignedDuration::from_hours(24 * night)))
    };
    let error = store(0, vec![recipient.clone()]).await.unwrap_err().to_string();
    assert!(error.contains("is no folder"), "a disk that isn't mounted: {error}");
    std::fs::create_dir(&folder).unwrap();
    let first = store(0, vec![recipient.clone()]).await.unwrap().name;
    std::fs::write(folder.join("notes.txt"), "ours").unwrap();
    // As kill -9 leaves it.
    std::fs::write(folder.join(format!("{first}.partial")), "half").unwrap();
    store(1, Vec::new()).await.unwrap_err();
    assert_eq!(support::names(&folder), [first.to_string(), "notes.txt".to_owned()]);
    let second = store(1, vec![recipient.clone()]).await.unwrap().name;
    let third = store(2, vec![recipient.clone()]).await.unwrap();
    assert_eq!(third.removed, Ok(1));
    let kept = [second.to_string(), third.name.to_string(), "notes.txt".to_owned()];
    assert_eq!(support::names(&folder), kept);
    let file = std::fs::File::open(folder.join(&kept[1])).unwrap();
    assert_eq!(inspect(file, &key).unwrap().time, third.name.time);
    let newest = async |now: Timestamp| {
        to.newest(&none, &second.installation, now).await.unwrap().map(|time| time.to_string())
    };
    let now: Timestamp = "2026-03-04T00:00:00Z".parse().unwrap();
    assert_eq!(newest(now).await.as_deref(), Some("2026-03-03T02:00:00Z"));
    // Made when the clock was wrong, or by somebody who wants none to be made.
    let later = format!("hades-{}-20310101T020000Z.age", second.installation);
    std::fs::write(folder.join(&later), "").unwrap();
    assert_eq!(newest(now).await.as_deref(), Some("2026-03-03T02:00:00Z"));
    // What can't be removed doesn't keep the others.
    let stuck = format!("hades-{}-20260101T020000Z.age", second.installation);
    std::fs::create_dir(folder.join(&stuck)).unwrap();
    let fourth = store(3, vec![recipient.clone()]).await.unwrap();
    let told = fourth.removed.unwrap_err();
    assert!(told.contains(&stuck) && told.contains("directory"), "{told}");
    let third = third.name.to_string();
    let kept = [stuck, third, fourth.name.to_string(), later, "notes.txt".to_owned()];
    assert_eq!(support::names(&folder), kept);
}
