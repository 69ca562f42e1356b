//! The sessions, played with every kubectl there is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::cluster::Cluster;
use crate::release::{MINORS, Release};
use crate::session::{self, Reply, Step};
use crate::steady::steady;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl").join(name)
}

/// Whether the sessions are written instead of compared.
fn writes() -> bool {
    std::env::var("HADES_GOLDEN").is_ok_and(|value| value == "write")
}

/// The sessions of a folder in the order of their names; `HADES_SESSION` picks
/// those whose path holds it.
fn sessions_in(name: &str) -> Vec<(PathBuf, Vec<Step>)> {
    let wanted = std::env::var("HADES_SESSION").unwrap_or_default();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let steps = session::read(&path.display().to_string(), &text);
            (path, steps)
        })
        .collect()
}

/// The sessions of a release. What depends on the server alone is asked by the
/// newest one only, to save time.
fn sessions(minor: u32) -> Vec<(PathBuf, Vec<Step>)> {
    let mut sessions = sessions_in("sessions");
    if MINORS.last() == Some(&minor) {
        sessions.extend(sessions_in("sessions/newest"));
    }
    sessions
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a kubectl does at each step, with a server of its own.
async fn play(release: &Release, steps: &[Step]) -> Vec<Reply> {
    let cluster = Cluster::start(&release.program).await;
    let home = cluster.home.path().to_string_lossy().into_owned();
    let directory = cluster.home.path().join("work");
    copy(&folder("files"), &directory);
    let mut replies = Vec::new();
    for step in steps {
        let (output, code) = cluster.shell(&step.script, &directory).await;
        replies.push(Reply { output: steady(&output, &home), code });
    }
    cluster.stop().await;
    replies
}

fn describe(reply: &Reply) -> String {
    let mut text = reply.output.clone();
    if reply.code != 0 {
        let _ = write!(text, "\nexit {}", reply.code);
    }
    text.replace('\n', "\n    ")
}

async fn compare(minor: u32) {
    let Some(release) = Release::find(minor) else {
        eprintln!("SKIPPED: kubectl 1.{minor} is not installed; hack/test.sh does it");
        return;
    };
    if writes() {
        return;
    }
    let mut complaints = String::new();
    for (path, steps) in sessions(minor) {
        let replies = play(&release, &steps).await;
        for (step, reply) in steps.iter().zip(replies) {
            let expected = step.expected(minor);
            if *expected != reply {
                let _ = writeln!(
                    complaints,
                    "{}, kubectl {release}:\n$ {}\n  expected\n    {}\n  printed\n    {}\n",
                    path.file_name().unwrap_or_default().display(),
                    step.script,
                    describe(expected),
                    describe(&reply),
                );
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

macro_rules! each_release {
    ($($name:ident = $minor:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            compare($minor).await;
        })*

        #[test]
        fn every_release_has_a_test() {
            assert_eq!(MINORS.to_vec(), vec![$($minor),*]);
        }
    };
}

each_release! {
    sessions_with_1_29 = 29;
    sessions_with_1_30 = 30;
    sessions_with_1_31 = 31;
    sessions_with_1_32 = 32;
    sessions_with_1_33 = 33;
    sessions_with_1_34 = 34;
    sessions_with_1_35 = 35;
    sessions_with_1_36 = 36;
    sessions_with_1_37 = 37;
}

/// Whatever the golden files are made to say: a value that went in is in no answer, in
/// the clear or in base64.
#[test]
fn no_session_prints_a_value_of_a_secret() {
    use base64::Engine as _;
    let steps = sessions_in("sessions").into_iter().flat_map(|(_, steps)| steps);
    let steps: Vec<Step> = steps.filter(|step| !step.script.is_empty()).collect();
    let mut planted: Vec<String> = steps
        .iter()
        .flat_map(|step| step.script.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'))
        .filter(|word| word.starts_with("planted-"))
        .map(str::to_owned)
        .collect();
    assert!(planted.len() > 10, "{planted:?}");
    let encoded = |word: &String| {
        let text = base64::engine::general_purpose::STANDARD.encode(word);
        // Without the end, which is otherwise where more follows.
        text[..text.len() - 4].to_owned()
    };
    planted.extend(planted.iter().map(encoded).collect::<Vec<_>>());
    let replies = steps.iter().flat_map(|step| {
        std::iter::once(&step.usual).chain(step.unusual.iter().map(|(_, reply)| reply))
    });
    for reply in replies {
        for word in &planted {
            assert!(!reply.output.contains(word), "{word} is in:\n{}", reply.output);
        }
    }
}

/// The releases whose replies are written, by `HADES_MINORS=29,37`; otherwise all,
/// since a missing one would lose what is expected of it.
fn written_releases() -> (Vec<Release>, bool) {
    let list = std::env::var("HADES_MINORS").unwrap_or_default();
    let chosen: Vec<u32> = list.split(',').filter_map(|minor| minor.parse().ok()).collect();
    let all = chosen.is_empty();
    let releases = MINORS
        .into_iter()
        .filter(|minor| all || chosen.contains(minor))
        .map(|minor| Release::find(minor).expect("every release is installed"))
        .collect();
    (releases, all)
}

/// Writes the sessions anew. With some of the releases, others are taken to do as
/// they do; the comparison tells where they don't.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_written_anew() {
    if !writes() {
        return;
    }
    let (releases, all) = written_releases();
    let newest = releases.last().map_or(0, |release| release.minor);
    for (path, mut steps) in sessions(newest) {
        let deep = path.parent() == Some(&folder("sessions/newest"));
        let releases = if deep { &releases[releases.len() - 1..] } else { &releases[..] };
        let mut replies: Vec<Vec<(u32, Reply)>> = vec![Vec::new(); steps.len()];
        for pair in releases.chunks(2) {
            let played = pair.iter().map(|release| play(release, &steps));
            let played = futures::future::join_all(played).await;
            for (release, played) in pair.iter().zip(played) {
                for (replies, reply) in replies.iter_mut().zip(played) {
                    replies.push((release.minor, reply));
                }
            }
        }
        for (step, replies) in steps.iter_mut().zip(replies) {
            if all {
                step.accept(&replies);
                continue;
            }
            for (minor, reply) in replies {
                if *step.expected(minor) != reply {
                    step.accept_for_group(minor, reply);
                }
            }
        }
        std::fs::write(&path, session::write(&steps)).unwrap();
    }
}
