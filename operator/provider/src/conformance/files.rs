//! Files of containers: in before the first start, whole, and with their owner.

use std::collections::BTreeMap;

use hades_plan::{ContainerFile, ContainerState, FileContent, Operation};
use secrecy::SecretString;

use crate::ErrorClass;

use super::{Scene, SeenFile, Testbed};

const PLAIN: &str = "/etc/conformance/app.conf";
const SECRET: &str = "/conformance.key";

fn files() -> BTreeMap<String, ContainerFile> {
    let text = "listen = 8080\n".to_owned();
    let plain =
        FileContent::Plain { sha256: "s".to_owned(), size: text.len() as u64, text: Some(text) };
    let value = Some(SecretString::from("opensesame"));
    let secret = FileContent::Secret { fingerprint: "f".to_owned(), value };
    BTreeMap::from([
        (PLAIN.to_owned(), ContainerFile { content: plain, mode: 0o640, uid: 1000, gid: 1001 }),
        (SECRET.to_owned(), ContainerFile { content: secret, mode: 0o400, uid: 0, gid: 0 }),
    ])
}

/// A container that runs has its files, with their permissions and owners; doing
/// it again doesn't touch one that runs.
pub async fn files_are_in_before_a_container_starts(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    let mut spec = bed.running_spec();
    spec.files = files();
    let create = scene.create_container("web", spec);
    for _ in 0..2 {
        scene.done(&create).await;
        let seen = scene.seen("web").await;
        assert_eq!(seen.state, ContainerState::Running);
        let plain = bed.file_of(&seen.id, PLAIN).await;
        let (text, mode) = ("listen = 8080\n".to_owned(), 0o640);
        assert_eq!(plain, Some(SeenFile { text, mode, uid: 1000, gid: 1001 }));
        let secret = bed.file_of(&seen.id, SECRET).await;
        let (text, mode) = ("opensesame".to_owned(), 0o400);
        assert_eq!(secret, Some(SeenFile { text, mode, uid: 0, gid: 0 }));
    }
    let id = scene.seen("web").await.id;
    bed.stop_by_hand(&id).await;
    let start = Operation::StartContainer { id: id.clone(), files: BTreeMap::new() };
    scene.done(&scene.container_action("web", start)).await;
    assert!(bed.file_of(&id, SECRET).await.is_some(), "they stay over a restart");
}

/// A plan that was read back doesn't know what files hold; nothing is started
/// without.
pub async fn what_files_hold_must_be_known(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    for content in [
        FileContent::Secret { fingerprint: "f".to_owned(), value: None },
        FileContent::Plain { sha256: "s".to_owned(), size: 1, text: None },
    ] {
        let mut spec = bed.running_spec();
        let file = ContainerFile { content, mode: 0o444, uid: 0, gid: 0 };
        spec.files = BTreeMap::from([(PLAIN.to_owned(), file)]);
        let error = scene.refused(&scene.create_container("web", spec)).await;
        assert_eq!(error.class, ErrorClass::Terminal);
        assert!(error.message.contains(PLAIN), "{error}");
        let state = scene.find("web").await.map(|seen| seen.state);
        assert_ne!(state, Some(ContainerState::Running));
    }
}
