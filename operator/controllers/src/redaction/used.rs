//! What hides a credential that something outside was asked with: its answer may
//! repeat it. No other credential of `hades-system` is searched for in what a project
//! reads, or the project could find out which of its guesses are right.

use hades_redact::Redactor;
use hades_registry::Credentials;
use hades_source::git;
use secrecy::ExposeSecret;

/// Of a registry.
pub(crate) fn of_registry(credentials: &Credentials) -> Redactor {
    let (Credentials::Basic { password: secret, .. } | Credentials::Token(secret)) = credentials;
    Redactor::new([secret.expose_secret().as_bytes()])
}

/// Of a git server or a forge.
pub(crate) fn of_git(credentials: &git::Credentials) -> Redactor {
    let http = credentials.http.as_ref().map(|http| match http {
        git::HttpCredentials::Basic { username: _, password } => password,
        git::HttpCredentials::Bearer(token) => token,
    });
    let ssh = credentials.ssh.as_ref().map(|ssh| &ssh.identity);
    Redactor::new(http.into_iter().chain(ssh).map(|secret| secret.expose_secret().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_hidden_as_headers_carry_it_too() {
        let redactor = of_git(&git::Credentials::basic("bot", "ghp_token1"));
        // bot:ghp_token1
        let answer = "ghp_token1 is bad: Basic Ym90OmdocF90b2tlbjE=";
        let shown = redactor.text(answer).into_owned();
        assert!(!shown.contains("ghp_token1") && !shown.contains("Z2hwX3Rva2VuMQ"), "{shown}");
        assert!(!shown.contains("docF90b2tlbj"), "{shown}");
        assert!(of_git(&git::Credentials::default()).is_empty());
        let redactor = of_registry(&Credentials::basic("bot", "registry-password"));
        assert_eq!(redactor.text("no registry-password here"), "no *** here");
    }
}
