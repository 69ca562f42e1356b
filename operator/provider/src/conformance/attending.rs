//! Commands in containers, and what containers use: only in and of those that run.

use hades_api::RestartPolicy;
use hades_plan::ContainerState;

use crate::{ErrorClass, ExecOptions};

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

/// Looking at what a container uses changes nothing.
pub async fn usage_is_read_at_once(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    let before = scene.own().await;
    scene.provider().stats(&id).await.expect("what runs is counted");
    assert_eq!(scene.own().await, before);
}
