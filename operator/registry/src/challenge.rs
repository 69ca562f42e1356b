//! What a registry wants to know before it answers (RFC 9110 section 11.6.1,
//! distribution spec "token authentication").

use reqwest::Url;

use crate::error::RegistryError;
use crate::name::{is_loopback, leads_here};

/// How a registry wants to be told who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token that is to be had elsewhere.
    Bearer {
        /// Where.
        realm: String,
        /// For which service.
        service: Option<String>,
        /// For what, in the registry's own words.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first challenge that is understood, a token before a password.
    pub(crate) fn parse<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for header in headers {
            let Ok(challenges) = http_auth::parse_challenges(header) else { continue };
            for challenge in challenges {
                let value = |name: &str| {
                    let (_, value) =
                        challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
                    Some(value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    if let Some(realm) = value("realm") {
                        let (service, scope) = (value("service"), value("scope"));
                        return Some(Self::Bearer { realm, service, scope });
                    }
                } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

/// Where a token is to be had. Credentials go there, so that it must be over
/// TLS, or on this machine like the registry itself.
pub(crate) fn token_url(
    registry: &str,
    realm: &str,
    service: Option<&str>,
    scope: Option<&str>,
) -> Result<Url, RegistryError> {
    let refused = |words: &str| RegistryError::Unexpected {
        registry: registry.to_owned(),
        words: format!("it names {realm:?} as the place to get a token, {words}"),
    };
    let mut url = Url::parse(realm).map_err(|_| refused("which is no URL"))?;
    let local = leads_here(&url) && is_loopback(registry);
    if url.scheme() != "https" && !(url.scheme() == "http" && local) {
        return Err(refused("to which no credentials are sent as it isn't https"));
    }
    if let Some(service) = service {
        url.query_pairs_mut().append_pair("service", service);
    }
    if let Some(scope) = scope {
        url.query_pairs_mut().append_pair("scope", scope);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
            scope: Some("repository:a:pull".to_owned()),
        };
        assert_eq!(Challenge::parse(["Basic realm=\"x\"", bearer].into_iter()), Some(expected));
        assert_eq!(Challenge::parse(["basic realm=\"x\""].into_iter()), Some(Challenge::Basic));
        assert_eq!(Challenge::parse(["Negotiate", "Bearer scope=\"a\""].into_iter()), None);
    }

    #[test]
    fn credentials_go_over_tls_alone() {
        let url =
            |registry, realm| token_url(registry, realm, Some("a b"), Some("repository:x:pull"));
        let found = url("example.com", "https://auth.example.com/token?x=y").unwrap();
        assert_eq!(
            found.as_str(),
            "https://auth.example.com/token?x=y&service=a+b&scope=repository%3Ax%3Apull"
        );
        assert!(url("127.0.0.1:5000", "http://127.0.0.1:5001/token").is_ok());
        for (registry, realm) in [
            ("example.com", "http://auth.example.com/token"),
            ("example.com", "http://127.0.0.1/token"),
            ("127.0.0.1:5000", "http://example.com/token"),
            ("example.com", "token"),
        ] {
            assert!(url(registry, realm).is_err(), "{registry} {realm}");
        }
    }
}
