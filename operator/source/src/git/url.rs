//! Addresses of repositories.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::FetchError;

/// A URL that can be fetched from.
#[derive(Clone, Debug)]
pub(super) enum RemoteUrl {
    File(PathBuf),
    Http(Url),
    Ssh(SshUrl),
}

/// A repository over SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SshUrl {
    pub(super) user: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// As the server gets it: without a leading `/` it counts from the user's home.
    pub(super) path: String,
}

const SSH_PORT: u16 = 22;
/// Who logs in when the URL doesn't say: that is what forges call it.
const SSH_USER: &str = "git";

impl RemoteUrl {
    /// The URL as shown in errors, without user name and password of HTTP.
    pub(super) fn shown(&self) -> String {
        let (host, path) = self.split();
        format!("{host}{path}")
    }

    /// The part that names the host, with its end, and the path.
    pub(super) fn split(&self) -> (String, String) {
        match self {
            RemoteUrl::File(path) => ("file://".to_owned(), path.display().to_string()),
            RemoteUrl::Http(url) => {
                let mut url = url.clone();
                // Both fail only for URLs without a host, which http ones have.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                let path = url.path().to_owned();
                url.set_path("");
                (url.to_string().trim_end_matches('/').to_owned(), path)
            }
            RemoteUrl::Ssh(SshUrl { user, host, port, path }) => {
                if *port == SSH_PORT && !path.starts_with('/') {
                    return (format!("{user}@{host}:"), path.clone());
                }
                let shown_host =
                    if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let port = if *port == SSH_PORT { String::new() } else { format!(":{port}") };
                // `ssh://host/~/path` counts from the home, too.
                let path = if path.starts_with('/') { path.clone() } else { format!("/~/{path}") };
                (format!("ssh://{user}@{shown_host}{port}"), path)
            }
        }
    }

    /// Whether it is on Hades's own machine.
    pub(super) fn is_local(&self) -> bool {
        match self {
            RemoteUrl::File(_) => true,
            RemoteUrl::Http(url) => is_loopback(url),
            RemoteUrl::Ssh(url) => is_loopback_host(&url.host),
        }
    }

    /// The host's name. None for files.
    pub(super) fn host(&self) -> Option<String> {
        match self {
            RemoteUrl::File(_) => None,
            RemoteUrl::Http(url) => url.host_str().map(str::to_lowercase),
            RemoteUrl::Ssh(url) => Some(url.host.to_lowercase()),
        }
    }

