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

/// Somebody has said something wrong. A name that isn't a user's isn't told: it may
/// be a password that was typed in the wrong place.
pub(crate) fn not_logged_in(server: &ApiServer, person: Option<&Person>, from: &Origin) {
    let event = login(from).answered(401, "Unauthorized", "");
    let event = match person {
        Some(person) => event.by_name(&person.name),
        None => event.note("hades.dev/user", "there is no such user"),
    };
    server.audit().record(event.note(METHOD, "password"));
}

/// Somebody has ended his session.
pub(crate) fn logged_out(server: &ApiServer, user: &str, session: &str) {
    let event = AuditEvent::new("logout", LOGOUT).by_name(user).answered(200, "", "");
    server.audit().record(event.note(SESSION, session));
}

fn login(from: &Origin) -> AuditEvent {
    AuditEvent::new("login", LOGIN).from(from.address).with(&from.agent)
}
