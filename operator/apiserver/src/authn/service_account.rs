//! Tokens of service accounts, which `kubectl create token` asks for.
//!
//! A token is a JWT under a key of this installation. Nothing of it is stored: it
//! ends when it expires, when the account goes, or when the Secret goes that it is
//! bound to. An account that is made anew under the same name is another one.
//!
//! Only this server reads them, so one key signs and checks (HMAC-SHA-256), and the
//! header must be, byte for byte, the one that is written here: there is no choice
//! of an algorithm for a forger to make.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{AUTHENTICATED, Authenticator, Identity, bearer};
use crate::random;
use crate::state::Clock;
use crate::store::{Key, Store};
use crate::vault::{Record, Vault, VaultError};
use crate::wire::status::StatusError;

/// Who issues the tokens, and whom they are for where nobody else is named.
pub(crate) const ISSUER: &str = "hades-apiserver";

/// `group/plural` of what tokens depend on.
const ACCOUNTS: &str = "/serviceaccounts";
const SECRETS: &str = "/secrets";

/// How the user name of a service account starts; namespace and name follow.
const PREFIX: &str = "system:serviceaccount:";
const GROUP: &str = "system:serviceaccounts";

/// `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Longer tokens are neither issued nor accepted.
const MAX_TOKEN: usize = 8 << 10;

/// Where Kubernetes tells which token a request came with.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// The user name of a service account.
pub(crate) fn user_name(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}

/// Namespace and name of the service account that a user name stands for.
pub(crate) fn account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(PREFIX)?
        .split_once(':')
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
}

/// The groups of the service accounts of a namespace.
pub(crate) fn groups_of(namespace: &str) -> [String; 2] {
    [GROUP.to_owned(), format!("{GROUP}:{namespace}")]
}

/// An object that a token is for, or depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub name: String,
    pub uid: String,
}

/// What a token is made for.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub namespace: String,
    pub account: Bound,
    pub secret: Option<Bound>,
    pub audiences: Vec<String>,
    /// Seconds since 1970.
    pub issued: i64,
    pub expires: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    nbf: i64,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    about: About,
}

#[derive(Debug, Serialize, Deserialize)]
struct About {
    namespace: String,
    serviceaccount: Bound,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Bound>,
}

/// Makes and checks the tokens of service accounts.
#[derive(Clone)]
pub(crate) struct ServiceAccounts {
    store: Store,
    clock: Clock,
    /// Keyed and ready; cloned for every token.
    signer: Hmac<Sha256>,
}

impl std::fmt::Debug for ServiceAccounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceAccounts")
    }
}

/// The key as it lies in the vault.
const KEYS: &str = "service-account-keys";
const CURRENT: &str = "current";

impl ServiceAccounts {
    /// Takes the key of the installation, which a first start makes.
    ///
    /// # Errors
    /// When the key can't be read or written.
    pub async fn open(store: Store, clock: Clock) -> Result<Self, VaultError> {
        let vault = Vault::new(store.clone(), KEYS);
        let record: Option<Record<Vec<u8>>> = vault.get(CURRENT)?;
        let key = match record {
            Some(record) => record.value,
            None => {
                let key: [u8; 32] =
                    random::bytes().map_err(|error| VaultError::Write(error.to_string()))?;
                vault.create(CURRENT, &key.as_slice()).await?;
                key.to_vec()
            }
        };
        let signer =
            Hmac::new_from_slice(&key).map_err(|_| VaultError::Form(CURRENT.to_owned()))?;
        Ok(Self { store, clock, signer })
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = self.signer.clone();
        mac.update(signed.as_bytes());
        mac
    }

