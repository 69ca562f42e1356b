//! Sign-in: how browsers and the CLI log in. Pages, single sign-on, device login,
//! and the cookie that knows a browser again.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::routing::{get, post};
use hades_apiserver::Authenticator;
use tokio::sync::{Mutex, Semaphore};

use crate::accounts::Accounts;
use crate::cookies::Cookies;
use crate::device::{self, Grants};
use crate::oidc::{Links, Provider, ProviderSettings, SettingsError};
use crate::pages;
use crate::site;
use crate::stamps::Stamps;

/// Codes that are exchanged at once. More wait.
const EXCHANGES: usize = 8;

/// What browsers and the CLI log in with.
#[derive(Clone, Debug, Default)]
pub struct SignInSettings {
    /// Where browsers reach this server, such as `https://hades.example.com:7443`: what
    /// pages of that address send is their own, too. Without it, by the address that each
    /// of them uses.
    pub external_url: Option<String>,
    /// Who else says who somebody is. Needs the address above.
    pub provider: Option<ProviderSettings>,
}

/// Why nobody can log in as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider can't be used.
    #[error(transparent)]
    Provider(#[from] SettingsError),
    /// The system has no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
}

/// How browsers and the CLI log in.
pub struct SignIn {
    pub(crate) accounts: Accounts,
    pub(crate) stamps: Stamps,
    pub(crate) grants: Grants,
    pub(crate) links: Links,
    pub(crate) provider: Option<Provider>,
    pub(crate) external_url: Option<String>,
    /// Held while a link is made or removed.
    pub(crate) linking: Mutex<()>,
    pub(crate) exchanges: Semaphore,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn")
    }
}

impl SignIn {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// When the provider can't be used as it is configured.
    pub fn new(accounts: &Accounts, settings: SignInSettings) -> Result<Arc<Self>, SignInError> {
        let SignInSettings { external_url, provider } = settings;
        let external_url = external_url.map(|url| url.trim_end_matches('/').to_owned());
        let clock = Arc::clone(&accounts.inner.settings.clock);
        let provider = match (provider, &external_url) {
            (None, _) => None,
            (Some(_), None) => return Err(SettingsError::NoExternalUrl.into()),
            (Some(provider), Some(url)) => {
                let callback = format!("{url}{}", pages::CALLBACK);
                Some(Provider::new(provider, &callback, Arc::clone(&clock))?)
            }
        };
        Ok(Arc::new(Self {
            accounts: accounts.clone(),
            stamps: Stamps::new()?,
            grants: Grants::new(clock),
            links: Links::new(accounts.inner.server.vault("links")),
            provider,
            external_url,
            linking: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES),
        }))
    }

    /// Knows browsers by their cookie; for
    /// [`hades_apiserver::ApiServer::authenticate_with`].
    #[must_use]
    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        let external_url = self.external_url.clone();
        Arc::new(Cookies { bearers: self.accounts.bearers(), external_url })
    }

    /// What needs no login: the pages below `/login`, `/logout` and `/auth/device`.
    /// For [`hades_apiserver::ApiServer::public_routes`].
    pub fn public_router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/auth/device", post(device::authorize))
            .route("/auth/device/token", post(device::token))
            .route(pages::LOGIN, get(pages::show_login).post(pages::log_in))
            .route(pages::LOGOUT, get(pages::show_logout).post(pages::log_out))
            .route(pages::DEVICE, get(pages::show_device).post(pages::decide_device))
            .route(pages::START, get(pages::start))
            .route(pages::CALLBACK, get(pages::come_back))
            .with_state(Arc::clone(self))
    }

    /// The page on which device logins are confirmed.
    pub(crate) fn device_page(&self, headers: &HeaderMap, uri: &Uri) -> String {
        let is_host = |host: &&str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
            !host.is_empty() && host.bytes().all(plain)
        };
        let base = self.external_url.clone().unwrap_or_else(|| {
            let host = site::host(headers, uri).filter(is_host).unwrap_or("localhost");
            format!("https://{host}")
        });
        format!("{base}{}", pages::DEVICE)
    }
}
