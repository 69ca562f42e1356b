//! Which repositories credentials are for, where that is less than what they open.

use percent_encoding::percent_decode_str;

use super::url::{RemoteUrl, parse_url};

/// Repositories of a forge. Credentials that have one are shown for these alone: what
/// else a token can read is nobody's who merely may name repositories.
#[derive(Clone, Debug)]
pub struct Scope {
    host: String,
    /// The forge's own folder on its host, which only URLs of HTTP have in them.
    forge: Vec<String>,
    /// Folders of the forge; none for all of it.
    folders: Option<Vec<Vec<String>>>,
}

impl Scope {
    /// What is at or below `folders` of the forge at `forge`, such as `acme` or
    /// `acme/shop`; all of the forge where these are none. Nothing where `forge` is no
    /// URL of a host.
    pub fn new(forge: &str, folders: Option<&[String]>) -> Option<Self> {
        let url = parse_url(forge).ok()?;
        let (_, path) = url.split();
        let split = |folder: &String| parts(folder).filter(|parts| !parts.is_empty());
        let folders = folders.map(|folders| folders.iter().filter_map(split).collect());
        Some(Self { host: url.host()?, forge: parts(&path)?, folders })
    }

    /// Whether a URL leads to one of these repositories.
    pub fn covers(&self, url: &str) -> bool {
        parse_url(url).is_ok_and(|url| self.opens(&url))
    }

    pub(super) fn opens(&self, url: &RemoteUrl) -> bool {
        let (_, path) = url.split();
        let Some(parts) = parts(&path).filter(|_| url.host().as_ref() == Some(&self.host)) else {
            return false;
        };
        let below = match url {
            RemoteUrl::Http(_) => parts.strip_prefix(self.forge.as_slice()),
            RemoteUrl::Ssh(_) | RemoteUrl::File(_) => Some(parts.as_slice()),
        };
        below.is_some_and(|path| match &self.folders {
            Some(folders) => folders.iter().any(|folder| path.starts_with(folder)),
            None => true,
        })
    }
}

/// The parts of a path, the last without `.git`. None for one that servers may
/// understand in two ways: with `..`, or with a slash that is written as `%2F`.
fn parts(path: &str) -> Option<Vec<String>> {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let parts = path.split('/').filter(|part| !part.is_empty()).map(|part| {
        let part = percent_decode_str(part).decode_utf8().ok()?.into_owned();
        let plain = !matches!(part.as_str(), "." | "..") && !part.contains(['/', '\\', '%', '\0']);
        plain.then_some(part)
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_parts_of_the_path_by_every_door() {
        let folders = ["acme".to_owned(), "other/shop".to_owned()];
        let scope = Scope::new("https://git.example.com", Some(&folders)).unwrap();
        for url in [
            "https://git.example.com/acme/web.git",
            "https://git.example.com:8443/acme/a/b",
            "https://git.example.com//acme/web/",
            "git@git.example.com:acme/web.git",
            "ssh://git@git.example.com:2222/acme/web",
            "https://git.example.com/other/shop.git",
            "https://Git.example.com/other/shop/x",
        ] {
            assert!(scope.covers(url), "{url}");
        }
        for url in [
            "https://git.example.com/acme-evil/web",
            "https://git.example.com/other/web",
            "https://git.example.com/other",
            "https://git.example.com/x/acme/web",
            "https://git.example.com/acme/../other/web",
            "https://git.example.com/acme/%2e%2e/other/web",
            "https://git.example.com/acme%2Fweb",
            "https://git.example.com/acme/..%2Fother/web",
            "https://git.example.com/acme/..%252Fother/web",
            "git@git.example.com:acme/../other/web.git",
            "git@git.example.com:~acme/web.git",
            "https://git.example.org/acme/web",
            "file:///acme/web",
            "nonsense",
        ] {
            assert!(!scope.covers(url), "{url}");
        }
        assert!(
            !Scope::new("https://git.example.com", Some(&[]))
                .unwrap()
                .covers("https://git.example.com/acme/web")
        );
        assert!(Scope::new("nonsense", None).is_none());
    }

    #[test]
    fn a_forge_in_a_folder_of_its_host() {
        let all = Scope::new("https://example.com/git/", None).unwrap();
        assert!(all.covers("https://example.com/git/acme/web"));
        assert!(all.covers("git@example.com:acme/web.git"));
        assert!(!all.covers("https://example.com/gitops/web"));
        assert!(!all.covers("https://example.com/other"));
        let some = Scope::new("https://example.com/git", Some(&["acme".to_owned()])).unwrap();
        assert!(some.covers("https://example.com/git/acme/web"));
        assert!(some.covers("git@example.com:acme/web.git"));
        assert!(!some.covers("https://example.com/git/other/web"));
        assert!(!some.covers("https://example.com/acme/web"));
    }
}