    /// A new token.
    ///
    /// # Errors
    /// 400 when it would be for so many that it is too long to be accepted; 500 when
    /// the system has no randomness to give.
    pub fn issue(&self, order: Order) -> Result<String, StatusError> {
        let Order { namespace, account, secret, audiences, issued, expires } = order;
        let claims = Claims {
            aud: audiences,
            exp: expires,
            iat: issued,
            iss: ISSUER.to_owned(),
            jti: random::uuid().map_err(StatusError::internal)?,
            nbf: issued,
            sub: user_name(&namespace, &account.name),
            about: About { namespace, serviceaccount: account, secret },
        };
        let token = self.sign(&claims)?;
        if token.len() > MAX_TOKEN {
            return Err(StatusError::bad_request(format!(
                "spec.audiences: a token for all of them has {} bytes, and one of more than \
                 {MAX_TOKEN} is not accepted; ask for a token for fewer audiences",
                token.len()
            )));
        }
        Ok(token)
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, StatusError> {
        let claims = serde_json::to_vec(claims).map_err(StatusError::internal)?;
        let signed = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.mac(&signed).finalize().into_bytes());
        Ok(format!("{signed}.{signature}"))
    }

    /// The account that a token proves to one of these audiences, and to which of
    /// them.
    pub fn verify(&self, token: &str, audiences: &[String]) -> Option<(Identity, Vec<String>)> {
        let claims = self.read(token)?;
        let Claims { aud, exp, iss, jti, nbf, sub, about, .. } = claims;
        let About { namespace, serviceaccount, secret } = about;
        let now = (self.clock)().as_second();
        let meant: Vec<String> =
            audiences.iter().filter(|one| aud.contains(one)).cloned().collect();
        let is_good = iss == ISSUER
            && nbf <= now
            && now < exp
            && !meant.is_empty()
            && sub == user_name(&namespace, &serviceaccount.name)
            && self.exists(ACCOUNTS, &namespace, &serviceaccount)
            && secret.is_none_or(|secret| self.exists(SECRETS, &namespace, &secret));
        if !is_good {
            return None;
        }
        let mut groups = groups_of(&namespace).to_vec();
        groups.push(AUTHENTICATED.to_owned());
        let extra = BTreeMap::from([(CREDENTIAL.to_owned(), vec![format!("JTI={jti}")])]);
        let identity = Identity::of_user(sub, groups).known_as(Some(serviceaccount.uid), extra);
        Some((identity, meant))
    }

