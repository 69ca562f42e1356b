//! What a project may ask of its hosts: a pure check of a merged spec against
//! the project's policy. Admission asks it before an object is stored, and
//! [`crate::resolve()`] asks it again before anything is planned, so that it holds
//! whatever the API server in between is.
//!
//! Laws:
//! - what would give a container its host, or a part of it, is denied unless the
//!   policy allows it by name; a project without a policy is allowed nothing of
//!   that kind;
//! - paths are compared in the form in which they are mounted;
//! - every violation names the field and the rule.

mod confinement;
mod image;
mod path;
mod place;
mod port;
mod quota;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hades_api::name::EnvironmentName;
use hades_api::{DockerHostSpec, EnvironmentSpec, POLICY_FIELD, ProjectPolicy};

use crate::placement::Current;

pub use confinement::normal_security_opt;
pub use path::normal as normal_path;
pub use place::allows_host;
pub use quota::{Usage, kept_volumes};
pub use standing::Standing;

/// The rules that an environment is held to.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Those of its project.
    pub policy: &'a ProjectPolicy,
    /// What counts besides it towards the project's quotas.
    pub others: Usage,
    /// What it had before the change that is judged: what doesn't grow is within
    /// its quota, so that an environment can always be made smaller. None where it
    /// is judged as it stands.
    pub before: Option<Usage>,
    /// Volumes that it has and its spec doesn't name any more: see [`kept_volumes`].
    pub kept_volumes: u64,
}

impl<'a> Rules<'a> {
    /// Those of a policy, for an environment that is judged as it stands and alone.
    pub fn of(policy: &'a ProjectPolicy) -> Self {
        Self { policy, others: Usage::default(), before: None, kept_volumes: 0 }
    }
}

/// What is judged, and what there is around it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Which environment.
    pub environment: &'a EnvironmentName,
    /// Its merged spec.
    pub spec: &'a EnvironmentSpec,
    /// Every DockerHost that is known, by name.
    pub hosts: &'a BTreeMap<String, DockerHostSpec>,
    /// Labels of the DockerHosts, by name.
    pub host_labels: &'a BTreeMap<String, BTreeMap<String, String>>,
    /// Where its things are now, as far as that is known.
    pub current: &'a Current,
    /// Services that run nothing. They are let be, so that what isn't allowed any more
    /// can be stopped.
    pub idle: &'a BTreeSet<String>,
}

/// Something that the policy of a project doesn't allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Path of the field, such as `spec.services.web.privileged`.
    pub field: String,
    /// Path of the rule in the HadesProject, such as `spec.policy.privileged`.
    pub rule: String,
    /// What isn't allowed.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.rule)
    }
}

/// All that the rules of its project don't allow of an environment, sorted by
/// field.
pub fn check(subject: &Subject<'_>, rules: &Rules<'_>) -> Vec<Violation> {
    let mut violations = Violations { project: &subject.environment.project, found: Vec::new() };
    // Taken apart whole, so that a new rule can't be forgotten.
    let ProjectPolicy {
        privileged: _, // with the eight below: see confinement
        host_mounts: _,
        docker_socket: _,
        host_network: _,
        host_pid: _,
        host_ipc: _,
        capabilities: _,
        devices: _,
        security_opt: _,
        hosts: _,      // see place
        accounts: _,   // asked where credentials are looked up
        registries: _, // see image
        host_ports: _, // see port
        quotas,
        reveal: _, // asked by the server when somebody wants to see a value
    } = rules.policy;
    let sockets = path::sockets(subject.hosts);
    for (name, service) in &subject.spec.services {
        if subject.idle.contains(name) {
            continue;
        }
        confinement::check(&sockets, name, service, rules.policy, &mut violations);
        image::check(name, service, rules.policy, &mut violations);
        port::check(name, service, rules.policy, &mut violations);
        place::check(subject, name, service, rules.policy, &mut violations);
    }
    if let Some(quotas) = quotas {
        quota::check(subject, quotas, rules, &mut violations);
    }
    let mut found = violations.found;
    found.sort();
    found.dedup();
    found
}

/// Violations in the making.
struct Violations<'a> {
    project: &'a str,
    found: Vec<Violation>,
}

impl Violations<'_> {
    /// The policy doesn't allow `what`.
    fn denied(&mut self, field: impl Into<String>, rule: &str, what: impl fmt::Display) {
        let project = self.project;
        self.say(field, rule, format!("policy of project {project} doesn't allow {what}"));
    }

    fn say(&mut self, field: impl Into<String>, rule: &str, message: String) {
        let rule = format!("{POLICY_FIELD}.{rule}");
        self.found.push(Violation { field: field.into(), rule, message });
    }
}
