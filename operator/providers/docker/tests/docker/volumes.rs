//! The content of volumes.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use hades_provider::conformance::Testbed;
use hades_provider::{ErrorClass, NewVolume, Provider, ProviderError, VolumeArchive};

use tokio::time::timeout;

use crate::bed::{DockerBed, IMAGE, unique};
use crate::proxy::Proxy;

/// Far less than what a call may take that waits for an archive to be read.
const SOON: Duration = Duration::from_secs(20);

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

/// A volume's archive with one file of that content.
fn archive(content: &[u8]) -> VolumeArchive {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len().try_into().unwrap());
    header.set_mode(0o644);
    archive.append_data(&mut header, "volume/file", content).unwrap();
    let bytes = Bytes::from(archive.into_inner().unwrap());
    stream::iter([Ok(bytes)]).boxed()
}

/// A volume with more in it than any buffer on the way holds.
async fn large(bed: &DockerBed) -> String {
    let (name, labels) = (unique("large"), labels(bed));
    let content = archive(&vec![b'x'; 32 << 20]);
    bed.host.fill_volume(NewVolume { name: &name, labels: &labels }, content).await.unwrap();
    name
}

/// A container that has a volume and never ran.
fn create(bed: &DockerBed, name: &str, volume: &str) -> String {
    let label = format!("hades.dev/installation={}", bed.installation());
    let mount = format!("{volume}:/volume");
    bed.docker(&["create", "--name", name, "--label", &label, "-v", &mount, IMAGE])
}

/// `docker cp`, whose output is read no further than its first byte.
struct HalfRead(Child);

impl HalfRead {
    fn start(bed: &DockerBed, container: &str) -> Self {
        let mut child = Command::new("docker")
            .args(["cp", &format!("{container}:/volume"), "-"])
            .env("DOCKER_HOST", &bed.endpoint)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }
}

impl Drop for HalfRead {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Until the container that a volume was mounted by is gone.
async fn gone(bed: &DockerBed, holder: &str) {
    let filter = format!("name={holder}");
    let gone = timeout(SOON, async {
        while !bed.docker(&["ps", "-aq", "--filter", &filter]).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    gone.await.expect("it goes with the archive");
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
    gone(&bed, &format!("hades-read-{from}")).await;
    gone(&bed, &format!("hades-fill-{to}")).await;
}

/// The engine locks a container as long as an archive of it is being read.
#[tokio::test]
async fn a_host_is_looked_at_while_an_archive_is_half_read() {
    let bed = DockerBed::shared();
    let volume = large(&bed).await;
    let mut archive = bed.host.read_volume(&volume).await.unwrap();
    archive.next().await.unwrap().unwrap();
    let proxy = Proxy::new(bed.socket());
    let host = bed.provider_at(&proxy.endpoint);
    let found = timeout(SOON, host.observe()).await.expect("nobody waits for the archive");
    let holder = format!("hades-read-{volume}");
    let found = found.unwrap();
    let holder = found.containers.iter().find(|container| container.name == holder).unwrap();
    let asked = proxy.requests().join("\n");
    assert!(!asked.contains(&holder.id), "it has no ports to ask for: {asked}");
    drop(archive);
    gone(&bed, &holder.name).await;
}

#[tokio::test]
async fn a_host_is_looked_at_while_somebody_copies_files_out_of_it() {
    let bed = DockerBed::shared();
    let volume = large(&bed).await;
    let container = create(&bed, &unique("theirs"), &volume);
    let copy = HalfRead::start(&bed, &container);
    let found = timeout(SOON, bed.host.observe()).await.expect("nobody waits for it");
    let found = found.unwrap();
    assert!(found.containers.iter().any(|found| found.id == container && found.ports.is_empty()));
    drop(copy);
    bed.host.observe().await.unwrap();
}

#[tokio::test]
async fn a_copy_that_was_cut_off_is_begun_anew() {
    let bed = DockerBed::shared();
    let (name, labels) = (unique("cut"), labels(&bed));
    let volume = NewVolume { name: &name, labels: &labels };
    let holder = format!("hades-fill-{name}");
    // As a server leaves it that is killed in between.
    let first = archive(b"all of it").next().await.unwrap().unwrap().slice(..512);
    let endless = stream::iter([Ok(first)]).chain(stream::pending()).boxed();
    let server = tokio::runtime::Runtime::new().unwrap();
    let (host, its_name, its_labels) =
        (bed.provider_at(&bed.endpoint), name.clone(), labels.clone());
    server.spawn(async move {
        host.fill_volume(NewVolume { name: &its_name, labels: &its_labels }, endless).await
    });
    let filter = format!("name={holder}");
    let begun = timeout(SOON, async {
        while bed.docker(&["ps", "-aq", "--filter", &filter]).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    begun.await.expect("it is begun");
    server.shutdown_background();
    let left = bed.docker(&["volume", "inspect", "--format", "{{json .Labels}}", &name]);
    assert!(left.contains(bed.installation()), "{left}");

    // Somebody has it by now: it isn't taken away.
    let user = create(&bed, &unique("user"), &name);
    let refused = bed.host.fill_volume(volume, archive(b"all of it")).await;
    assert_eq!(refused.unwrap_err().class, ErrorClass::Conflict);
    bed.docker(&["rm", &user]);

    bed.host.fill_volume(volume, archive(b"all of it")).await.unwrap();
    let found = files(bed.host.read_volume(&name).await.unwrap()).await;
    assert!(found.iter().any(|(path, text)| path.ends_with("/file") && text == "all of it"));
    // It is whole now.
    let refused = bed.host.fill_volume(volume, archive(b"more")).await;
    assert_eq!(refused.unwrap_err().class, ErrorClass::Conflict);
}

#[tokio::test]
async fn a_volume_without_a_trace_of_a_copy_is_left_alone() {
    let bed = DockerBed::shared();
    let (name, labels) = (unique("kept"), labels(&bed));
    let label = format!("hades.dev/installation={}", bed.installation());
    bed.docker(&["volume", "create", "--label", &label, &name]);
    // The name is right, the maker isn't.
    let holder = format!("hades-fill-{name}");
    let mount = format!("{name}:/volume");
    bed.docker(&[
        "create",
        "--name",
        &holder,
        "--label",
        "hades.dev/installation=x",
        "-v",
        &mount,
        IMAGE,
    ]);
    let refused = bed.host.fill_volume(NewVolume { name: &name, labels: &labels }, archive(b"x"));
    assert_eq!(refused.await.unwrap_err().class, ErrorClass::Conflict);
    bed.docker(&["rm", &holder]);
    assert_eq!(bed.docker(&["volume", "ls", "-q", "--filter", &format!("name={name}")]), name);
}
