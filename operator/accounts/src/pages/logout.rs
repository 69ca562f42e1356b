//! `/logout`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::browser::{Browser, Posted, STAMP};
use super::html::{Text, hidden};
use super::page::{self, Page};
use super::{LOGIN, LOGOUT};
use crate::cookies::{self, SESSION};
use crate::sessions::Method;
use crate::sign_in::SignIn;

/// The purpose of its form.
const PURPOSE: &str = "logout";

/// Asks whether somebody wants to log out: a link alone does nothing.
pub(crate) async fn show(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    let browser = match Browser::of(&sign_in, &headers) {
        Ok(browser) => browser,
        Err(error) => return page::failed(&error, LOGIN),
    };
    let Some(session) = &browser.session else {
        return logged_out("").answer(StatusCode::OK, &[cookies::remove(SESSION)]);
    };
    let body = format!(
        "<p>You are logged in as <strong>{user}</strong>.</p>\n\
         <form method=\"post\" action=\"{LOGOUT}\">\n{stamp}\n\
         <button type=\"submit\">Log out</button>\n</form>\n\
         <p class=\"foot\"><a href=\"{LOGIN}\">Stay logged in</a></p>",
        user = Text(&session.identity.name),
        stamp = hidden(STAMP, &browser.stamp(&sign_in.stamps, PURPOSE)),
    );
    Page { title: "Log out", body }.answer(StatusCode::OK, &browser.cookies)
}

/// Ends the session of a browser.
pub(crate) async fn log_out(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    let posted = match Posted::read(&sign_in, request, PURPOSE, LOGOUT).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    if let Some(token) = cookies::read(&posted.headers, SESSION)
        && let Err(error) = sign_in.accounts.end_session(token).await
    {
        return page::failed(&error, LOGOUT);
    }
    let how = posted.browser.session.map(|session| session.how);
    let elsewhere = match how {
        Some(Method::SingleSignOn { provider, .. }) => {
            format!("<p class=\"note\">At {} you are still logged in.</p>\n", Text(provider))
        }
        _ => String::new(),
    };
    logged_out(&elsewhere).answer(StatusCode::OK, &[cookies::remove(SESSION)])
}

fn logged_out(note: &str) -> Page<'static> {
    let body = format!("{note}<p><a class=\"button\" href=\"{LOGIN}\">Log in again</a></p>");
    Page { title: "You are logged out", body }
}
