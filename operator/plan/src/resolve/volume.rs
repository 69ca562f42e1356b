//! Volumes and where they are mounted.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::name::{MAX_LENGTH, check_label};
use hades_api::{MountSource, ServiceSpec, VolumeMount};

use super::findings::Findings;
use super::service::Placed;
use super::{Inputs, suggest};
use crate::desired::{DesiredVolume, Mount};
use crate::{naming, policy};

/// The mounts of a service, in the order of the manifest. Paths of the host come out
/// in the form in which the policy was asked about them.
pub(super) fn mounts(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for (index, mount) in service.volumes.iter().flatten().enumerate() {
        let field = format!("spec.services.{name}.volumes[{index}]");
        if let Some(key) = mount.volume().filter(|key| !inputs.spec.volumes.contains_key(*key)) {
            let hint = suggest::hint(key, "volumes", inputs.spec.volumes.keys());
            let message = format!("spec.volumes has no {key:?}: declare it there; {hint}");
            findings.invalid(&field, message);
        }
        if mount.path.split('/').any(|part| matches!(part, "." | "..")) {
            findings
                .invalid(&field, format!("{} is no plain path: leave out . and ..", mount.path));
            continue;
        }
        let path = match policy::normal_path(&mount.path) {
            path if path == "/" => {
                findings.invalid(&field, "nothing can be mounted over the root folder");
                continue;
            }
            path => path,
        };
        if mounts.iter().any(|earlier| earlier.path == path) {
            findings.invalid(&field, format!("something is mounted at {path} already"));
            continue;
        }
        if !mount.read_only && service.replicas.unwrap_or(1) > 1 {
            let what = match &mount.source {
                MountSource::Volume(key) => format!("volume {key}"),
                MountSource::HostPath(path) => path.clone(),
            };
            findings.lint(
                &field,
                format!(
                    "all replicas write to {what} at the same time: mount it with :ro, or set replicas to 1, unless the program is made for that"
                ),
            );
        }
        let (source, bind) = match &mount.source {
            MountSource::Volume(key) => (naming::volume(&inputs.environment, key), false),
            MountSource::HostPath(path) => (policy::normal_path(path), true),
        };
        mounts.push(Mount { source, path, read_only: mount.read_only, bind });
    }
    mounts
}

/// Every volume on the host of the services that mount it.
pub(super) fn resolve(
    inputs: &Inputs<'_>,
    placed: &[Placed<'_>],
    findings: &mut Findings,
) -> Vec<DesiredVolume> {
    let mut hosts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut mounted = BTreeSet::new();
    for placed in placed {
        for key in placed.service.volumes.iter().flatten().filter_map(VolumeMount::volume) {
            mounted.insert(key);
            hosts.entry(key).or_default().extend(placed.place.distinct());
        }
    }
    let mut volumes = Vec::new();
    for (key, spec) in &inputs.spec.volumes {
        let field = format!("spec.volumes.{key}");
        if check_label(key).is_err() || key.len() > MAX_LENGTH {
            findings.invalid(
                &field,
                format!("the name of a volume is lower-case letters, digits and '-', at most {MAX_LENGTH}"),
            );
        }
        if !mounted.contains(key.as_str()) {
            findings.lint(&field, "no service mounts this volume, so that it isn't made");
        }
        let on = hosts.remove(key.as_str()).unwrap_or_default();
        if on.len() > 1 {
            let on: Vec<&str> = on.iter().copied().collect();
            findings.invalid(
                &field,
                format!(
                    "services on {} mount it, and a volume is on one host: put them on the same host, or declare a volume for each",
                    on.join(" and ")
                ),
            );
        }
        volumes.extend(on.into_iter().map(|host| DesiredVolume {
            host: host.to_owned(),
            key: key.clone(),
            name: naming::volume(&inputs.environment, key),
            deletion_policy: spec.deletion_policy.unwrap_or_default(),
        }));
    }
    volumes.sort_by(|a, b| (&a.host, &a.key).cmp(&(&b.host, &b.key)));
    volumes
}
