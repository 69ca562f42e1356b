//! `/login/device`: somebody who is logged in lets the command line log in as him.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use hades_apiserver::Peer;

use super::browser::{Browser, Posted, STAMP};
use super::html::{Text, alert, hidden};
use super::page::{self, Page};
use super::{DEVICE, LOGIN};
use crate::device::{Approval, Asked};
use crate::forms::{self, Form};
use crate::origin::Origin;
use crate::sessions::{Method, SessionInfo};
use crate::sign_in::SignIn;
use crate::site;
use crate::throttle::Throttled;

/// The purpose of its form.
const PURPOSE: &str = "device";

/// Asks for a code, or shows who asks with the one that is given.
pub(crate) async fn show(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let (headers, uri) = (&parts.headers, &parts.uri);
    let browser = match Browser::of(&sign_in, headers) {
        Ok(browser) => browser,
        Err(error) => return page::failed(&error, DEVICE),
    };
    let session = match confirming(&browser) {
        Ok(session) => session,
        Err(()) => return log_in_first(&browser, uri),
    };
    let query = Form::of_query(uri.query()).unwrap_or_default();
    let code = query.text("user_code");
    // A page elsewhere could have a browser come here with made-up codes until the tries of
    // its user are used up. So who was led here says once more that he wants to.
    if code.is_empty() || site::is_led_here(headers) {
        return ask_for_code("", code).answer(StatusCode::OK, &browser.cookies);
    }
    let from = Origin::of(parts.extensions.get::<Peer>(), headers);
    match find(&sign_in, session, code, &from) {
        Ok(Some(asked)) => confirm(&sign_in, &browser, session, &asked, &from)
            .answer(StatusCode::OK, &browser.cookies),
        Ok(None) => ask_for_code(UNKNOWN, "").answer(StatusCode::NOT_FOUND, &browser.cookies),
        Err(wait) => too_many(wait),
    }
}

const UNKNOWN: &str = "No login waits under this code. Codes are good for ten minutes and once.";

/// The session that may let another one begin: one that somebody logged in to. One
/// that was let in itself could go on for ever so.
fn confirming(browser: &Browser) -> Result<&SessionInfo, ()> {
    let session = browser.session.as_ref();
    session.filter(|session| !matches!(session.how, Method::Device { .. })).ok_or(())
}

fn log_in_first(browser: &Browser, uri: &Uri) -> Response {
    if browser.session.is_some() {
        let words = "This browser shows a session of the command line. Log out here, and log in \
                     with a password or single sign-on.";
        let title = "Log in yourself first";
        return page::problem(StatusCode::FORBIDDEN, title, words, super::LOGOUT);
    }
    let here = uri.path_and_query().map_or(DEVICE, |here| here.as_str());
    let to = format!("{LOGIN}?{}", forms::query(&[("next", here)]));
    page::redirect(&to, &browser.cookies)
}

/// The login that waits under a code. Guessing codes is slowed down.
fn find(
    sign_in: &SignIn,
    session: &SessionInfo,
    code: &str,
    from: &Origin,
) -> Result<Option<Asked>, Throttled> {
    // No name of a user has a blank.
    let guesses = format!("device codes by {}", session.identity.name);
    let attempt = sign_in.accounts.throttle().begin_guess(&guesses, from)?;
    let asked = sign_in.grants.find(code);
    if asked.is_some() {
        attempt.take_back();
    }
    Ok(asked)
}

fn too_many(wait: Throttled) -> Response {
    let words = format!("Too many wrong codes. Try again in {} seconds.", wait.seconds);
    let title = "Wait a moment";
    let mut response = page::problem(StatusCode::TOO_MANY_REQUESTS, title, &words, DEVICE);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.seconds));
    response
}

/// A code as it is written, and then some.
const LONGEST: usize = 20;

fn ask_for_code(problem: &str, code: &str) -> Page<'static> {
    let code: String = code.chars().take(LONGEST).collect();
    let body = format!(
        "{problem}\n<p>Type the code that <code>hadesctl login</code> shows.</p>\n\
         <form method=\"get\" action=\"{DEVICE}\">\n<label for=\"user_code\">Code</label>\n\
         <input class=\"code\" id=\"user_code\" name=\"user_code\" value=\"{code}\" \
         autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" \
         maxlength=\"{LONGEST}\" required autofocus>\n\
         <button type=\"submit\">Go on</button>\n</form>",
        problem = alert(problem),
        code = Text(code),
    );
    Page { title: "Command line login", body }
}

