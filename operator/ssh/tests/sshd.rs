//! On a real SSH server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test gives up where it must")]

mod support;

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use hades_ssh::{Error, Exit, KeyPair, LeftUnread, Link, scan};
use support::Sshd;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;

/// Nothing here takes nearly as long.
const LIMIT: Duration = Duration::from_secs(90);

async fn output(link: &Link, command: &str) -> Result<String, Error> {
    let mut process = link.exec(command).await?;
    let mut text = String::new();
    process.stdout.read_to_string(&mut text).await.unwrap();
    Ok(text)
}

#[tokio::test]
async fn commands_have_three_streams_and_a_status() {
    let server = Sshd::start();
    let link = Link::new(server.target());
    let command = "tr a-z A-Z; echo oops >&2; exit 3";
    let mut process = link.exec(command).await.unwrap();
    process.stdin.write_all(b"hello").await.unwrap();
    process.stdin.shutdown().await.unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    process.stdout.read_to_string(&mut out).await.unwrap();
    process.stderr.read_to_string(&mut err).await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("HELLO", "oops\n"));
    assert_eq!(process.exit.wait().await.unwrap(), Exit::Status(3));
    let killed = link.exec("kill -TERM $$").await.unwrap();
    assert_eq!(killed.exit.wait().await.unwrap(), Exit::Signal("TERM".to_owned()));
}

#[tokio::test]
async fn streams_reach_sockets_and_ports_of_the_server() {
    let server = Sshd::start();
    let link = Link::new(server.target());
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("echo.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = unix.accept().await.unwrap();
            tokio::spawn(echo(stream));
        }
    });
    tokio::spawn(async move {
        loop {
            let (stream, _) = tcp.accept().await.unwrap();
            tokio::spawn(echo(stream));
        }
    });
    // More than a window, in both directions at once.
    let data: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let there_and_back = |stream: hades_ssh::Stream| {
        let data = data.clone();
        async move {
            let (mut reader, mut writer) = stream.into_split();
            let sent = data.clone();
            tokio::spawn(async move {
                writer.write_all(&sent).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            let mut back = Vec::new();
            reader.read_to_end(&mut back).await.unwrap();
            assert!(back == data, "{} of {} bytes came back", back.len(), data.len());
        }
    };
    let path = path.to_str().unwrap();
    let (a, b) = tokio::join!(link.open_unix(path), link.open_tcp("127.0.0.1", port));
    timeout(LIMIT, join_all([there_and_back(a.unwrap()), there_and_back(b.unwrap())]))
        .await
        .unwrap();
    let error = link.open_unix("/nowhere.sock").await.map(drop).unwrap_err();
    assert!(error.to_string().contains("/nowhere.sock"), "{error}");
    assert!(!error.is_lasting());
}

async fn echo(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
    let _ = writer.shutdown().await;
}

#[tokio::test]
async fn a_dropped_stream_is_closed_on_the_server() {
    let server = Sshd::start();
    let link = Link::new(server.target());
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = link.open_tcp("127.0.0.1", tcp.local_addr().unwrap().port()).await.unwrap();
    let (mut accepted, _) = tcp.accept().await.unwrap();
    drop(stream);
    let end = timeout(LIMIT, accepted.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
}

#[tokio::test]
async fn callers_share_one_connection() {
    let server = Sshd::start();
    let link = Link::new(server.target());
    let outputs = (0..10).map(|n| {
        let link = link.clone();
        async move { output(&link, &format!("echo {n}")).await }
    });
    let outputs = try_join_all(outputs).await.unwrap();
    assert_eq!(outputs[7], "7\n");
    assert_eq!(server.log().matches("Accepted publickey").count(), 1, "{}", server.log());
}

#[tokio::test]
async fn another_host_key_is_refused_before_the_login() {
    let mut server = Sshd::start();
    let target = server.target();
    assert_eq!(scan(&target.host, target.port).await.unwrap(), server.host_key());
    let pinned = server.host_key().fingerprint();
    server.change_host_key();
    server.restart();
    let error = Link::new(target.clone()).check().await.unwrap_err();
    assert!(error.is_lasting());
    let text = error.to_string();
    assert!(text.contains(&format!("{pinned} is pinned")), "{text}");
    assert!(text.contains(&server.host_key().fingerprint()), "{text}");
    assert!(!server.log().contains("Accepted"), "{}", server.log());
    let mut unpinned = target;
    unpinned.host_keys.clear();
    assert!(matches!(Link::new(unpinned).check().await, Err(Error::NoHostKey { .. })));
}

#[tokio::test]
async fn a_key_that_may_not_log_in_is_named() {
    let server = Sshd::start();
    let pair = KeyPair::generate("hades").unwrap();
    let mut target = server.target();
    target.private_key = pair.private;
    let error = Link::new(target).check().await.unwrap_err();
    assert!(error.is_lasting());
    assert!(error.to_string().contains(&pair.public), "{error}");
    assert!(error.to_string().contains("~root/.ssh/authorized_keys"), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let mut server = Sshd::start();
    let link = Link::new(server.target());
    let mut hanging = link.exec("echo up; sleep 600").await.unwrap();
    let mut line = [0; 3];
    hanging.stdout.read_exact(&mut line).await.unwrap();
    server.stop();
    // What was open ends with an error: it isn't taken for the end of the output.
    let end = timeout(LIMIT, hanging.stdout.read(&mut line)).await.unwrap();
    assert!(end.is_err());
    assert!(hanging.exit.wait().await.is_err());
    let error = link.exec("true").await.map(drop).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    server.restart();
    assert_eq!(output(&link, "echo again").await.unwrap(), "again\n");
}

#[tokio::test]
async fn a_passing_link_lets_its_connection_go() {
    let server = Sshd::start();
    let link = Link::passing(server.target());
    assert_eq!(output(&link, "echo once").await.unwrap(), "once\n");
    let closed = async {
        while !server.log().contains("Disconnected from")
            && !server.log().contains("Connection closed")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, closed).await.expect("the connection ends with its last stream");
    assert_eq!(output(&link, "echo twice").await.unwrap(), "twice\n");
}

#[tokio::test]
async fn output_left_unread_ends_rather_than_hold_up_the_others() {
    let server = Sshd::start();
    let link = Link::new(server.target());
    let mut flood = link.exec("cat /dev/zero").await.unwrap();
    flood.stdout.read_exact(&mut [0; 10]).await.unwrap();
    // Nobody reads on, so it is cut off.
    assert!(timeout(LIMIT, flood.exit.wait()).await.unwrap().is_err());
    let other = timeout(LIMIT, output(&link, "echo through")).await.unwrap();
    assert_eq!(other.unwrap(), "through\n");
    let mut rest = Vec::new();
    let end = timeout(LIMIT, flood.stdout.read_to_end(&mut rest)).await.unwrap();
    assert!(LeftUnread::is_cause_of(&end.unwrap_err()));
}
