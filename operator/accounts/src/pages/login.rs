//! `/login`: with a name and a password, or by the provider of identities.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};

use super::browser::{Browser, Posted, STAMP, end_old_session};
use super::html::{Text, alert, hidden};
use super::page::{self, Page};
use super::{DEVICE, LOGIN, LOGOUT, START, next};
use crate::cookies::{self, SESSION};
use crate::forms::{self, Form};
use crate::login::LoginError;
use crate::sessions::SessionInfo;
use crate::sign_in::SignIn;

/// The purpose of its form.
const PURPOSE: &str = "login";

/// The longest name that is shown again after a wrong password.
const LONGEST_NAME: usize = 100;

/// The login page, for those who are logged in another.
pub(crate) async fn show(
    State(sign_in): State<Arc<SignIn>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let browser = match Browser::of(&sign_in, &headers) {
        Ok(browser) => browser,
        Err(error) => return page::failed(&error, LOGIN),
    };
    let query = Form::of_query(uri.query()).unwrap_or_default();
    let next = next::local(query.text("next")).unwrap_or_default();
    match &browser.session {
        Some(_) if leads_on(next) => page::redirect(next, &[]),
        Some(session) => logged_in(session).answer(StatusCode::OK, &browser.cookies),
        None => {
            let asked = Asked { next, ..Asked::default() };
            form(&sign_in, &browser, &asked).answer(StatusCode::OK, &browser.cookies)
        }
    }
}

/// Whether a path leads further than this page.
fn leads_on(next: &str) -> bool {
    let path = next.split(['?', '#']).next().unwrap_or_default();
    !path.is_empty() && path != LOGIN
}

/// What the login page says and is filled with.
#[derive(Default)]
struct Asked<'a> {
    next: &'a str,
    user: &'a str,
    problem: &'a str,
}

fn form(sign_in: &SignIn, browser: &Browser, asked: &Asked<'_>) -> Page<'static> {
    let Asked { next, user, problem } = *asked;
    let stamp = hidden(STAMP, &browser.stamp(&sign_in.stamps, PURPOSE));
    let elsewhere = sign_in.provider.as_ref().map(|provider| {
        let query = if next.is_empty() { String::new() } else { forms::query(&[("next", next)]) };
        let mark = if query.is_empty() { "" } else { "?" };
        let (name, query) = (Text(&provider.settings.name), Text(query));
        format!(
            "<p><a class=\"button plain\" href=\"{START}{mark}{query}\">Log in with {name}</a></p>\n\
             <p class=\"or\">or with a password</p>\n"
        )
    });
    // Whoever typed a name already goes on with the password.
    let (at_user, at_password) =
        if user.is_empty() { (" autofocus", "") } else { ("", " autofocus") };
    let body = format!(
        "{problem}\n{elsewhere}<form method=\"post\" action=\"{LOGIN}\">\n{stamp}{next}\n\
         <label for=\"user\">User</label>\n\
         <input id=\"user\" name=\"user\" value=\"{user}\" autocomplete=\"username\" \
         autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"{LONGEST_NAME}\" required{at_user}>\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" \
         autocomplete=\"current-password\" required{at_password}>\n\
         <label for=\"code\">One-time code <span class=\"hint\">(only with a second factor)</span>\
         </label>\n\
         <input id=\"code\" name=\"code\" autocomplete=\"one-time-code\" autocapitalize=\"none\" \
         spellcheck=\"false\" maxlength=\"40\">\n\
         <button type=\"submit\">Log in</button>\n</form>",
        problem = alert(problem),
        elsewhere = elsewhere.unwrap_or_default(),
        next = hidden("next", next),
        user = Text(user),
    );
    Page { title: "Log in", body }
}

fn logged_in(session: &SessionInfo) -> Page<'static> {
    let expires = session.expires.strftime("%Y-%m-%d %H:%M");
    let body = format!(
        "<dl><dt>User</dt><dd>{user}</dd><dt>Until</dt><dd>{expires} UTC</dd></dl>\n\
         <p><a class=\"button\" href=\"{DEVICE}\">Command line login</a></p>\n\
         <p><a class=\"button plain\" href=\"{LOGOUT}\">Log out</a></p>",
        user = Text(&session.identity.name),
    );
    Page { title: "You are logged in", body }
}

/// Logs somebody in by a name and a password.
pub(crate) async fn log_in(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    let posted = match Posted::read(&sign_in, request, PURPOSE, LOGIN).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let Posted { browser, form: sent, from, headers } = posted;
    let (user, next) = (sent.text("user").trim(), next::local(sent.text("next")));
    let nothing = SecretString::default();
    let password = sent.secret("password").unwrap_or(&nothing);
    let code = sent.secret("code").filter(|code| !code.expose_secret().trim().is_empty());
    match sign_in.accounts.log_in(user, password, code, &from).await {
        Ok(session) => {
            end_old_session(&sign_in, &headers).await;
            let cookie = cookies::set(SESSION, session.token.expose_secret());
            page::redirect(next.unwrap_or(LOGIN), &[cookie])
        }
        Err(error) => {
            let (code, words, wait) = refusal(&error);
            let user: String = user.chars().take(LONGEST_NAME).collect();
            let next = next.unwrap_or_default();
            let asked = Asked { next, user: &user, problem: &words };
            let mut response = form(&sign_in, &browser, &asked).answer(code, &browser.cookies);
            if let Some(seconds) = wait {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    }
}

/// A message as a page writes it.
pub(super) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// The status, the words, and how long to wait, in seconds.
fn refusal(error: &LoginError) -> (StatusCode, String, Option<u32>) {
    match error {
        LoginError::Wrong => (
            StatusCode::UNAUTHORIZED,
            "The name, the password or the code is wrong.".to_owned(),
            None,
        ),
        LoginError::CodeNeeded => (
            StatusCode::UNAUTHORIZED,
            "You have a second factor: type your password again, and the code that your app \
             shows now, or one of your recovery codes."
                .to_owned(),
            None,
        ),
        LoginError::Throttled(wait) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!("Too many logins failed. Try again in {} seconds.", wait.seconds),
            Some(wait.seconds),
        ),
        LoginError::Busy => (
            StatusCode::TOO_MANY_REQUESTS,
            "Many people log in at this moment. Try again in a second.".to_owned(),
            Some(1),
        ),
        LoginError::Unavailable(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, sentence(error.message()), None)
        }
        LoginError::Failed(why) => {
            tracing::error!(error = why, "a login failed");
            let words = "The server can't check logins now. Its log says why.";
            (StatusCode::INTERNAL_SERVER_ERROR, words.to_owned(), None)
        }
    }
}
