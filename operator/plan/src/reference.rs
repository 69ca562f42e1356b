//! Image references, as far as the planner needs to take them apart.

use std::collections::BTreeMap;

/// Where images come from that name no registry.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Where those of them are that name no folder either.
const DEFAULT_PATH: &str = "library";

/// A reference the way engines list it: the default registry and its `library/`
/// left out, a tag always there, no tag beside a digest.
pub fn familiar(reference: &str) -> String {
    let mut name = reference;
    for registry in ["docker.io/", "index.docker.io/"] {
        name = name.strip_prefix(registry).unwrap_or(name);
    }
    name = name.strip_prefix("library/").unwrap_or(name);
    match name.split_once('@') {
        Some((path, digest)) => format!("{}@{digest}", without_tag(path)),
        None if tag(name).is_none() => format!("{name}:latest"),
        None => name.to_owned(),
    }
}

/// The reference without tag and digest.
pub fn repository(reference: &str) -> &str {
    without_tag(reference.split('@').next().unwrap_or(reference))
}

/// The repository with the registry that it is in, which is Docker's own where none
/// is written: `docker.io/library/nginx`.
pub fn full_repository(reference: &str) -> String {
    let (registry, path) = split_registry(repository(reference));
    match registry == DEFAULT_REGISTRY && !path.contains('/') {
        true => format!("{registry}/{DEFAULT_PATH}/{path}"),
        false => format!("{registry}/{path}"),
    }
}

/// The beginning of a full repository: a registry, or one with the beginning of a
/// path.
pub fn full_prefix(prefix: &str) -> String {
    if !prefix.contains('/') && is_registry(prefix) {
        return split_registry(&format!("{prefix}/")).0;
    }
    let (registry, path) = split_registry(prefix);
    format!("{registry}/{path}")
}

/// Engines take what comes before the first slash for a registry when it looks
/// like one.
fn split_registry(name: &str) -> (String, &str) {
    match name.split_once('/') {
        Some((first, path)) if is_registry(first) => {
            let registry = first.to_ascii_lowercase();
            let is_docker = registry == "index.docker.io";
            (if is_docker { DEFAULT_REGISTRY.to_owned() } else { registry }, path)
        }
        _ => (DEFAULT_REGISTRY.to_owned(), name),
    }
}

fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.contains(char::is_uppercase)
}

/// The tag, when written. A colon before the last slash is a port.
pub fn tag(reference: &str) -> Option<&str> {
    let name = reference.split('@').next().unwrap_or(reference);
    let (_, tag) = name.rsplit_once(':')?;
    (!tag.contains('/')).then_some(tag)
}

/// The digest, when written.
pub fn digest(reference: &str) -> Option<&str> {
    reference.split_once('@').map(|(_, digest)| digest)
}

/// Whether it is the id of an image and no name of one.
pub fn is_id(reference: &str) -> bool {
    reference.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && !hex.contains('/'))
}

/// The same repository by digest.
pub fn by_digest(reference: &str, digest: &str) -> String {
    format!("{}@{digest}", repository(reference))
}

/// The digest by which the registry that `image` names has the image of that id;
/// `images` are ids by reference, as engines list them.
pub(crate) fn digest_of(
    images: &BTreeMap<String, String>,
    image: &str,
    id: &str,
) -> Option<String> {
    let prefix = familiar(&by_digest(image, ""));
    images
        .range(prefix.clone()..)
        .take_while(|(name, _)| name.starts_with(&prefix))
        .find(|(_, found)| *found == id)
        .and_then(|(name, _)| name.strip_prefix(&prefix).map(str::to_owned))
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_as_engines_list_them() {
        for (reference, expected) in [
            ("nginx", "nginx:latest"),
            ("docker.io/library/nginx:1", "nginx:1"),
            ("docker.io/a/b", "a/b:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("a:1@sha256:x", "a@sha256:x"),
            ("localhost:5000/a@sha256:x", "localhost:5000/a@sha256:x"),
        ] {
            assert_eq!(familiar(reference), expected);
        }
    }

    #[test]
    fn parts() {
        assert_eq!(repository("localhost:5000/a:1@sha256:x"), "localhost:5000/a");
        assert_eq!(tag("localhost:5000/a"), None);
        assert_eq!(tag("localhost:5000/a:1@sha256:x"), Some("1"));
        assert_eq!(digest("a@sha256:x"), Some("sha256:x"));
        assert_eq!(by_digest("a/b:1", "sha256:x"), "a/b@sha256:x");
        assert!(is_id(&format!("sha256:{}", "0".repeat(64))) && !is_id("sha256:x"));
    }
}
