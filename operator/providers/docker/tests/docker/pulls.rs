//! Images from a registry.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hades_api::reason;
use hades_plan::{Operation, TargetKind};
use hades_provider::conformance::{Scene, Testbed};
use hades_provider::{ErrorClass, Outcome, Provider, PullCredentials, PullOptions, PullProgress};
use secrecy::SecretString;

use crate::bed::{DockerBed, IMAGE, unique};
use crate::registry::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn images_are_pulled_with_the_tag_that_is_meant() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let registry = Registry::start(&unique("image")).await;
    let name = format!("{}/app", registry.address);
    for reference in [format!("{name}:1"), name.clone()] {
        let pull = scene.action(TargetKind::Image, &reference, Operation::PullImage);
        scene.done(&pull).await;
        let images = bed.host.observe().await.unwrap().images.clone();
        assert!(images.contains_key(&reference), "{reference}");
        scene.done(&pull).await;
    }
    let images = bed.host.observe().await.unwrap().images.clone();
    let digest = images.keys().find(|key| key.starts_with(&format!("{name}@sha256:")));
    let by_digest = digest.expect("the registry's digest is known").clone();
    bed.docker(&["rmi", &format!("{name}:1"), &format!("{name}:latest")]);
    let pull = scene.action(TargetKind::Image, &by_digest, Operation::PullImage);
    scene.done(&pull).await;
    assert!(bed.host.observe().await.unwrap().images.contains_key(&by_digest));
    bed.docker(&["rmi", &by_digest]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_registry_are_final_and_its_absence_is_not() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let registry = Registry::start(&unique("image")).await;
    let id = format!("sha256:{}", "0".repeat(64));
    let (gone, private) = (reason::IMAGE_UNAVAILABLE, reason::REGISTRY_UNAUTHORIZED);
    let busy = reason::REGISTRY_RATE_LIMITED;
    let attempts = [
        (format!("{}/app:2", registry.address), ErrorClass::Terminal, gone, "manifest unknown"),
        (format!("{}/private:1", registry.address), ErrorClass::Terminal, private, "auth"),
        (format!("{}/busy:1", registry.address), ErrorClass::Retry, busy, "again"),
        (bed.missing_image(), ErrorClass::Retry, gone, "connection refused"),
        (id, ErrorClass::Terminal, gone, "names no registry"),
    ];
    for (reference, class, reason, words) in attempts {
        let pull = scene.action(TargetKind::Image, &reference, Operation::PullImage);
        let error = scene.refused(&pull).await;
        assert_eq!((error.class, error.reason), (class, reason), "{error}");
        for part in [&*reference, &pull.target.host, words] {
            assert!(error.message.contains(part), "{error}");
        }
    }
}

/// Debian's docker-registry, which wants a password.
struct PrivateRegistry {
    address: String,
    process: std::process::Child,
    _dir: tempfile::TempDir,
}

impl PrivateRegistry {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let output = Command::new("htpasswd").args(["-Bbn", "robot", "correct-horse"]).output();
        let users = dir.path().join("users");
        std::fs::write(&users, output.expect("apt-get install apache2-utils").stdout).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{address}'}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            dir.path().join("data").display(),
            users.display()
        );
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("apt-get install docker-registry");
        let registry = Self { address, process, _dir: dir };
        for _ in 0..200 {
            if std::net::TcpStream::connect(&registry.address).is_ok() {
                return registry;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("docker-registry doesn't listen");
    }

    /// Pushes the sample image, told apart by a label, and leaves none of it behind.
    fn push(&self, bed: &DockerBed, tag: &str, content: &str) -> String {
        let reference = format!("{}/shop/api:{tag}", self.address);
        let container = bed.docker(&["create", IMAGE]);
        bed.docker(&[
            "commit",
            "--change",
            &format!("LABEL content={content}"),
            &container,
            &reference,
        ]);
        bed.docker(&["rm", &container]);
        let home = tempfile::tempdir().unwrap();
        let auth = r#"{"auths": {"REGISTRY": {"auth": "cm9ib3Q6Y29ycmVjdC1ob3JzZQ=="}}}"#;
        let auth = auth.replace("REGISTRY", &self.address);
        std::fs::write(home.path().join("config.json"), auth).unwrap();
        let home = home.path().display().to_string();
        bed.docker(&["--config", &home, "push", "--quiet", &reference]);
        bed.docker(&["rmi", &reference]);
        reference
    }
}