    /// What a token that was signed here says.
    fn read(&self, token: &str) -> Option<Claims> {
        let rest = token.strip_prefix(HEADER)?.strip_prefix('.')?;
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (claims, signature) = rest.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let signed = token.get(..HEADER.len() + 1 + claims.len())?;
        // In constant time.
        self.mac(signed).verify_slice(&signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// Whether the very object is there, and not on its way out.
    fn exists(&self, resource: &str, namespace: &str, bound: &Bound) -> bool {
        let key = Key::new(&Arc::from(resource), namespace, &bound.name);
        let row = self.store.get(&key).unwrap_or_else(|error| {
            tracing::error!(%error, "what a token depends on can't be read");
            None
        });
        row.filter(|row| !row.terminating)
            .and_then(|row| crate::store::Meta::read(&row.object).ok())
            .is_some_and(|meta| meta.uid == bound.uid)
    }
}

impl Authenticator for ServiceAccounts {
    fn authenticate(&self, request: &Request) -> Result<Option<Identity>, StatusError> {
        Ok(bearer(request.headers()).and_then(|token| self.identify(token)))
    }

    fn identify(&self, token: &str) -> Option<Identity> {
        let audiences = [ISSUER.to_owned()];
        self.verify(token, &audiences).map(|(identity, _)| identity)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{ApiServer, ServerConfig};

    const NOW: i64 = 1_800_000_000;

    async fn server(directory: &tempfile::TempDir) -> ApiServer {
        let mut config = ServerConfig::new(directory.path(), Vec::new());
        config.clock = Arc::new(|| jiff::Timestamp::from_second(NOW).unwrap());
        ApiServer::open(config).await.unwrap()
    }

    async fn account(server: &ApiServer) -> Bound {
        use k8s_openapi::api::core::v1::ServiceAccount;
        let client = server.client(Identity::administrator("tester"));
        let api: kube::Api<ServiceAccount> = kube::Api::namespaced(client, "default");
        let mut made = ServiceAccount::default();
        made.metadata.name = Some("robot".to_owned());
        let made = api.create(&kube::api::PostParams::default(), &made).await.unwrap();
        Bound { name: "robot".to_owned(), uid: made.metadata.uid.unwrap() }
    }

    fn claims(uid: &str) -> Value {
        json!({"aud": [ISSUER], "exp": NOW + 60, "iat": NOW, "nbf": NOW, "iss": ISSUER, "jti": "j",
            "sub": "system:serviceaccount:default:robot", "kubernetes.io": {
                "namespace": "default", "serviceaccount": {"name": "robot", "uid": uid}}})
    }

    #[tokio::test]
    async fn a_token_is_good_for_its_account_its_time_and_its_audience() {
        let directory = tempfile::tempdir().unwrap();
        let server = server(&directory).await;
        let account = account(&server).await;
        let accounts = &server.state().service_accounts;
        let signed = |change: Value| {
            let mut claims = claims(&account.uid);
            json_patch::merge(&mut claims, &change);
            accounts.sign(&claims).unwrap()
        };
        let found = accounts.identify(&signed(json!({}))).unwrap();
        assert_eq!(found.name, "system:serviceaccount:default:robot");
        assert_eq!(
            found.groups,
            ["system:serviceaccounts", "system:serviceaccounts:default", AUTHENTICATED]
        );
        assert_eq!(found.uid.as_deref(), Some(account.uid.as_str()));
        let refused = [
            ("expired", json!({"exp": NOW})),
            ("not yet", json!({"nbf": NOW + 1})),
            ("another issuer", json!({"iss": "https://kubernetes.default.svc"})),
            ("another audience", json!({"aud": ["vault"]})),
            ("no audience", json!({"aud": []})),
            ("another subject", json!({"sub": "system:serviceaccount:kube-system:robot"})),
            ("a user", json!({"sub": "alice"})),
            ("another uid", json!({"kubernetes.io": {"serviceaccount": {"uid": "u"}}})),
            (
                "no such account",
                json!({"kubernetes.io": {"serviceaccount": {"name": "other"}},
                "sub": "system:serviceaccount:default:other"}),
            ),
            ("no such secret", json!({"kubernetes.io": {"secret": {"name": "s", "uid": "u"}}})),
            ("no expiry", json!({"exp": null})),
        ];
        for (what, change) in refused {
            assert!(accounts.identify(&signed(change)).is_none(), "{what}");
        }
        let vault = ["vault".to_owned()];
        let (_, meant) = accounts.verify(&signed(json!({"aud": ["vault", "x"]})), &vault).unwrap();
        assert_eq!(meant, vault);
    }

    #[tokio::test]
    async fn what_was_not_signed_here_is_no_token() {
        let directory = tempfile::tempdir().unwrap();
        let server = server(&directory).await;
        let account = account(&server).await;
        let accounts = &server.state().service_accounts;
        let good = accounts.sign(&claims(&account.uid)).unwrap();
        assert!(accounts.identify(&good).is_some());
        let parts: Vec<&str> = good.split('.').collect();
        let header = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let other = {
            let signer = Hmac::new_from_slice(&[7; 32]).unwrap();
            let accounts = ServiceAccounts { signer, ..accounts.clone() };
            accounts.sign(&claims(&account.uid)).unwrap()
        };
        let forged = [
            String::new(),
            "..".to_owned(),
            good[..good.len() - 1].to_owned(),
            format!("{good}."),
            format!("{good}.{}", parts[2]),
            format!("{good}="),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.", header(r#"{"alg":"none","typ":"JWT"}"#), parts[1]),
            format!("{}.{}.{}", header(r#"{"alg":"none"}"#), parts[1], parts[2]),
            format!("{}.{}.{}", header(r#"{"alg":"HS512","typ":"JWT"}"#), parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], header("{}"), parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], header("x")),
            format!("{}.{}.{}", parts[0], "x".repeat(100_000), parts[2]),
            other,
        ];
        for token in forged {
            assert!(accounts.identify(&token).is_none(), "{token}");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(token) = String::from_utf8(bytes) {
                assert!(accounts.identify(&token).is_none(), "{at}");
            }
        }
    }
}
