//! How full the disk of an engine is.

use std::sync::Arc;
use std::time::Duration;

use hades_provider::{DiskUsage, ProviderError};
use hades_ssh::{Link, Process};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::failure::Failure;

/// How long a disk may take to answer. One that hangs, as of a file server that is
/// gone, must not hold up what else is done for the host.
const DISK_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read: four numbers.
const ANSWER_LIMIT: u64 = 256;

/// The disk that an engine keeps images and volumes on.
pub(crate) struct Disk {
    /// One look at a time, until it comes back: a disk that hangs has one look
    /// waiting for it, however often it is asked for.
    turn: Arc<Semaphore>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Disk {
    /// How full it is. It can be told of an engine on this machine whose folder is
    /// seen from here, and of one by SSH whose user may run `stat`; an engine itself
    /// doesn't say how much room it has.
    pub(crate) async fn usage(&self, client: &Client) -> Result<Option<DiskUsage>, ProviderError> {
        if matches!(client.endpoint(), Endpoint::Tcp { .. }) {
            return Ok(None);
        }
        let info = client.look(|docker| async move { docker.info().await }).await;
        let Some(folder) = info.map_err(Failure::into_provider_error)?.docker_root_dir else {
            return Ok(None);
        };
        if let Some(link) = client.transport().ssh() {
            return Ok(timeout(DISK_LIMIT, there(link, &folder)).await.ok().flatten());
        }
        let found = self.look(DISK_LIMIT, move || rustix::fs::statvfs(folder)).await;
        Ok(found
            .and_then(Result::ok)
            .map(|disk| usage(disk.f_frsize, disk.f_blocks, disk.f_bfree, disk.f_bavail)))
    }

    /// What a look finds that may hang; none when it isn't back in time.
    async fn look<T: Send + 'static>(
        &self,
        limit: Duration,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let look = async {
            let turn = self.turn.clone().acquire_owned().await.ok()?;
            let look = move || {
                let found = look();
                drop(turn);
                found
            };
            tokio::task::spawn_blocking(look).await.ok()
        };
        timeout(limit, look).await.ok()?
    }
}

/// Of a folder on the machine that `link` leads to.
async fn there(link: &Link, folder: &str) -> Option<DiskUsage> {
    let Process { stdout, exit, .. } = link.exec(&command(folder)?).await.ok()?;
    let mut answer = String::new();
    stdout.take(ANSWER_LIMIT).read_to_string(&mut answer).await.ok()?;
    exit.wait().await.ok().filter(hades_ssh::Exit::is_success)?;
    read(&answer)
}

/// The command that tells block size, blocks, free blocks and those of them that are
/// not set aside for root, to GNU's `stat` and to BusyBox's. None for a folder whose name a shell might read otherwise.
fn command(folder: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    (folder.starts_with('/') && folder.chars().all(is_plain))
        .then(|| format!("stat -f -c '%S %b %f %a' {folder}"))
}

fn read(answer: &str) -> Option<DiskUsage> {
    let numbers: Option<Vec<u64>> =
        answer.split_whitespace().map(|word| word.parse().ok()).collect();
    match numbers?.as_slice() {
        [size, blocks, free, available] if *size > 0 && *blocks > 0 => {
            Some(usage(*size, *blocks, *free, *available))
        }
        _ => None,
    }
}

/// Counts as `df` does: what is set aside for root or by a quota is neither used nor
/// free, or a disk would look full that isn't.
fn usage(size: u64, blocks: u64, free: u64, available: u64) -> DiskUsage {
    let usable = blocks.saturating_sub(free).saturating_add(available);
    DiskUsage { total: size.saturating_mul(usable), free: size.saturating_mul(available) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_folders_go_into_a_command() {
        let plain = command("/var/lib/docker-2/x_y.z");
        assert_eq!(plain.as_deref(), Some("stat -f -c '%S %b %f %a' /var/lib/docker-2/x_y.z"));
        for folder in ["", "var/lib", "-c", "/a b", "/a;b", "/$(id)", "/a'", "/a\nb", "/ä", "/~"] {
            assert_eq!(command(folder), None, "{folder}");
        }
    }

    #[test]
    fn answers() {
        let read_as = |total, free| Some(DiskUsage { total, free });
        assert_eq!(read("4096 100 25 25\n"), read_as(409_600, 102_400));
        for answer in
            ["", "4096 100 1", "4096 0 0 0", "0 1 1 1", "a b c d", "1 2 3 4 5", "-1 2 3 4"]
        {
            assert_eq!(read(answer), None, "{answer}");
        }
    }

    #[test]
    fn what_is_set_aside_is_not_used() {
        let disk = usage(1, 252, 189, 11);
        assert_eq!((disk.total, disk.free), (74, 11), "63 are in use");
    }

    #[tokio::test]
    async fn a_disk_that_hangs_has_one_look_waiting_for_it() {
        let (short, disk) = (Duration::from_millis(20), Disk::default());
        let (release, hangs) = std::sync::mpsc::channel::<()>();
        assert_eq!(disk.look(short, move || hangs.recv().is_ok()).await, None);
        let (began, begins) = std::sync::mpsc::channel::<()>();
        assert_eq!(disk.look(short, move || began.send(()).is_ok()).await, None);
        assert!(begins.recv().is_err(), "the second look wasn't made");
        release.send(()).unwrap();
        assert_eq!(disk.look(Duration::from_secs(60), || "back").await, Some("back"));
    }
}