impl Drop for PrivateRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn with_password(password: &str) -> PullOptions {
    let credentials = PullCredentials::Basic {
        username: "robot".to_owned(),
        password: SecretString::from(password),
    };
    PullOptions { credentials: Some(credentials), progress: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_image_comes_with_the_right_credentials_alone() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let registry = PrivateRegistry::start().await;
    let reference = registry.push(&bed, "1", &unique("one"));
    let pull = scene.action(TargetKind::Image, &reference, Operation::PullImage);
    for (options, advice) in
        [(PullOptions::default(), "RegistryAccount"), (with_password("wrong-word"), "check the")]
    {
        let error = bed.host.pull(&pull, &options).await.unwrap_err();
        assert_eq!(error.reason, reason::REGISTRY_UNAUTHORIZED, "{error}");
        assert!(error.message.contains(advice) && !error.message.contains("wrong-word"), "{error}");
    }
    let told: Arc<Mutex<Vec<PullProgress>>> = Arc::default();
    let heard = told.clone();
    let mut options = with_password("correct-horse");
    options.progress = Some(Arc::new(move |progress| heard.lock().unwrap().push(progress)));
    assert_eq!(bed.host.pull(&pull, &options).await, Ok(Outcome::Done));
    let last = *told.lock().unwrap().last().expect("progress is told");
    assert!(last.layers > 0 && last.layers == last.layers_done, "{last:?}");
    bed.docker(&["rmi", &reference]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_brings_back_what_a_tag_meant_before_it_moved() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let registry = PrivateRegistry::start().await;
    let options = with_password("correct-horse");
    let reference = registry.push(&bed, "1", &unique("one"));
    let pull = scene.action(TargetKind::Image, &reference, Operation::PullImage);
    assert_eq!(bed.host.pull(&pull, &options).await, Ok(Outcome::Done));
    let snapshot = bed.host.observe().await.unwrap();
    let first = snapshot.images[&reference].clone();
    let digest = snapshot.digest_of(&reference, &first).expect("it came from a registry");
    bed.docker(&["rmi", &reference]);
    registry.push(&bed, "1", &unique("two"));
    let by_digest = hades_plan::reference::by_digest(&reference, &digest);
    let pull = scene.action(TargetKind::Image, &by_digest, Operation::PullImage);
    assert_eq!(bed.host.pull(&pull, &options).await, Ok(Outcome::Done));
    let snapshot = bed.host.observe().await.unwrap();
    assert_eq!(snapshot.images[&by_digest], first);
    bed.docker(&["rmi", &by_digest]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_removed_unless_somebody_uses_or_names_it() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let image = format!("{}:1", unique("mine"));
    let container = bed.docker(&["create", IMAGE]);
    let label = format!("LABEL content={}", unique("content"));
    let id = bed.docker(&["commit", "--change", &label, &container, &image]);
    bed.docker(&["rm", &container]);
    let operation = Operation::RemoveImage { id: id.clone(), names: vec![image.clone()] };
    let remove = scene.action(TargetKind::Image, &image, operation);

    let user = bed.docker(&["create", "--network", "none", &image]);
    scene.changed(&remove).await;
    bed.docker(&["rm", &user]);
    let other = format!("{}:keep", unique("theirs"));
    bed.docker(&["tag", &image, &other]);
    scene.changed(&remove).await;
    bed.docker(&["rmi", &other]);
    assert!(bed.host.observe().await.unwrap().images.contains_key(&image));
    scene.done(&remove).await;
    assert!(!bed.host.observe().await.unwrap().images.contains_key(&id));
    scene.done(&remove).await;
}

#[tokio::test]
async fn the_disk_of_an_engine_on_this_machine_is_told() {
    let disk =
        DockerBed::shared().host.disk().await.unwrap().expect("its folder is seen from here");
    assert!(disk.total > disk.free && disk.free > 0, "{disk:?}");
}
