//! Routes: logging in and out for everybody; for whoever is logged in, what he logs
//! in with; for administrators, that of others.

mod body;
mod document;
mod held;
mod links;
mod login;
mod others;
mod own;
mod refusal;

use axum::Router;
use axum::routing::{get, post};
use hades_apiserver::Announced;

use crate::accounts::Accounts;

/// The group and version of what is answered.
pub(crate) const API_VERSION: &str = "operations.hades.dev/v1alpha1";

/// The group.
pub(crate) const GROUP: &str = "operations.hades.dev";

impl Accounts {
    /// What needs no login: `/auth/login` and `/auth/logout`. For
    /// [`hades_apiserver::ApiServer::public_routes`].
    pub fn public_router(&self) -> Router {
        Router::new()
            .route("/auth/login", post(login::log_in))
            .route("/auth/logout", post(login::log_out))
            .with_state(self.clone())
    }

    /// What is behind the gate, below the prefix of `operations.hades.dev`.
    pub fn router(&self) -> Router {
        let tokens = get(own::list_tokens).post(own::create_token);
        let token = get(own::show_token).delete(own::revoke_token);
        let factor = get(own::show_factor).post(own::set_up_factor).delete(own::remove_factor);
        let sessions = get(own::list_sessions).delete(own::end_sessions);
        let session = get(own::show_session).delete(own::end_session);
        let password = post(others::set_password).delete(others::remove_password);
        let others_tokens = get(others::list_tokens).post(others::create_token);
        let others_tokens = others_tokens.delete(others::revoke_tokens);
        let others_factor = get(others::show_factor).delete(others::reset_factor);
        let others_sessions = get(others::list_sessions).delete(others::end_sessions);
        Router::new()
            .route("/selfpassword", post(own::change_password))
            .route("/selftokens", tokens)
            .route("/selftokens/{token}", token)
            .route("/selftotp", factor)
            .route("/selfsessions", sessions)
            .route("/selfsessions/{session}", session)
            .route("/users/{user}/password", password)
            .route("/users/{user}/tokens", others_tokens)
            .route("/users/{user}/totp", others_factor)
            .route("/users/{user}/sessions", others_sessions)
            .with_state(self.clone())
    }
}

/// What [`Accounts::router`] and [`crate::SignIn::router`] serve, for discovery.
#[must_use]
pub fn announced() -> Vec<Announced> {
    let (group, version) = API_VERSION.split_once('/').unwrap_or((API_VERSION, ""));
    let one = |resource: &str, subresource: &str, kind: &str, verbs| Announced {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        kind: kind.to_owned(),
        namespaced: false,
        verbs,
    };
    vec![
        one("selfpassword", "", "PasswordChange", &["create"]),
        one("selftokens", "", "Token", &["create", "delete", "get", "list"]),
        one("selftotp", "", "SecondFactor", &["create", "deletecollection", "list"]),
        one("selfsessions", "", "Session", &["delete", "deletecollection", "get", "list"]),
        one("users", "password", "PasswordChange", &["create", "delete"]),
        one("users", "tokens", "Token", &["create", "delete", "get"]),
        one("users", "totp", "SecondFactor", &["delete", "get"]),
        one("users", "sessions", "Session", &["delete", "get"]),
        one("users", "sso", "SingleSignOnLink", &["create", "delete", "get"]),
    ]
}
