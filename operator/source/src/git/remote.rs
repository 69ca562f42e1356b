//! Which repository, and what it may cost to fetch it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::FetchError;

/// Which branch of which repository to fetch, and the limits.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// `https://`, `file://`, or `http://` to this machine itself.
    pub url: String,
    /// Name of the branch, without `refs/heads/`.
    pub branch: String,
    /// Longest that a whole fetch may take.
    pub timeout: Duration,
    /// Most that one fetch may transfer (bytes).
    pub max_bytes: u64,
    /// Certificates (PEM) trusted beside those of the system, for https.
    pub extra_ca: Option<Vec<u8>>,
    /// For https. Not sent to another host that the server redirects to.
    pub credentials: Option<Credentials>,
}

impl RemoteOptions {
    /// With the usual limits: a minute, 256 MiB.
    pub fn new(url: impl Into<String>, branch: impl Into<String>) -> Self {
        RemoteOptions {
            url: url.into(),
            branch: branch.into(),
            timeout: Duration::from_secs(60),
            max_bytes: 256 * 1024 * 1024,
            extra_ca: None,
            credentials: None,
        }
    }
}

/// User name and password, or a forge's access token in place of the password.
#[derive(Clone)]
pub struct Credentials {
    /// User name. Forges take anything beside an access token.
    pub username: String,
    /// Password or access token. Never shown.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A URL that can be fetched from.
#[derive(Clone, Debug)]
pub(super) enum RemoteUrl {
    File(PathBuf),
    Http(Url),
}

impl RemoteUrl {
    /// The URL as shown in errors, without user name and password.
    pub(super) fn shown(&self) -> String {
        match self {
            RemoteUrl::File(path) => format!("file://{}", path.display()),
            RemoteUrl::Http(url) => {
                let mut url = url.clone();
                // Both fail only for URLs without a host, which http ones have.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.to_string()
            }
        }
    }
}

/// Checks a repository's URL without any access to it. The error says what is
/// wrong and what to write instead.
pub fn check_url(url: &str) -> Result<(), FetchError> {
    parse_url(url).map(|_| ())
}

/// Whether a URL names a repository on Hades's own machine, which whoever may name
/// repositories of a single project must not reach.
pub fn is_local_url(url: &str) -> bool {
    matches!(parse_url(url), Ok(RemoteUrl::File(_)))
        || matches!(parse_url(url), Ok(RemoteUrl::Http(url)) if is_loopback(&url))
}

pub(super) fn parse_url(text: &str) -> Result<RemoteUrl, FetchError> {
    let text = text.trim();
    let invalid = |reason: &str| Err(FetchError::Invalid(reason.to_owned()));
    if text.is_empty() {
        return invalid("the repository's url is empty");
    }
    if text.starts_with('/') {
        return Err(FetchError::Invalid(format!(
            "{text:?} is a path: for a repository on Hades's own machine write \"file://{text}\""
        )));
    }
    let Ok(url) = Url::parse(text) else {
        if let Some((host, path)) = scp_like(text) {
            return Err(FetchError::Invalid(format!(
                "repositories over SSH are not supported yet: write \"https://{host}/{path}\""
            )));
        }
        // Not shown: it may hold a password.
        return invalid(
            "the repository's url can't be read: write https://HOST/PATH or file:///PATH",
        );
    };
    if url.query().is_some() || url.fragment().is_some() {
        return invalid("a repository's url has no part after ? or #");
    }
    match url.scheme() {
        "file" => parse_file(&url),
        "https" | "http" => parse_http(url),
        "ssh" | "git+ssh" => invalid(
            "repositories over SSH are not supported yet: write the https:// address of the \
             repository",
        ),
        "git" => invalid(
            "git:// is neither encrypted nor signed: write the https:// address of the repository",
        ),
        other => Err(FetchError::Invalid(format!(
            "repositories are fetched over https:// or file://, not {other}://"
        ))),
    }
}

fn parse_file(url: &Url) -> Result<RemoteUrl, FetchError> {
    let local = matches!(url.host_str(), None | Some("" | "localhost"));
    match url.to_file_path() {
        Ok(path) if local => Ok(RemoteUrl::File(path)),
        _ => Err(FetchError::Invalid(
            "a file:// url names an absolute path on Hades's own machine, with three slashes: \
             file:///srv/repository"
                .to_owned(),
        )),
    }
}

fn parse_http(url: Url) -> Result<RemoteUrl, FetchError> {
    if url.password().is_some() {
        return Err(FetchError::Invalid(
            "the repository's url holds a password, which everybody who sees the url can read: \
             leave it out (and change it)"
                .to_owned(),
        ));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(FetchError::Invalid(
            "http:// is not encrypted, so anybody on the way could change the manifests: write \
             https://"
                .to_owned(),
        ));
    }
    Ok(RemoteUrl::Http(url))
}

/// Whether the URL leads to this machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `git@host:path`, as forges offer it for SSH.
fn scp_like(text: &str) -> Option<(&str, &str)> {
    let (host, path) = text.split_once(':')?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let plain = |name: &str| {
        !name.is_empty()
            && name.chars().all(|each| each.is_ascii_alphanumeric() || "-._/~".contains(each))
    };
    (plain(host) && plain(path) && !path.starts_with('/')).then_some((host, path))
}

/// Checks a branch's name by git's own rules.
pub(super) fn check_branch(branch: &str) -> Result<(), FetchError> {
    if branch.starts_with("refs/") {
        return Err(FetchError::Invalid(format!(
            "{branch:?} is not a branch's name: leave out \"refs/heads/\""
        )));
    }
    if !git2::Reference::is_valid_name(&format!("refs/heads/{branch}")) {
        return Err(FetchError::Invalid(format!("{branch:?} can't be a branch's name")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        check_url(url).unwrap_err().to_string()
    }

    #[test]
    fn what_can_be_fetched() {
        for url in [
            "https://github.com/halolab/shop",
            "https://token@github.com/halolab/shop.git",
            "file:///srv/shop",
            "file://localhost/srv/shop",
            "http://127.0.0.1:8080/shop.git",
            "http://[::1]:8080/shop.git",
            "http://localhost/shop.git",
        ] {
            assert!(check_url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_can_not_and_what_to_write_instead() {
        insta::assert_snapshot!(
            [
                "",
                "/srv/shop",
                "shop",
                "git@github.com:halolab/shop.git",
                "ssh://git@github.com/halolab/shop.git",
                "git://github.com/halolab/shop.git",
                "ftp://github.com/halolab/shop.git",
                "http://github.com/halolab/shop.git",
                "http://127.0.0.1.example.com/shop",
                "https://github.com/halolab/shop?ref=main",
                "file://server/share/shop",
            ]
            .map(|url| format!("{url:?}: {}", refused(url)))
            .join("\n"),
            @r#"
            "": the repository's url is empty
            "/srv/shop": "/srv/shop" is a path: for a repository on Hades's own machine write "file:///srv/shop"
            "shop": the repository's url can't be read: write https://HOST/PATH or file:///PATH
            "git@github.com:halolab/shop.git": repositories over SSH are not supported yet: write "https://github.com/halolab/shop.git"
            "ssh://git@github.com/halolab/shop.git": repositories over SSH are not supported yet: write the https:// address of the repository
            "git://github.com/halolab/shop.git": git:// is neither encrypted nor signed: write the https:// address of the repository
            "ftp://github.com/halolab/shop.git": repositories are fetched over https:// or file://, not ftp://
            "http://github.com/halolab/shop.git": http:// is not encrypted, so anybody on the way could change the manifests: write https://
            "http://127.0.0.1.example.com/shop": http:// is not encrypted, so anybody on the way could change the manifests: write https://
            "https://github.com/halolab/shop?ref=main": a repository's url has no part after ? or #
            "file://server/share/shop": a file:// url names an absolute path on Hades's own machine, with three slashes: file:///srv/repository
            "#
        );
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for url in [
            "https://me:hunter2@github.com/halolab/shop",
            "https://me:hunter2@git hub.com/halolab/shop",
        ] {
            assert!(!refused(url).contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn local_urls() {
        for (url, local) in [
            ("https://github.com/halolab/shop", false),
            ("file:///srv/shop", true),
            ("http://127.0.0.1:8080/shop.git", true),
            ("https://localhost/shop.git", true),
            ("nonsense", false),
        ] {
            assert_eq!(is_local_url(url), local, "{url}");
        }
    }

    #[test]
    fn branch_names() {
        assert!(check_branch("main").is_ok());
        assert!(check_branch("release/1.2").is_ok());
        for branch in ["", "refs/heads/main", "a b", "a..b", "a:b", "a*", "a\nb"] {
            assert!(check_branch(branch).is_err(), "{branch:?}");
        }
    }
}
