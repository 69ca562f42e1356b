//! The address of a server as people write it.

use std::fmt;

use http::Uri;

use crate::Error;

/// Where `hades serve` listens if nothing is said.
const USUAL_PORT: u16 = 7443;

/// `https://HOST[:PORT]`, without anything behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    host: String,
    port: u16,
}

impl ServerUrl {
    /// From a URL, or from `HOST[:PORT]`, where the port is 7443 unless it is
    /// written.
    ///
    /// # Errors
    /// [`Error::BadServer`], also for plain HTTP: passwords and tokens go there.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::BadServer { text: text.to_owned(), why: why.to_owned() };
        let (whole, otherwise) = match text.split_once("://") {
            Some(("https", _)) => (text.to_owned(), 443),
            Some(("http", _)) => return Err(bad("passwords and tokens go over https alone")),
            Some(_) => return Err(bad("it doesn't begin with https://")),
            None => (format!("https://{text}"), USUAL_PORT),
        };
        let uri: Uri = whole.parse().map_err(|_| bad("it is no URL"))?;
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it names a user; that goes into --user"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad("there is a path behind the host"));
        }
        let host = authority.host().to_lowercase();
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        if authority.as_str().len() > authority.host().len() && authority.port_u16().is_none() {
            return Err(bad("its port is no number up to 65535"));
        }
        Ok(Self { host, port: authority.port_u16().unwrap_or(otherwise) })
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A short name for it in a kubeconfig: the host, with the port where it isn't the
    /// usual one. Another server has another name.
    pub fn short_name(&self) -> String {
        match self.port {
            USUAL_PORT => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            443 => write!(f, "https://{}", self.host),
            port => write!(f, "https://{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        for (text, url, name) in [
            ("hades.example.com", "https://hades.example.com:7443", "hades.example.com"),
            ("https://Hades.example.com/", "https://hades.example.com", "hades.example.com:443"),
            ("127.0.0.1:8443", "https://127.0.0.1:8443", "127.0.0.1:8443"),
            ("https://[::1]:7443", "https://[::1]:7443", "[::1]"),
        ] {
            let parsed = ServerUrl::parse(text).unwrap();
            assert_eq!((parsed.to_string().as_str(), parsed.short_name().as_str()), (url, name));
        }
        assert_eq!(ServerUrl::parse("[::1]").unwrap().host(), "::1");
    }

    #[test]
    fn what_is_none_says_why() {
        for (text, part) in [
            ("http://hades", "over https alone"),
            ("ftp://hades", "https://"),
            ("https://alice@hades", "--user"),
            ("https://hades/login", "a path"),
            ("hades:99999", "port"),
            ("hades host", "no URL"),
            ("", "no "),
        ] {
            let error = ServerUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
