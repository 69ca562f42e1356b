//! Secrets that open git repositories.

use std::collections::BTreeMap;

use hades_source::git::{Credentials, HttpCredentials, Scope, SshCredentials, check_identity};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::SecretString;

use crate::driver::ReconcileError;
use crate::{Context, git_account::Refusal};
use hades_api::reason;

/// What a Secret holds to open repositories with. Debug shows no secret.
#[derive(Debug, Clone, Default)]
pub(crate) struct GitAccess {
    /// For HTTPS and for SSH.
    pub(crate) credentials: Credentials,
    /// Certificates of a server's own CA (PEM).
    pub(crate) extra_ca: Option<Vec<u8>>,
    /// What the credentials are for, where that is less than a host.
    pub(crate) scope: Option<Scope>,
    /// `token`, `password`, `ssh`, for people.
    pub(crate) kinds: Vec<&'static str>,
}

/// Reads the Secret `namespace/name`. `token_user` goes beside a token where the
/// Secret names no user.
pub(crate) async fn read(
    context: &Context,
    namespace: &str,
    name: &str,
    token_user: &str,
) -> Result<Result<GitAccess, Refusal>, ReconcileError> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let found = api
        .get_opt(name)
        .await
        .map_err(ReconcileError::api(format!("read Secret {namespace}/{name}")))?;
    let Some(secret) = found else {
        let message = format!("there is no Secret {name} in namespace {namespace}");
        return Ok(Err(Refusal { reason: reason::SECRET_NOT_FOUND, message }));
    };
    Ok(parse(secret.data.unwrap_or_default(), token_user).map_err(|problem| {
        let message = format!("Secret {namespace}/{name}: {problem}");
        Refusal { reason: reason::INVALID_SECRET, message }
    }))
}

/// The error names keys only.
fn parse(data: BTreeMap<String, ByteString>, token_user: &str) -> Result<GitAccess, String> {
    let mut data = data;
    let mut take = |key: &str| -> Result<Option<String>, String> {
        let Some(ByteString(bytes)) = data.remove(key) else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| format!("{key} is no text"))?;
        if text.trim().is_empty() {
            return Err(format!("{key} is empty"));
        }
        Ok(Some(text))
    };
    // A line end behind a token is the editor's, and no server would take it.
    let line =
        |text: Option<String>| text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    let username = line(take("username")?);
    let password = line(take("password")?);
    let token = take("token")?.map(|text| text.trim().to_owned());
    let bearer = take("bearerToken")?.map(|text| text.trim().to_owned());
    let identity = take("identity")?.map(SecretString::from);
    let known_hosts = take("known_hosts")?;
    let extra_ca = take("ca.crt")?.map(String::into_bytes);
    let given = [&password, &token, &bearer].iter().filter(|value| value.is_some()).count();
    if given > 1 {
        return Err("it must hold only one of password, token and bearerToken".to_owned());
    }
    let mut kinds = Vec::new();
    let http = match (username, password, token, bearer) {
        (Some(username), Some(password), ..) => {
            kinds.push("password");
            Some(HttpCredentials::Basic { username, password: password.into() })
        }
        (None, Some(_), ..) => return Err("it has a password but no username".to_owned()),
        (username, None, Some(token), _) => {
            kinds.push("token");
            let username = username.unwrap_or_else(|| token_user.to_owned());
            Some(HttpCredentials::Basic { username, password: token.into() })
        }
        (_, None, None, Some(bearer)) => {
            kinds.push("token");
            Some(HttpCredentials::Bearer(bearer.into()))
        }
        (Some(_), None, None, None) => {
            return Err("it has a username but neither password nor token".to_owned());
        }
        (None, None, None, None) => None,
    };
    let ssh = match identity {
        None => None,
        Some(identity) => {
            check_identity(&identity).map_err(|problem| format!("identity: {problem}"))?;
            kinds.push("ssh");
            Some(SshCredentials { identity, known_hosts })
        }
    };
    if http.is_none() && ssh.is_none() && extra_ca.is_none() {
        return Err(
            "it holds none of token, username and password, bearerToken, identity".to_owned()
        );
    }
    Ok(GitAccess { credentials: Credentials { http, ssh }, extra_ca, scope: None, kinds })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn access(pairs: &[(&str, &str)]) -> Result<GitAccess, String> {
        let data = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
            .collect();
        parse(data, "git")
    }

    #[test]
    fn tokens_and_passwords() {
        let token = access(&[("token", " t0ken\n")]).unwrap();
        match &token.credentials.http {
            Some(HttpCredentials::Basic { username, password }) => {
                assert_eq!((username.as_str(), password.expose_secret()), ("git", "t0ken"));
            }
            other => panic!("{other:?}"),
        }
        assert!(!format!("{token:?}").contains("t0ken"));
        let bearer = access(&[("bearerToken", "t0ken")]).unwrap();
        assert!(matches!(bearer.credentials.http, Some(HttpCredentials::Bearer(_))));
        assert_eq!(access(&[("username", "me"), ("password", "x")]).unwrap().kinds, ["password"]);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key_and_not_shown() {
        for (pairs, expected) in [
            (vec![], "none of token"),
            (vec![("other", "x")], "none of token"),
            (vec![("token", " \n")], "token is empty"),
            (vec![("username", "me")], "neither password nor token"),
            (vec![("password", "hunter2")], "no username"),
            (vec![("token", "hunter2"), ("bearerToken", "hunter2")], "only one of"),
            (vec![("identity", "hunter2")], "identity: "),
        ] {
            let error = access(&pairs).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }
}