/// Shows who asks, and lets somebody decide.
fn confirm(
    sign_in: &SignIn,
    browser: &Browser,
    session: &SessionInfo,
    asked: &Asked,
    here: &Origin,
) -> Page<'static> {
    let Asked { user_code, from, host, asked: when } = asked;
    let address = from.address.map(|address| address.to_canonical().to_string());
    let address = address.unwrap_or_else(|| "this machine".to_owned());
    let elsewhere = if from.network() == here.network() {
        ""
    } else {
        "<p class=\"alert\">It asks from another network than the one you are in.</p>\n"
    };
    let host = host.as_ref().map(|host| format!("<dt>Calls itself</dt><dd>{}</dd>", Text(host)));
    let ago = (sign_in.accounts.now().as_second() - when).max(0);
    let ago = if ago < 60 { format!("{ago} s ago") } else { format!("{} min ago", ago / 60) };
    let user = Text(&session.identity.name);
    let stamp = hidden(STAMP, &browser.stamp(&sign_in.stamps, PURPOSE));
    let code = hidden("user_code", user_code);
    let body = format!(
        "<p>The command line asks to log in as <strong>{user}</strong>. It shows this code:</p>\n\
         <p class=\"shown\">{user_code}</p>\n\
         <dl><dt>Address</dt><dd>{address}</dd>{host}<dt>Asked</dt><dd>{ago}</dd></dl>\n\
         {elsewhere}<p class=\"note\">Go on only if you began this yourself, just now, and your \
         terminal shows the same code. Whoever sent you here by a link or a message would be logged \
         in as you.</p>\n\
         <form method=\"post\" action=\"{DEVICE}\">\n{stamp}{code}\n\
         <button type=\"submit\" name=\"decision\" value=\"approve\">Log in as {user}</button>\n\
         <button class=\"plain\" type=\"submit\" name=\"decision\" value=\"refuse\">Refuse</button>\n\
         </form>",
        address = Text(address),
        host = host.unwrap_or_default(),
    );
    Page { title: "Is this you?", body }
}

/// Lets a login go on, or refuses it.
pub(crate) async fn decide(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    let posted = match Posted::read(&sign_in, request, PURPOSE, DEVICE).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let Posted { browser, form, from, .. } = posted;
    let Ok(session) = confirming(&browser) else {
        return page::redirect(LOGIN, &browser.cookies);
    };
    let code = form.text("user_code");
    if let Err(wait) = find(&sign_in, session, code, &from) {
        return too_many(wait);
    }
    let identity = &session.identity;
    let approval = match form.text("decision") {
        "approve" => Some(Approval {
            user: identity.name.clone(),
            uid: identity.uid.clone().unwrap_or_default(),
            groups: session.how.groups().to_vec(),
            session: session.id.clone(),
            until: session.expires,
        }),
        "refuse" => None,
        _ => return page::redirect(DEVICE, &browser.cookies),
    };
    let approved = approval.is_some();
    let Some(asked) = sign_in.grants.decide(code, approval) else {
        return ask_for_code(UNKNOWN, "").answer(StatusCode::NOT_FOUND, &browser.cookies);
    };
    let address = asked.from.address.map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(user = identity.name, approved, address, "a device login was decided");
    decided(approved).answer(StatusCode::OK, &browser.cookies)
}

fn decided(approved: bool) -> Page<'static> {
    if approved {
        let body = "<p>The command line will be logged in within seconds. You can close this \
                    page.</p>\n<p class=\"foot\">If that was a mistake, logging out here no longer \
                    helps once it is in: end its session (<code>hadesctl session list</code>, \
                    <code>hadesctl session end</code>), or change your password \
                    (<code>hadesctl passwd</code>), which ends all others.</p>";
        return Page { title: "Done", body: body.to_owned() };
    }
    let body = "<p>Nobody was logged in. If you didn't begin this yourself, somebody tried to get \
                into your account: tell your administrator.</p>";
    Page { title: "Refused", body: body.to_owned() }
}
