//! Provider: discovery, the way there and back, and what its tokens prove.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hades_apiserver::Clock;
use http::{Method, Request, StatusCode, header};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenVerifier,
    CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::url::Url;
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, DiscoveryError, HttpRequest, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, TokenResponse,
};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::claims::{self, ClaimError, Who};
use super::settings::{ProviderSettings, SettingsError, is_safe, safe_url};
use super::transport::{Transport, TransportError};

/// How long metadata and keys are good, in seconds.
const FRESH: i64 = 3600;

/// How long to wait before a provider that gave no answer is asked again, in seconds,
/// so that a crowd at the login page doesn't become one there.
const PAUSE: i64 = 5;

/// Keys aren't fetched again for an unknown one when they are younger, in seconds.
const YOUNG: i64 = 30;

/// Signatures that are accepted. None with a shared secret: a public key must never
/// be taken for one.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why the provider doesn't vouch for somebody. None of these holds a code, a token
/// or a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    #[error("the provider can't be reached: {0}")]
    Unreachable(String),
    #[error("the provider's metadata can't be used: {0}")]
    Metadata(String),
    #[error("the provider refuses the code: {0}")]
    Refused(String),
    #[error("the provider gave no ID token")]
    NoIdToken,
    #[error("the ID token proves nothing: {0}")]
    Token(#[from] ClaimsVerificationError),
    #[error("the provider's user information is not about the one who logs in")]
    OtherSubject,
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl ProviderError {
    /// Whether it is about what somebody showed, and not about the provider.
    pub fn is_his(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::Metadata(_))
    }
}

impl From<TransportError> for ProviderError {
    fn from(error: TransportError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// What ties an answer of the provider to the question.
pub(crate) struct Question {
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

struct Found {
    metadata: Arc<CoreProviderMetadata>,
    /// In seconds since 1970.
    when: i64,
}

#[derive(Default)]
struct Cache {
    found: Option<Found>,
    /// When it failed last, in seconds since 1970, and why.
    failed: Option<(i64, String)>,
}

/// The provider of identities.
pub(crate) struct Provider {
    pub settings: ProviderSettings,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    transport: Transport,
    clock: Clock,
    cache: Mutex<Cache>,
}

impl Provider {
    /// Doesn't ask it yet: it may be down while this server starts.
    ///
    /// # Errors
    /// When the settings can't be right.
    pub fn new(
        settings: ProviderSettings,
        callback: &str,
        clock: Clock,
    ) -> Result<Self, SettingsError> {
        safe_url("the issuer", &settings.issuer)?;
        let system = settings.group_mapping.values().find(|group| group.starts_with("system:"));
        if let Some(group) = system {
            return Err(SettingsError::SystemGroup(group.clone()));
        }
        let unusable = |what, url: &str| SettingsError::Url { what, url: url.to_owned() };
        let issuer = IssuerUrl::new(settings.issuer.clone())
            .map_err(|_| unusable("the issuer", &settings.issuer))?;
        let redirect = RedirectUrl::new(callback.to_owned())
            .map_err(|_| unusable("the address of this server", callback))?;
        let transport =
            Transport::new(settings.extra_ca.as_deref()).map_err(SettingsError::Certificates)?;
        Ok(Self { settings, issuer, redirect, transport, clock, cache: Mutex::default() })
    }

    /// Where somebody logs in at the provider.
    ///
    /// # Errors
    /// When the provider can't be reached.
    pub async fn start(&self, question: Question) -> Result<Url, ProviderError> {
        let (metadata, _) = self.metadata(None).await?;
        let Question { state, nonce, verifier } = question;
        let challenge =
            PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier));
        let client = CoreClient::from_provider_metadata(
            CoreProviderMetadata::clone(&metadata),
            ClientId::new(self.settings.client_id.clone()),
            None,
        )
        .set_redirect_uri(self.redirect.clone());
        let (url, _, _) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .url();
        Ok(url)
    }

    /// Whom a code is for that the provider sent somebody back with.
    ///
    /// # Errors
    /// When it vouches for nobody.
    pub async fn finish(&self, code: String, question: &Question) -> Result<Who, ProviderError> {
        let (metadata, when) = self.metadata(None).await?;
        let (id_token, access_token) = self.exchange(&metadata, code, question).await?;
        let nonce = Nonce::new(question.nonce.clone());
        let unknown_key = ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        );
        match self.verify(&metadata, &id_token, &nonce) {
            Err(error) if error == unknown_key && when + YOUNG <= self.now() => {
                // It changed its keys.
                let (metadata, _) = self.metadata(Some(when)).await?;
                self.verify(&metadata, &id_token, &nonce)?;
            }
            verified => verified?,
        }
        let mut claims = verified_claims(&id_token);
        if claims::is_lacking(&self.settings, &claims) {
            let more = self.user_info(&metadata, &access_token).await?;
            if more.as_ref().is_some_and(|more| more.get("sub") != claims.get("sub")) {
                return Err(ProviderError::OtherSubject);
            }
            for (claim, value) in more.into_iter().flatten() {
                claims.entry(claim).or_insert(value);
            }
        }
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        if subject.is_empty() {
            return Err(ProviderError::NoIdToken);
        }
        Ok(claims::read(&self.settings, subject, &claims)?)
    }

    fn now(&self) -> i64 {
        (self.clock)().as_second()
    }

