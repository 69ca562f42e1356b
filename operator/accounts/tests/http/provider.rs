//! A provider of identities that says what a test wants, also what is forged.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hades_accounts::ProviderSettings;
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::url::{Url, form_urlencoded};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::web::{Browser, Shown};

pub const SECRET: &str = "planted-client-secret";
pub const CLIENT: &str = "hades";

/// A key that signs tokens.
pub struct Key {
    key: CoreEdDsaPrivateSigningKey,
    kid: String,
}

impl Key {
    pub fn new(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let kid_of = Some(JsonWebKeyId::new(kid.to_owned()));
        let key = CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pair.serialize_pem(), kid_of);
        Self { key: key.unwrap(), kid: kid.to_owned() }
    }

    pub fn public(&self) -> Value {
        serde_json::to_value(self.key.as_verification_key()).unwrap()
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "EdDSA", "kid": self.kid}), claims)
    }

    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = self.key.sign(&CoreJwsSigningAlgorithm::EdDsa, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap()))
    }
}

/// The part of a token that is signed.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

type Forge = Box<dyn Fn(&Key, &Value) -> String + Send>;

/// What the provider says.
pub struct Said {
    pub key: Key,
    /// The keys that it publishes.
    pub published: Vec<Value>,
    /// Claims of the next ID token, besides those that it must have.
    pub claims: Value,
    /// Makes an ID token of its claims.
    pub forge: Option<Forge>,
    pub user_info: Value,
    pub issuer: String,
    /// Overrides metadata.
    pub metadata: Value,
    /// The clock that tokens are made by.
    pub now: i64,
    pub refuses: bool,
    /// The clock of the server under test, and how many seconds pass on it until
    /// metadata are answered.
    pub slow: Option<(Arc<AtomicI64>, i64)>,
    /// Paths that were asked for.
    pub asked: Vec<String>,
    nonce: String,
    challenge: String,
    redirect: String,
}

#[derive(Clone)]
pub struct Provider {
    said: Arc<Mutex<Said>>,
    pub issuer: String,
}

impl Provider {
    pub async fn start(now: i64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = Key::new("one");
        let said = Said {
            published: vec![key.public()],
            key,
            claims: json!({"preferred_username": "jane", "name": "Jane Doe", "groups": ["dev"],
                "email": "jane@example.com", "email_verified": true}),
            forge: None,
            user_info: Value::Null,
            issuer: issuer.clone(),
            metadata: json!({}),
            now,
            refuses: false,
            slow: None,
            asked: Vec::new(),
            nonce: String::new(),
            challenge: String::new(),
            redirect: String::new(),
        };
        let provider = Self { said: Arc::new(Mutex::new(said)), issuer };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .route("/me", get(user_info))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap()
    }

    pub fn settings(&self) -> ProviderSettings {
        let mut settings = ProviderSettings::new(&*self.issuer, CLIENT);
        settings.client_secret = Some(SecretString::from(SECRET));
        settings.name = "Example ID".to_owned();
        settings
    }

    pub fn asked(&self, path: &str) -> usize {
        self.said().asked.iter().filter(|one| *one == path).count()
    }

    /// Goes to the provider, logs in there, and is on the way back.
    pub async fn go(&self, browser: &mut Browser<'_>, next: &str) -> String {
        let query = crate::web::form(&[("next", next)]);
        let shown = browser.open(&format!("/login/oidc/sso?{query}")).await;
        self.answer(shown.location())
    }

    /// The way back of a browser that was sent here.
    pub fn answer(&self, url: &str) -> String {
        let url = Url::parse(url).unwrap();
        let get = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        assert_eq!(url.path(), "/auth");
        assert_eq!((get("client_id"), get("response_type")), (CLIENT.into(), "code".into()));
        assert_eq!(get("scope"), "openid profile email");
        assert_eq!(get("code_challenge_method"), "S256");
        assert_eq!(get("redirect_uri"), "https://hades.example:7443/login/oidc/sso/callback");
        assert!(get("nonce").len() >= 43 && get("state").len() >= 43);
        assert!(!url.as_str().contains(SECRET));
        let mut said = self.said();
        (said.nonce, said.challenge) = (get("nonce"), get("code_challenge"));
        said.redirect = get("redirect_uri");
        format!("/login/oidc/sso/callback?code=c0de&state={}", get("state"))
    }

    /// Logs in all the way.
    pub async fn log_in(&self, browser: &mut Browser<'_>) -> Shown {
        let back = self.go(browser, "").await;
        browser.follow(&back).await
    }
}

fn merge(mut value: Value, more: &Value) -> Value {
    for (key, more) in more.as_object().into_iter().flatten() {
        value[key] = more.clone();
    }
    value
}

async fn metadata(State(provider): State<Provider>) -> Json<Value> {
    let mut said = provider.said();
    said.asked.push("metadata".to_owned());
    if let Some((clock, seconds)) = &said.slow {
        clock.fetch_add(*seconds, Ordering::Relaxed);
    }
    let base = &provider.issuer;
    let value = json!({
        "issuer": said.issuer,
        "authorization_endpoint": format!("{base}/auth"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/me"),
        "jwks_uri": format!("{base}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256", "HS256", "none"],
    });
    Json(merge(value, &said.metadata))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let mut said = provider.said();
    said.asked.push("jwks".to_owned());
    Json(json!({"keys": said.published}))
}

async fn user_info(
    State(provider): State<Provider>,
    headers: HeaderMap,
) -> axum::response::Response {
    let mut said = provider.said();
    said.asked.push("me".to_owned());
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    if shown != Some("Bearer acce55") || said.user_info.is_null() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(said.user_info.clone()).into_response()
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    let mut said = provider.said();
    said.asked.push("token".to_owned());
    let get = |name: &str| {
        let found = form_urlencoded::parse(body.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let knows = headers.get("authorization").is_some_and(|value| *value == *basic);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier")));
    let is_good = knows
        && get("grant_type") == "authorization_code"
        && get("code") == "c0de"
        && challenge == said.challenge
        && get("redirect_uri") == said.redirect;
    if !is_good || said.refuses {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"})));
    }
    let claims = json!({"iss": provider.issuer, "aud": CLIENT, "sub": "7", "nonce": said.nonce,
        "iat": said.now, "exp": said.now + 300});
    let claims = merge(claims, &said.claims);
    let id_token = match &said.forge {
        Some(forge) => forge(&said.key, &claims),
        None => said.key.sign(&claims),
    };
    let answer = json!({"access_token": "acce55", "token_type": "Bearer", "expires_in": 300,
        "id_token": id_token});
    (StatusCode::OK, Json(answer))
}
