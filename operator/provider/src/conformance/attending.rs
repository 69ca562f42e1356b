//! Commands in containers, and what containers use: only in and of those that run.

use futures::StreamExt;
use hades_api::RestartPolicy;
use hades_plan::ContainerState;
use tokio::io::AsyncWriteExt;

use crate::{ErrorClass, ExecOptions, ExecSession};

use super::{Scene, Testbed};

/// Id of a container that has never been.
const NOBODY: &str = "00000000000000000000000000000000000000000000000000000000deadbeef";

/// A container that isn't there, or doesn't run, is a conflict and no surprise.
pub async fn commands_need_a_container_that_runs(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    let mut spec = bed.ending_spec(0);
    spec.restart = RestartPolicy::No;
    scene.done(&scene.create_container("ends", spec)).await;
    let ended = scene.until("ends", &[ContainerState::Exited]).await;
    let options = ExecOptions { command: vec!["echo".to_owned()], ..ExecOptions::default() };
    for id in [NOBODY, &ended.id] {
        let error = scene.provider().exec(id, &options).await.expect_err("nothing can run there");
        assert_eq!(error.class, ErrorClass::Conflict, "{error}");
    }
    let error = scene.provider().stats(NOBODY).await.expect_err("it was never there");
    assert_eq!(error.class, ErrorClass::Conflict, "{error}");
}

/// What is written to a command comes back, in any amount; the end of its input
/// reaches it; and then its exit status is told.
pub async fn a_command_is_attended_to_its_end(bed: &dyn Testbed) {
    // Far more than any buffer on the way holds.
    const PIECES: usize = 32;
    let piece = vec![b'x'; 64 * 1024];
    let scene = Scene::new(bed);
    let id = scene.web().await;
    let options =
        ExecOptions { command: bed.copying_command(), stdin: true, ..ExecOptions::default() };
    let session = scene.provider().exec(&id, &options).await.expect("it can be started");
    let ExecSession { mut output, mut input, control } = session;
    let write = async {
        for _ in 0..PIECES {
            input.write_all(&piece).await.expect("it reads");
        }
        input.shutdown().await.expect("its input can end");
    };
    let read = async {
        let mut length = 0;
        while let Some(chunk) = output.next().await {
            let chunk = chunk.expect("it writes");
            assert!(!chunk.stderr && chunk.bytes.iter().all(|byte| *byte == b'x'));
            length += chunk.bytes.len();
        }
        length
    };
    let (length, ()) = futures::join!(read, write);
    assert_eq!(length, piece.len() * PIECES);
    assert_eq!(control.exit_code().await, Ok(0));
}

/// Looking at what a container uses changes nothing.
pub async fn usage_is_read_at_once(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    let before = scene.own().await;
    scene.provider().stats(&id).await.expect("what runs is counted");
    assert_eq!(scene.own().await, before);
}