    /// Metadata and keys, and when they were fetched: after a time, if one is given.
    async fn metadata(
        &self,
        after: Option<i64>,
    ) -> Result<(Arc<CoreProviderMetadata>, i64), ProviderError> {
        // Held while it is asked: others wait for the same answer.
        let mut cache = self.cache.lock().await;
        let now = self.now();
        if let Some(Found { metadata, when }) = &cache.found
            && (0..FRESH).contains(&(now - when))
            && after.is_none_or(|after| *when > after)
        {
            return Ok((Arc::clone(metadata), *when));
        }
        if let Some((when, why)) = &cache.failed
            && (0..PAUSE).contains(&(now - when))
        {
            return Err(ProviderError::Unreachable(why.clone()));
        }
        match self.discover().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                let found = Found { metadata: Arc::clone(&metadata), when: now };
                *cache = Cache { found: Some(found), failed: None };
                Ok((metadata, now))
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer.as_str(), %error, "single sign-on doesn't work");
                // From now on, and not from when it was asked: that may be longer ago than
                // the pause, and all who waited would ask one after the other.
                cache.failed = Some((self.now(), error.to_string()));
                Err(error)
            }
        }
    }

    async fn discover(&self) -> Result<CoreProviderMetadata, ProviderError> {
        let discovered =
            CoreProviderMetadata::discover_async(self.issuer.clone(), &self.transport).await;
        let metadata = discovered.map_err(|error| match error {
            DiscoveryError::Request(error) => error.into(),
            DiscoveryError::Parse(error) => {
                ProviderError::Metadata(format!("{} can't be read", error.path()))
            }
            error => ProviderError::Metadata(error.to_string()),
        })?;
        let mut endpoints =
            vec![metadata.authorization_endpoint().url(), metadata.jwks_uri().url()];
        endpoints.extend(metadata.token_endpoint().map(|one| one.url()));
        endpoints.extend(metadata.userinfo_endpoint().map(|one| one.url()));
        match endpoints.into_iter().find(|url| !is_safe(url)) {
            Some(url) => Err(ProviderError::Metadata(format!("{url} is not encrypted"))),
            None => Ok(metadata),
        }
    }

    async fn exchange(
        &self,
        metadata: &CoreProviderMetadata,
        code: String,
        question: &Question,
    ) -> Result<(CoreIdToken, AccessToken), ProviderError> {
        let secret = self.settings.client_secret.as_ref();
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(self.settings.client_id.clone()),
            secret.map(|secret| ClientSecret::new(secret.expose_secret().to_owned())),
        )
        .set_redirect_uri(self.redirect.clone())
        .set_auth_type(auth_type(metadata));
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| ProviderError::Metadata(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(question.verifier.clone()))
            .request_async(&self.transport)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(error) => error.into(),
                RequestTokenError::ServerResponse(error) => {
                    ProviderError::Refused(error.error().to_string())
                }
                // What it says may repeat what the answer holds.
                RequestTokenError::Parse(error, _) => {
                    ProviderError::Refused(format!("{} can't be read", error.path()))
                }
                RequestTokenError::Other(_) => {
                    ProviderError::Refused("the answer is empty".to_owned())
                }
            })?;
        let id_token = answer.id_token().cloned().ok_or(ProviderError::NoIdToken)?;
        Ok((id_token, answer.access_token().clone()))
    }

    fn verify(
        &self,
        metadata: &CoreProviderMetadata,
        id_token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<(), ClaimsVerificationError> {
        let now = SystemTime::from((self.clock)());
        // As a public client: tokens that are signed with the client's secret are
        // refused whatever the list of algorithms says.
        let verifier = CoreIdTokenVerifier::new_public_client(
            ClientId::new(self.settings.client_id.clone()),
            self.issuer.clone(),
            metadata.jwks().clone(),
        )
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || now.into());
        id_token.claims(&verifier, nonce).map(|_| ())
    }

    /// What the provider tells besides the ID token, if it does.
    async fn user_info(
        &self,
        metadata: &CoreProviderMetadata,
        access_token: &AccessToken,
    ) -> Result<Option<Map<String, Value>>, ProviderError> {
        let Some(endpoint) = metadata.userinfo_endpoint() else { return Ok(None) };
        let request: Option<HttpRequest> = Request::builder()
            .method(Method::GET)
            .uri(endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", access_token.secret()))
            .body(Vec::new())
            .ok();
        let Some(request) = request else { return Ok(None) };
        let answer = self.transport.send(request).await?;
        if answer.status() != StatusCode::OK {
            let words = format!("its user information answers {}", answer.status());
            return Err(ProviderError::Unreachable(words));
        }
        serde_json::from_slice(answer.body())
            .map(Some)
            .map_err(|_| ProviderError::Metadata("its user information is no JSON".to_owned()))
    }
}

/// How the client shows its secret. The default is that of OpenID Connect Discovery.
fn auth_type(metadata: &CoreProviderMetadata) -> AuthType {
    let methods = metadata.token_endpoint_auth_methods_supported();
    let has = |method| methods.is_none_or(|methods| methods.contains(&method));
    if !has(CoreClientAuthMethod::ClientSecretBasic) && has(CoreClientAuthMethod::ClientSecretPost)
    {
        return AuthType::RequestBody;
    }
    AuthType::BasicAuth
}

/// All claims of a token that was verified, whatever they are called.
fn verified_claims(id_token: &CoreIdToken) -> Map<String, Value> {
    let text = id_token.to_string();
    let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    payload.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default()
}
