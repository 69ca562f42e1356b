//! Image references: the many ways to write one name.

/// Registry that a reference without one means.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Folder there that a name without one means.
const DEFAULT_FOLDER: &str = "library";

/// A reference taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference<'a> {
    /// Registry as written; none when the default one is meant.
    pub registry: Option<&'a str>,
    /// Path within the registry, as written.
    pub path: &'a str,
    /// Tag, when written.
    pub tag: Option<&'a str>,
    /// Digest with its algorithm, when written.
    pub digest: Option<&'a str>,
}

impl<'a> ImageReference<'a> {
    /// Takes a reference apart; what isn't one comes out as a path.
    pub fn parse(text: &'a str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (Some(first), rest),
            _ => (None, name),
        };
        Self { registry, path, tag, digest }
    }

    /// The registry that is asked for it.
    pub fn registry_or_default(&self) -> &'a str {
        self.registry.unwrap_or(DEFAULT_REGISTRY)
    }
}

fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains('.') || first.contains(':')
}

/// Whether the text is an image id rather than a name.
pub fn is_image_id(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// All ways to write the reference that an engine reports in its short form
/// (`nginx:latest`), so that a manifest finds the image whichever it uses.
pub fn spellings(reference: &str) -> Vec<String> {
    let parsed = ImageReference::parse(reference);
    let mut names = vec![match parsed.registry {
        Some(registry) => format!("{registry}/{}", parsed.path),
        None => parsed.path.to_owned(),
    }];
    if parsed.registry_or_default() == DEFAULT_REGISTRY {
        let short = parsed.path.strip_prefix("library/").unwrap_or(parsed.path);
        names = vec![short.to_owned(), format!("{DEFAULT_REGISTRY}/{short}")];
        if !short.contains('/') {
            names.push(format!("{DEFAULT_FOLDER}/{short}"));
            names.push(format!("{DEFAULT_REGISTRY}/{DEFAULT_FOLDER}/{short}"));
        }
    }
    let mut spellings = Vec::with_capacity(names.len() * 2);
    for name in names {
        match (parsed.tag, parsed.digest) {
            (_, Some(digest)) => spellings.push(format!("{name}@{digest}")),
            (Some("latest") | None, None) => {
                spellings.push(format!("{name}:latest"));
                spellings.push(name);
            }
            (Some(tag), None) => spellings.push(format!("{name}:{tag}")),
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let parsed = ImageReference::parse("localhost:5000/team/app:1.2@sha256:ab");
        assert_eq!(parsed.registry, Some("localhost:5000"));
        assert_eq!(parsed.path, "team/app");
        assert_eq!(parsed.tag, Some("1.2"));
        assert_eq!(parsed.digest, Some("sha256:ab"));
        let parsed = ImageReference::parse("team/app");
        assert_eq!((parsed.registry, parsed.path, parsed.tag), (None, "team/app", None));
        let parsed = ImageReference::parse("127.0.0.1:5000/app");
        assert_eq!((parsed.registry, parsed.tag), (Some("127.0.0.1:5000"), None));
    }

    #[test]
    fn one_image_by_many_names() {
        assert_eq!(
            spellings("nginx:latest"),
            [
                "nginx:latest",
                "nginx",
                "docker.io/nginx:latest",
                "docker.io/nginx",
                "library/nginx:latest",
                "library/nginx",
                "docker.io/library/nginx:latest",
                "docker.io/library/nginx",
            ]
        );
        assert_eq!(spellings("team/app:1"), ["team/app:1", "docker.io/team/app:1"]);
        assert_eq!(spellings("ghcr.io/a/b:1"), ["ghcr.io/a/b:1"]);
        assert_eq!(spellings("ghcr.io/a/b@sha256:00"), ["ghcr.io/a/b@sha256:00"]);
        assert_eq!(spellings("docker.io/library/nginx:1"), spellings("nginx:1"));
    }

    #[test]
    fn ids() {
        assert!(is_image_id(&format!("sha256:{}", "0a".repeat(32))));
        assert!(!is_image_id("sha256:0a") && !is_image_id("nginx"));
    }
}
