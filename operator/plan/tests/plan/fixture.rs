//! Environments from YAML, with everything around them.

use std::collections::BTreeMap;

use hades_api::name::EnvironmentName;
use hades_api::{DockerHostSpec, EnvironmentSpec, PinnedImage, ProjectPolicy};
use hades_plan::policy::{Rules, Usage};
use hades_plan::{Current, Desired, FoundImages, Inputs, SecretData, SpecError, resolve};
use secrecy::SecretString;

pub const INSTALLATION: &str = "installation-1";
pub const UID: &str = "uid-1";
/// Values of the one Secret, `db`; nothing may ever show them.
pub const PASSWORD: &str = "hunter2-is-the-password";

pub struct Fixture {
    pub environment: EnvironmentName,
    pub hosts: BTreeMap<String, DockerHostSpec>,
    pub host_labels: BTreeMap<String, BTreeMap<String, String>>,
    pub current: Current,
    pub secrets: BTreeMap<String, SecretData>,
    pub annotations: BTreeMap<String, String>,
    pub project_env: BTreeMap<String, hades_api::EnvValue>,
    pub pins: Vec<PinnedImage>,
    pub found: FoundImages,
    /// Rules of the project; none that hold when absent.
    pub policy: Option<ProjectPolicy>,
    pub others: Usage,
    pub before: Option<Usage>,
    pub kept_volumes: u64,
}

impl Default for Fixture {
    fn default() -> Self {
        let host = |pool: &str| DockerHostSpec {
            endpoint: "unix:///var/run/docker.sock".into(),
            subnet_pool: Some(pool.into()),
            ..DockerHostSpec::default()
        };
        let values = [("password", PASSWORD), ("user", "app")];
        let values =
            values.into_iter().map(|(key, value)| (key.to_owned(), SecretString::from(value)));
        Self {
            environment: EnvironmentName::new("shop", "production"),
            hosts: BTreeMap::from([
                ("local".into(), host("10.213.0.0/16")),
                ("other".into(), host("10.214.0.0/16")),
            ]),
            host_labels: BTreeMap::new(),
            current: Current::default(),
            secrets: BTreeMap::from([("db".into(), SecretData(values.collect()))]),
            annotations: BTreeMap::new(),
            project_env: BTreeMap::new(),
            pins: Vec::new(),
            found: FoundImages::default(),
            policy: None,
            others: Usage::default(),
            before: None,
            kept_volumes: 0,
        }
    }
}

impl Fixture {
    pub fn resolve_spec(&self, spec: &EnvironmentSpec) -> Result<Desired, Vec<SpecError>> {
        resolve(&Inputs {
            environment: self.environment.clone(),
            uid: UID,
            installation: INSTALLATION,
            spec,
            project_env: &self.project_env,
            annotations: &self.annotations,
            hosts: &self.hosts,
            host_labels: &self.host_labels,
            current: &self.current,
            secrets: &self.secrets,
            pins: &self.pins,
            found: &self.found,
            rules: self.policy.as_ref().map(|policy| Rules {
                policy,
                others: self.others,
                before: self.before,
                kept_volumes: self.kept_volumes,
            }),
            fingerprint: &fingerprint,
        })
    }

    pub fn resolve(&self, yaml: &str) -> Result<Desired, Vec<SpecError>> {
        self.resolve_spec(&spec(yaml))
    }

    /// Lets things be where they were observed.
    pub fn see(&mut self, observed: &hades_plan::Observed) {
        self.current = Current::new(&self.environment, INSTALLATION, observed, &[]);
    }

    pub fn annotated(key: &str, value: &str) -> Self {
        let annotations = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Self { annotations, ..Self::default() }
    }
}

pub fn spec(yaml: &str) -> EnvironmentSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

/// A desired state that must be free of errors.
pub fn desired(yaml: &str) -> Desired {
    Fixture::default().resolve(yaml).unwrap()
}

/// The environment on its way out.
pub fn deletion(yaml: &str) -> Desired {
    let fixture = Fixture::default();
    Desired::for_deletion(fixture.environment, UID, INSTALLATION, &spec(yaml), &fixture.hosts)
}

/// Stands in for the keyed fingerprint (FNV-1a).
fn fingerprint(value: &str) -> String {
    let hash = value.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// A plan in lines, with the hashes in names counted through in the order in
/// which they come.
pub fn shown(plan: &hades_plan::Plan) -> String {
    let lines = hades_plan::render::lines(plan);
    let waiting = plan.waiting.iter().map(hades_plan::render::waiting_line);
    let text: Vec<String> = lines.into_iter().chain(waiting).collect();
    number_hashes(&text.join("\n"))
}

/// `-3f2a9c1d` becomes `-#1`, the next one `-#2`, the same the same.
pub fn number_hashes(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    let mut numbered = String::new();
    let mut rest = text;
    while let Some(dash) = rest.find('-') {
        let (before, from) = rest.split_at(dash + 1);
        numbered.push_str(before);
        let hex = from.bytes().take_while(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
        rest = from;
        if hex.count() == 8 && !from[8..].starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let hash = from[..8].to_owned();
            let index = seen.iter().position(|known| *known == hash).unwrap_or_else(|| {
                seen.push(hash);
                seen.len() - 1
            });
            numbered.push_str(&format!("#{}", index + 1));
            rest = &from[8..];
        }
    }
    numbered + rest
}
