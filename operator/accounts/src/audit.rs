//! What the audit log is told of logins. Requests about passwords, tokens and
//! second factors pass the gate of the API server, which records them itself.

use hades_apiserver::ApiServer;
use hades_apiserver::audit::AuditEvent;

use crate::directory::Person;
use crate::origin::Origin;

const LOGIN: &str = "/auth/login";
const LOGOUT: &str = "/auth/logout";

/// How somebody showed who he is.
const METHOD: &str = "hades.dev/method";
/// Who somebody is at the provider of identities.
const SUBJECT: &str = "hades.dev/subject";
/// Id of a session, which is no secret.
const SESSION: &str = "hades.dev/session";

/// Somebody has logged in, in whichever way.
pub(crate) fn logged_in(
    server: &ApiServer,
    person: &Person,
    method: &str,
    session: &str,
    from: &Origin,
) {
    let event = login(from).by_name(&person.name).answered(201, "", "");
    server.audit().record(event.note(METHOD, method).note(SESSION, session));
}

/// Somebody has shown too little, or something wrong.
pub(crate) struct Refused<'a> {
    /// As whom. A name that was typed is told only if it is a user's: it may be a
    /// password in the wrong place.
    pub user: Option<&'a str>,
    /// How.
    pub method: &'a str,
    /// Why, in words of this server's.
    pub why: &'a str,
    /// Who it is at the provider of identities, where that is proven.
    pub subject: Option<&'a str>,
}

/// Somebody isn't let in.
pub(crate) fn not_logged_in(server: &ApiServer, refused: &Refused<'_>, from: &Origin) {
    let Refused { user, method, why, subject } = *refused;
    let event = login(from).answered(401, "Unauthorized", why).note(METHOD, method);
    let event = match user {
        Some(user) => event.by_name(user),
        None => event.note("hades.dev/user", "there is no such user"),
    };
    let event = match subject {
        Some(subject) => event.note(SUBJECT, subject),
        None => event,
    };
    server.audit().record(event);
}

/// Somebody has ended his session.
pub(crate) fn logged_out(server: &ApiServer, user: &str, session: &str) {
    let event = AuditEvent::new("logout", LOGOUT).by_name(user).answered(200, "", "");
    server.audit().record(event.note(SESSION, session));
}

fn login(from: &Origin) -> AuditEvent {
    AuditEvent::new("login", LOGIN).from(from.address).with(&from.agent)
}
