//! The content of volumes.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use hades_provider::conformance::Testbed;
use hades_provider::{ErrorClass, NewVolume, Provider, ProviderError, VolumeArchive};

use crate::bed::{DockerBed, IMAGE, unique};

fn labels(bed: &DockerBed) -> BTreeMap<String, String> {
    BTreeMap::from([("hades.dev/installation".to_owned(), bed.installation().to_owned())])
}

/// Runs the sample app with a volume at /data, into which it writes a line.
fn write(bed: &DockerBed, volume: &str) -> String {
    let label = format!("hades.dev/installation={}", bed.installation());
    bed.docker(&["volume", "create", "--label", &label, volume]);
    let mount = format!("{volume}:/data");
    let file = "WRITE_FILE=/data/file";
    bed.docker(&["run", "-d", "--label", &label, "-v", &mount, "-e", file, IMAGE])
}

async fn files(archive: VolumeArchive) -> BTreeMap<String, String> {
    let bytes: Vec<Bytes> = archive.try_collect().await.unwrap();
    let bytes = bytes.concat();
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(path, text);
    }
    files
}

fn left(bed: &DockerBed) -> String {
    bed.docker(&[
        "ps",
        "--all",
        "--filter",
        "name=hades-read-",
        "--filter",
        "name=hades-fill-",
        "-q",
    ])
}

#[tokio::test]
async fn a_volume_is_copied_whole() {
    let bed = DockerBed::shared();
    let (from, to) = (unique("from"), unique("to"));
    let container = write(&bed, &from);
    bed.output_of(&container).await;
    let name = bed.docker(&["inspect", "--format", "{{.Name}}", &container]);
    assert_eq!(bed.host.volume_writers(&from).await.unwrap(), [name.trim_start_matches('/')]);
    bed.docker(&["stop", "-t", "1", &container]);
    assert!(bed.host.volume_writers(&from).await.unwrap().is_empty());

    let labels = labels(&bed);
    let archive = bed.host.read_volume(&from).await.unwrap();
    bed.host.fill_volume(NewVolume { name: &to, labels: &labels }, archive).await.unwrap();
    let (one, other) =
        (bed.host.read_volume(&from).await.unwrap(), bed.host.read_volume(&to).await.unwrap());
    let (one, other) = (files(one).await, files(other).await);
    assert_eq!(one, other);
    assert!(other.iter().any(|(path, text)| path.ends_with("/file") && text == "started\n"));
    let found = bed.host.observe().await.unwrap();
    let made = found.volumes.iter().find(|volume| volume.name == to).unwrap();
    assert_eq!(made.labels, labels);

    // What is there already is left alone.
    let archive = bed.host.read_volume(&from).await.unwrap();
    let again = bed.host.fill_volume(NewVolume { name: &to, labels: &labels }, archive).await;
    assert_eq!(again.unwrap_err().class, ErrorClass::Conflict);
    let error = bed.host.read_volume("hades-no-such-volume").await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Conflict);
}

#[tokio::test]
async fn what_was_filled_in_part_is_removed() {
    let bed = DockerBed::shared();
    let (from, to) = (unique("from"), unique("to"));
    let container = write(&bed, &from);
    bed.output_of(&container).await;
    let archive = bed.host.read_volume(&from).await.unwrap();
    let cut = ProviderError::new(ErrorClass::Unreachable, "HostUnreachable", "cut off");
    let broken = archive.take(1).chain(stream::iter([Err(cut.clone())])).boxed();
    let labels = labels(&bed);
    let error = bed.host.fill_volume(NewVolume { name: &to, labels: &labels }, broken).await;
    assert_eq!(error, Err(cut));
    let found = bed.host.observe().await.unwrap();
    assert!(found.volumes.iter().all(|volume| volume.name != to));
    assert!(found.volumes.iter().any(|volume| volume.name == from));
    for _ in 0..100 {
        if left(&bed).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
