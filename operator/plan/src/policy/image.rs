//! Where images come from.

use hades_api::{ProjectPolicy, ServiceSpec};

use super::Violations;
use crate::reference;

/// Whether the image of a service is from where the policy says.
pub(super) fn check(
    name: &str,
    service: &ServiceSpec,
    policy: &ProjectPolicy,
    violations: &mut Violations<'_>,
) {
    let (Some(registries), Some(image)) = (&policy.registries, &service.image) else { return };
    let from_there = !reference::is_id(image) && {
        let repository = reference::full_repository(image);
        registries.iter().any(|allowed| covers(allowed, &repository))
    };
    if !from_there {
        let from = match registries.as_slice() {
            [] => "any image".to_owned(),
            registries => format!("image {image}, but those from {}", registries.join(", ")),
        };
        violations.denied(format!("spec.services.{name}.image"), "registries", from);
    }
}

/// Whether a repository is at or below a prefix, whole parts of the path compared.
fn covers(prefix: &str, repository: &str) -> bool {
    let prefix = reference::full_prefix(prefix);
    repository.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_where_a_part_of_the_path_ends() {
        for (prefix, image, expected) in [
            ("ghcr.io/acme", "ghcr.io/acme/web:1", true),
            ("ghcr.io/acme", "GHCR.io/acme/web:1", true),
            ("ghcr.io/acme", "ghcr.io/acme", true),
            ("ghcr.io/acme", "ghcr.io/acme-evil/web", false),
            ("ghcr.io/acme", "docker.io/ghcr.io/acme/web", false),
            ("ghcr.io", "ghcr.io.evil.example/web", false),
            ("ghcr.io", "ghcr.io:444/web", false),
            ("docker.io", "nginx:1", true),
            ("docker.io/library", "nginx", true),
            ("docker.io/library", "acme/nginx", false),
            ("index.docker.io/acme", "acme/nginx", true),
            ("acme", "acme/nginx", true),
            ("registry.example.com:5000", "registry.example.com:5000/a@sha256:x", true),
            ("localhost", "localhost/a", true),
        ] {
            let repository = reference::full_repository(image);
            assert_eq!(covers(prefix, &repository), expected, "{prefix} {image}");
        }
    }
}