    /// Whether what opens the other one may be shown to the host of this one.
    pub(super) fn shares_credentials_with(&self, other: &RemoteUrl) -> bool {
        match (self, other) {
            (RemoteUrl::Http(one), RemoteUrl::Http(two)) => {
                one.scheme() == two.scheme()
                    && one.host_str() == two.host_str()
                    && one.port_or_known_default() == two.port_or_known_default()
            }
            (RemoteUrl::Ssh(one), RemoteUrl::Ssh(two)) => {
                one.host.eq_ignore_ascii_case(&two.host) && one.port == two.port
            }
            (RemoteUrl::File(_), _) | (_, RemoteUrl::File(_)) => false,
            // The two doors of one forge.
            _ => self.host() == other.host(),
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
    parse_url(url).is_ok_and(|url| url.is_local())
}

/// The host that a URL leads to, in lower case. None for files and for what is no
/// URL of a repository.
pub fn host_of(url: &str) -> Option<String> {
    parse_url(url).ok()?.host()
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
    if !text.contains("://")
        && let Some(url) = scp_like(text)
    {
        return Ok(RemoteUrl::Ssh(url));
    }
    let Ok(url) = Url::parse(text) else {
        // Not shown: it may hold a password.
        return invalid(
            "the repository's url can't be read: write https://HOST/PATH, ssh://git@HOST/PATH or \
             file:///PATH",
        );
    };
    if url.query().is_some() || url.fragment().is_some() {
        return invalid("a repository's url has no part after ? or #");
    }
    match url.scheme() {
        "file" => parse_file(&url),
        "https" | "http" => parse_http(url),
        "ssh" | "git+ssh" => parse_ssh(&url),
        "git" => invalid(
            "git:// is neither encrypted nor signed: write the https:// address of the repository",
        ),
        other => Err(FetchError::Invalid(format!(
            "repositories are fetched over https://, ssh:// or file://, not {other}://"
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

const PASSWORD_IN_URL: &str = "the repository's url holds a password, which everybody who sees \
                               the url can read: leave it out (and change it)";

fn parse_http(url: Url) -> Result<RemoteUrl, FetchError> {
    if url.password().is_some() {
        return Err(FetchError::Invalid(PASSWORD_IN_URL.to_owned()));
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

fn parse_ssh(url: &Url) -> Result<RemoteUrl, FetchError> {
    if url.password().is_some() {
        return Err(FetchError::Invalid(PASSWORD_IN_URL.to_owned()));
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    let user = if url.username().is_empty() { SSH_USER } else { url.username() };
    let path = decoded(url.path()).unwrap_or_default();
    // `ssh://host/~user/path` is the path `~user/path`, and `~/path` is `path`.
    let path = match path.strip_prefix("/~") {
        Some(home) => home.strip_prefix('/').map_or_else(|| format!("~{home}"), str::to_owned),
        None => path,
    };
    let host = url.host_str().unwrap_or_default();
    let made = SshUrl {
        user: decoded(user).unwrap_or_default(),
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: url.port().unwrap_or(SSH_PORT),
        path,
    };
    if made.is_sound() {
        return Ok(RemoteUrl::Ssh(made));
    }
    Err(FetchError::Invalid(
        "an ssh:// url names a host and the path of a repository on it: \
         ssh://git@git.example.com/studio/shop.git"
            .to_owned(),
    ))
}

/// `git@host:path`, as forges offer it for SSH.
fn scp_like(text: &str) -> Option<SshUrl> {
    let (host, path) = text.split_once(':')?;
    let (user, host) = host.rsplit_once('@').unwrap_or((SSH_USER, host));
    let made = SshUrl {
        user: user.to_owned(),
        host: host.to_owned(),
        port: SSH_PORT,
        path: path.to_owned(),
    };
    (made.is_sound() && !path.starts_with(['/', ':'])).then_some(made)
}

impl SshUrl {
    /// Whether it can be one. Nothing in it can pass for an option of a command.
    fn is_sound(&self) -> bool {
        let plain = |text: &str, others: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|each| each.is_ascii_alphanumeric() || others.contains(each))
        };
        plain(&self.user, "-._~+@")
            && plain(&self.host, "-.:")
            && !self.path.trim_matches('/').is_empty()
            && !self.path.starts_with('-')
            && !self.path.contains(char::is_control)
    }
}

/// Whether the URL leads to this machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

fn is_loopback_host(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let brackets = if host.contains(':') { ("[", "]") } else { ("", "") };
    // Brings other spellings of an address, such as 127.1, into the usual one.
    let usual = Url::parse(&format!("http://{}{host}{}/", brackets.0, brackets.1))
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| host.to_owned());
    let usual = usual.trim_start_matches('[').trim_end_matches(']');
    usual == "localhost"
        || usual.ends_with(".localhost")
        || usual
            .parse::<IpAddr>()
            .map(|ip| ip.to_canonical())
            .is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
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
            "git@github.com:halolab/shop.git",
            "ssh://git@github.com/halolab/shop.git",
            "ssh://git@git.example.com:2222/halolab/shop.git",
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
                "git://github.com/halolab/shop.git",
                "ftp://github.com/halolab/shop.git",
                "http://github.com/halolab/shop.git",
                "http://127.0.0.1.example.com/shop",
                "https://github.com/halolab/shop?ref=main",
                "file://server/share/shop",
                "ssh://github.com",
                "ssh://git@-oProxyCommand=x/shop",
                "git@github.com:-shop",
            ]
            .map(|url| format!("{url:?}: {}", refused(url)))
            .join("\n"),
            @r#"
            "": the repository's url is empty
            "/srv/shop": "/srv/shop" is a path: for a repository on Hades's own machine write "file:///srv/shop"
            "shop": the repository's url can't be read: write https://HOST/PATH, ssh://git@HOST/PATH or file:///PATH
            "git://github.com/halolab/shop.git": git:// is neither encrypted nor signed: write the https:// address of the repository
            "ftp://github.com/halolab/shop.git": repositories are fetched over https://, ssh:// or file://, not ftp://
            "http://github.com/halolab/shop.git": http:// is not encrypted, so anybody on the way could change the manifests: write https://
            "http://127.0.0.1.example.com/shop": http:// is not encrypted, so anybody on the way could change the manifests: write https://
            "https://github.com/halolab/shop?ref=main": a repository's url has no part after ? or #
            "file://server/share/shop": a file:// url names an absolute path on Hades's own machine, with three slashes: file:///srv/repository
            "ssh://github.com": an ssh:// url names a host and the path of a repository on it: ssh://git@git.example.com/studio/shop.git
            "ssh://git@-oProxyCommand=x/shop": an ssh:// url names a host and the path of a repository on it: ssh://git@git.example.com/studio/shop.git
            "git@github.com:-shop": the repository's url can't be read: write https://HOST/PATH, ssh://git@HOST/PATH or file:///PATH
            "#
        );
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for url in [
            "https://me:hunter2@github.com/halolab/shop",
            "https://me:hunter2@git hub.com/halolab/shop",
            "ssh://me:hunter2@github.com/halolab/shop",
        ] {
            assert!(!refused(url).contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn ssh_in_its_two_forms() {
        let parts = |text: &str| match parse_url(text) {
            Ok(RemoteUrl::Ssh(url)) => format!(
                "{} {} {} {} = {}",
                url.user,
                url.host,
                url.port,
                url.path,
                RemoteUrl::Ssh(url.clone()).shown()
            ),
            other => format!("{other:?}"),
        };
        insta::assert_snapshot!(
            [
                "git@github.com:halolab/shop.git",
                "github.com:shop.git",
                "ssh://github.com/halolab/shop.git",
                "ssh://me@git.example.com:2222/srv/a%20b.git",
                "ssh://me@git.example.com/~/shop.git",
                "ssh://me@git.example.com/~you/shop.git",
                "ssh://git@[::1]:2222/shop.git",
            ]
            .map(parts)
            .join("\n"),
            @r"
        git github.com 22 halolab/shop.git = git@github.com:halolab/shop.git
        git github.com 22 shop.git = git@github.com:shop.git
        git github.com 22 /halolab/shop.git = ssh://git@github.com/halolab/shop.git
        me git.example.com 2222 /srv/a b.git = ssh://me@git.example.com:2222/srv/a b.git
        me git.example.com 22 shop.git = me@git.example.com:shop.git
        me git.example.com 22 ~you/shop.git = me@git.example.com:~you/shop.git
        git ::1 2222 /shop.git = ssh://git@[::1]:2222/shop.git
        "
        );
    }

    #[test]
    fn local_urls() {
        for (url, local) in [
            ("https://github.com/halolab/shop", false),
            ("file:///srv/shop", true),
            ("http://127.0.0.1:8080/shop.git", true),
            ("https://localhost/shop.git", true),
            ("ssh://git@127.0.0.1:2222/shop.git", true),
            ("git@localhost:shop.git", true),
            ("ssh://git@127.1/shop.git", true),
            ("git@2130706433:shop.git", true),
            ("ssh://git@LocalHost./shop.git", true),
            ("https://[::ffff:127.0.0.1]/shop.git", true),
            ("https://0.0.0.0/shop.git", true),
            ("git@github.com:shop.git", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_local_url(url), local, "{url}");
        }
    }

    #[test]
    fn who_may_see_the_credentials() {
        let shared = |one: &str, two: &str| {
            parse_url(one).unwrap().shares_credentials_with(&parse_url(two).unwrap())
        };
        assert!(shared("https://git.example.com/a", "https://git.example.com:443/b"));
        assert!(shared("https://git.example.com/a", "git@git.example.com:b"));
        assert!(!shared("https://git.example.com/a", "https://git.example.com:8443/b"));
        assert!(!shared("https://git.example.com/a", "https://git.example.org/a"));
        assert!(!shared("file:///a", "file:///b"));
    }
}
