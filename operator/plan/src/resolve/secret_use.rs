//! Which services use which Secrets, and by what: for people who want to know what a
//! changed or deleted Secret would touch.

use std::collections::BTreeMap;
use std::fmt;

use hades_api::{EnvValue, EnvironmentSpec, SecretKeyRef, ServiceSpec};

/// A service that uses a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretUse {
    /// Name of the Secret.
    pub secret: String,
    /// Name of the service.
    pub service: String,
    /// By what.
    pub by: UsedBy,
}

/// By what a service uses a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsedBy {
    /// A variable has the value of one key.
    Variable {
        /// Name of the variable.
        name: String,
        /// Key of the Secret.
        key: String,
    },
    /// All keys are variables (`envFrom`).
    AllVariables,
    /// A file holds the value of one key.
    File {
        /// Path in the container.
        path: String,
        /// Key of the Secret.
        key: String,
    },
    /// Images are pulled with it: its change replaces no container.
    Pull,
}

impl UsedBy {
    /// Whether containers are replaced when the Secret changes.
    pub fn is_in_container(&self) -> bool {
        !matches!(self, Self::Pull)
    }
}

/// `DB_PASSWORD`, `envFrom`, `/etc/key.pem`, `imagePullSecrets`.
impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, .. } => f.write_str(name),
            Self::AllVariables => f.write_str("envFrom"),
            Self::File { path, .. } => f.write_str(path),
            Self::Pull => f.write_str("imagePullSecrets"),
        }
    }
}

/// Every use of a Secret in a merged spec that has the variables of its project,
/// sorted. A variable that an `envFrom` may hide counts: only the Secret knows.
pub fn secret_uses(spec: &EnvironmentSpec) -> Vec<SecretUse> {
    let mut uses = Vec::new();
    for (name, service) in &spec.services {
        let used = |secret: &str, by: UsedBy| SecretUse {
            secret: secret.to_owned(),
            service: name.clone(),
            by,
        };
        for (variable, reference) in variables(spec, service) {
            let SecretKeyRef { name, key } = reference;
            let by = UsedBy::Variable { name: variable.clone(), key: key.clone() };
            uses.push(used(name, by));
        }
        for source in service.env_from.iter().flatten() {
            uses.push(used(&source.secret_ref.name, UsedBy::AllVariables));
        }
        for (path, file) in &service.files {
            if let Some(SecretKeyRef { name, key }) = &file.secret_key_ref {
                uses.push(used(name, UsedBy::File { path: path.clone(), key: key.clone() }));
            }
        }
        let defaults = spec.defaults.iter().flat_map(|defaults| &defaults.image_pull_secrets);
        for secret in defaults.chain(&service.image_pull_secrets).flatten() {
            uses.push(used(&secret.name, UsedBy::Pull));
        }
    }
    uses.sort();
    uses.dedup();
    uses
}

/// The variables of a service that are keys of Secrets: its own, and those for all
/// services that it doesn't set itself.
fn variables<'a>(
    spec: &'a EnvironmentSpec,
    service: &'a ServiceSpec,
) -> BTreeMap<&'a String, &'a SecretKeyRef> {
    let shared = spec.env.iter().filter(|(name, _)| !service.env.contains_key(*name));
    let of_secrets = |(name, value): (&'a String, &'a EnvValue)| match value {
        EnvValue::Scalar(_) => None,
        EnvValue::From(source) => Some((name, &source.secret_key_ref)),
    };
    shared.chain(&service.env).filter_map(of_secrets).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_use_a_secret() {
        let key = |name: &str, key: &str| json!({"secretKeyRef": {"name": name, "key": key}});
        let spec: EnvironmentSpec = serde_json::from_value(json!({
            "defaults": {"imagePullSecrets": [{"name": "pull"}]},
            "env": {"SHARED": key("shared", "a"), "HIDDEN": key("shared", "b"), "PLAIN": "x"},
            "services": {
                "api": {
                    "image": "api:1", "envFrom": [{"secretRef": {"name": "whole"}}],
                    "env": {"PASS": key("db", "password"), "HIDDEN": "own"},
                },
                "web": {
                    "image": "web:1", "files": {"/etc/key.pem": key("tls", "tls.key")},
                    "imagePullSecrets": [{"name": "own"}],
                },
            },
        }))
        .unwrap();
        let uses: Vec<String> = secret_uses(&spec)
            .iter()
            .map(|found| format!("{} {} {}", found.secret, found.service, found.by))
            .collect();
        assert_eq!(
            uses,
            [
                "db api PASS",
                "own web imagePullSecrets",
                "pull api imagePullSecrets",
                "pull web imagePullSecrets",
                "shared api SHARED",
                "shared web HIDDEN",
                "shared web SHARED",
                "tls web /etc/key.pem",
                "whole api envFrom",
            ]
        );
        let rolled = secret_uses(&spec).iter().filter(|found| found.by.is_in_container()).count();
        assert_eq!(rolled, 6);
    }
}
