//! What hosts are reached with, out of Secrets of `hades-system`.

use hades_api::{
    DockerHostSpec, SSH_PRIVATE_KEY, SYSTEM_NAMESPACE, TLS_CA, TLS_CERTIFICATE, TLS_KEY, reason,
};
use hades_provider::{Credentials, ErrorClass, HostAddress, ProviderError};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::SecretString;

/// The address of a host, with what it is reached with. Reads the Secret that the
/// spec names, if it names one.
///
/// # Errors
/// When the Secret can't be read or lacks something.
pub(crate) async fn address(
    client: &Client,
    spec: &DockerHostSpec,
) -> Result<HostAddress, ProviderError> {
    let endpoint = spec.endpoint.clone();
    let Some(name) = spec.secret() else { return Ok(HostAddress::plain(endpoint)) };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let found = secrets.get_opt(name).await.map_err(|error| {
        let words = format!("Secret {SYSTEM_NAMESPACE}/{name} can't be read: {error}");
        ProviderError::new(ErrorClass::Retry, reason::SECRET_NOT_FOUND, words)
    })?;
    let secret = found.ok_or_else(|| {
        missing(format!(
            "there is no Secret {SYSTEM_NAMESPACE}/{name}; make it, or correct secretRef.name of \
             the DockerHost"
        ))
    })?;
    let credentials = credentials(spec, name, &secret)?;
    Ok(HostAddress { endpoint, credentials })
}

fn credentials(
    spec: &DockerHostSpec,
    name: &str,
    secret: &Secret,
) -> Result<Credentials, ProviderError> {
    let value = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        let text = bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        text.filter(|text| !text.trim().is_empty()).ok_or_else(|| {
            missing(format!("Secret {SYSTEM_NAMESPACE}/{name} has no text under the key {key}"))
        })
    };
    Ok(match (&spec.ssh, &spec.tls) {
        (Some(ssh), _) => Credentials::Ssh {
            private_key: SecretString::from(value(SSH_PRIVATE_KEY)?),
            host_keys: ssh.host_keys.clone(),
        },
        (None, Some(_)) => Credentials::Tls {
            ca: value(TLS_CA)?,
            certificate: value(TLS_CERTIFICATE)?,
            key: SecretString::from(value(TLS_KEY)?),
        },
        (None, None) => Credentials::None,
    })
}

fn missing(words: String) -> ProviderError {
    ProviderError::new(ErrorClass::Terminal, reason::SECRET_NOT_FOUND, words)
}

#[cfg(test)]
mod tests {
    use hades_api::{SecretRef, SshAccess};
    use serde_json::json;

    use super::*;

    fn spec() -> DockerHostSpec {
        DockerHostSpec {
            endpoint: "ssh://root@web-1".to_owned(),
            ssh: Some(SshAccess {
                secret_ref: SecretRef { name: "web-1".to_owned() },
                host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
            }),
            ..DockerHostSpec::default()
        }
    }

    #[test]
    fn keys_of_the_secret() {
        let secret = json!({"data": {"ssh-privatekey": "aHVudGVyMg=="}});
        let found = credentials(&spec(), "web-1", &serde_json::from_value(secret).unwrap());
        let expected = Credentials::Ssh {
            private_key: "hunter2".into(),
            host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        };
        assert_eq!(found, Ok(expected));
        let error = credentials(&spec(), "web-1", &Secret::default()).unwrap_err();
        assert_eq!(error.reason, reason::SECRET_NOT_FOUND);
        assert!(error.message.contains("hades-system/web-1"), "{error}");
        assert!(error.message.contains("ssh-privatekey"), "{error}");
    }
}
