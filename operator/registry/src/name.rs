//! Names of images: the many ways to write one, made one.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

/// Registry that a name without one means.
pub(crate) const DOCKER_HUB: &str = "docker.io";
/// Other names of that registry.
const DOCKER_HUB_ALIASES: [&str; 3] =
    ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
/// Host of that registry's API.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// Folder there that a name without one means.
const DOCKER_HUB_FOLDER: &str = "library";

/// Why a text is no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an image: write it like registry.example.com/shop/api:2")]
pub struct NotAnImage(pub String);

/// An image in a registry, written out in full.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    /// Host of the registry, with its port if need be.
    pub registry: String,
    /// Path within the registry.
    pub repository: String,
    /// Tag, when written.
    pub tag: Option<String>,
    /// Digest with its algorithm, when written.
    pub digest: Option<String>,
}

impl ImageName {
    /// From what people write: `nginx`, `ghcr.io/a/b:1`, `a/b@sha256:…`.
    ///
    /// # Errors
    /// When it holds what no name does; an image id is no name.
    pub fn parse(text: &str) -> Result<Self, NotAnImage> {
        let refused = || NotAnImage(text.to_owned());
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
            Some((first, rest)) if is_registry(first) => (canonical_registry(first), rest),
            _ => (DOCKER_HUB.to_owned(), name),
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(c);
        let is_image_id = name == "sha256" && tag.is_some_and(|tag| tag.len() == 64);
        let in_tag = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let in_digest = |c: char| c.is_ascii_alphanumeric() || ":+._-".contains(c);
        if path.is_empty()
            || !path.chars().all(fits)
            || path.split('/').any(|part| part.is_empty() || part == "." || part == "..")
            || tag.is_some_and(|tag| tag.is_empty() || !tag.chars().all(in_tag))
            || digest.is_some_and(|digest| !digest.contains(':') || !digest.chars().all(in_digest))
            || is_image_id
        {
            return Err(refused());
        }
        let repository = match registry == DOCKER_HUB && !path.contains('/') {
            true => format!("{DOCKER_HUB_FOLDER}/{path}"),
            false => path.to_owned(),
        };
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Ok(Self { registry, repository, tag: owned(tag), digest: owned(digest) })
    }

    /// The same image by another tag, or none.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// The tag that is meant: `latest` when none is written.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// Whether its registry is the very machine that the name is read on: then it is
    /// another one on every machine.
    pub fn is_on_this_machine(&self) -> bool {
        is_loopback(&self.registry)
    }

    /// `REGISTRY/REPOSITORY`.
    pub fn full_repository(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// A registry, or a part of one: what credentials are for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// Host of the registry, with its port if need be.
    pub registry: String,
    /// Beginning of the path, without slashes around it; empty for all of it.
    pub path: String,
}

impl Prefix {
    /// From `ghcr.io`, `ghcr.io/studio`, and what Docker's own files have, such as
    /// `https://index.docker.io/v1/`.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_url = bare.is_some();
        let bare = bare.unwrap_or(text);
        let (registry, path) = bare.split_once('/').unwrap_or((bare, ""));
        let path = path.trim_matches('/');
        // In a URL that is the version of the protocol and no part of a name.
        let path = if is_url && (path == "v1" || path == "v2") { "" } else { path };
        Self { registry: canonical_registry(registry), path: path.to_owned() }
    }

    /// Whether an image is in this part of the registry.
    pub fn covers(&self, image: &ImageName) -> bool {
        self.registry == image.registry
            && (self.path.is_empty()
                || image
                    .repository
                    .strip_prefix(&self.path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.registry),
            false => write!(f, "{}/{}", self.registry, self.path),
        }
    }
}

fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains('.') || first.contains(':')
}

fn canonical_registry(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match DOCKER_HUB_ALIASES.contains(&&*host) {
        true => DOCKER_HUB.to_owned(),
        false => host,
    }
}

/// Host that a registry's API is at.
pub(crate) fn api_host(registry: &str) -> &str {
    if registry == DOCKER_HUB { DOCKER_HUB_API } else { registry }
}

/// Whether a host, with or without port, is this machine: the only one that plain
/// HTTP is spoken with.
pub(crate) fn is_loopback(host: &str) -> bool {
    // Brings other spellings of an address, such as 127.1, into the usual one.
    Url::parse(&format!("http://{host}/")).is_ok_and(|url| leads_here(&url))
}

/// As [`is_loopback`], of the host of a URL.
pub(crate) fn leads_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address
            .parse::<IpAddr>()
            .map(|address| address.to_canonical())
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_by_many_names() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx"),
            ("docker.io/nginx:1", "docker.io/library/nginx:1"),
            ("index.docker.io/team/app", "docker.io/team/app"),
            ("GHCR.io/a/b:1", "ghcr.io/a/b:1"),
            ("localhost:5000/a@sha256:ab", "localhost:5000/a@sha256:ab"),
            ("127.0.0.1:5000/a:1@sha256:ab", "127.0.0.1:5000/a:1@sha256:ab"),
        ] {
            assert_eq!(ImageName::parse(text).unwrap().to_string(), full);
        }
        let id = format!("sha256:{}", "0a".repeat(32));
        for bad in ["", "A/b", "a b", "a/../b", "a:", "a@x", "a?x=y", &id] {
            assert!(ImageName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_end_at_slashes() {
        let image = |text| ImageName::parse(text).unwrap();
        let prefix = Prefix::parse("ghcr.io/studio");
        assert!(prefix.covers(&image("ghcr.io/studio/app")));
        assert!(!prefix.covers(&image("ghcr.io/studio-two/app")));
        assert!(!prefix.covers(&image("ghcr.io/other/app")));
        assert!(Prefix::parse("https://index.docker.io/v1/").covers(&image("nginx")));
        assert!(Prefix::parse("localhost:5000").covers(&image("localhost:5000/a")));
        assert!(!Prefix::parse("localhost").covers(&image("localhost:5000/a")));
        assert_eq!(Prefix::parse("ghcr.io/studio/").to_string(), "ghcr.io/studio");
    }

    #[test]
    fn loopback_hosts() {
        for host in [
            "localhost",
            "localhost:5000",
            "LocalHost.:5000",
            "registry.localhost",
            "127.0.0.1:5000",
            "127.8.8.8",
            "127.1:5000",
            "2130706433:5000",
            "0.0.0.0:5000",
            "[::1]:5000",
            "[::ffff:127.0.0.1]:5000",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["example.com:5000", "10.0.0.1", "localhost.example.com", "[::2]:5000", "a b"] {
            assert!(!is_loopback(host), "{host}");
        }
        let image = |text| ImageName::parse(text).unwrap();
        assert!(image("localhost:5000/a").is_on_this_machine());
        assert!(!image("a/b").is_on_this_machine());
    }
}
