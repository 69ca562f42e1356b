//! Arrival: as which user somebody logs in whom the provider vouches for.

use std::sync::Arc;

use hades_api::{User, UserSpec};
use hades_apiserver::{Identity, Record, VaultError};
use kube::Api;
use kube::api::PostParams;

use super::claims::{ClaimError, Who};
use super::links::Link;
use super::provider::Provider;
use super::settings::ProviderSettings;
use crate::directory::Person;
use crate::origin::Origin;
use crate::sessions::{Method, Session, SessionError};
use crate::sign_in::SignIn;

/// Annotations of a User that a first login made: of which provider, and who there.
const ISSUER: &str = "hades.dev/single-sign-on-issuer";
const SUBJECT: &str = "hades.dev/single-sign-on-subject";

/// Why somebody has no user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivalError {
    /// There is one of that name, which isn't his.
    #[error("there is another user {0:?} already")]
    Taken(String),
    /// The User was deleted, and shall not come back by itself.
    #[error("the user {0:?} was deleted")]
    Gone(String),
    /// A User of that name can't be made.
    #[error("{user:?} can't be the name of a user: {why}")]
    Name {
        /// The name.
        user: String,
        /// What the server says.
        why: String,
    },
    /// There is no name to make a User by.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the User can't be made: {0}")]
    User(Box<kube::Error>),
}

impl ArrivalError {
    /// The user that it is about.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Taken(user) | Self::Gone(user) => Some(user),
            Self::Name { .. } | Self::Claim(_) | Self::Vault(_) | Self::User(_) => None,
        }
    }
}

impl SignIn {
    /// Begins the session of somebody who has arrived as this user.
    ///
    /// # Errors
    /// Where he may not log in, or was unlinked since.
    pub(crate) async fn let_in(
        &self,
        provider: &Provider,
        who: &Who,
        person: &Person,
        from: &Origin,
    ) -> Result<Session, SessionError> {
        let ProviderSettings { name, issuer, .. } = &provider.settings;
        let how = Method::SingleSignOn { provider: name.clone(), groups: who.groups.clone() };
        // Whoever unlinks ends the sessions that are there after the link is gone.
        let _turn = self.accounts.inner.changes.lock().await;
        let link = self.links.of(issuer, &who.subject)?;
        if link.is_none_or(|link| link.value.uid != person.uid) {
            return Err(SessionError::KeptOut(person.name.clone()));
        }
        self.accounts.begin_session(person, how, from).await
    }

    /// The user that somebody is; made at his first login.
    ///
    /// # Errors
    /// When there is none for him.
    pub(crate) async fn arrive(
        &self,
        issuer: &str,
        who: &Who,
    ) -> Result<Arc<Person>, ArrivalError> {
        // Of two first logins at once, one makes the user.
        let _turn = self.linking.lock().await;
        let link = match self.links.of(issuer, &who.subject)? {
            Some(link) if !link.value.uid.is_empty() => {
                let Link { user, uid, .. } = &link.value;
                let person = self.accounts.inner.directory.same(user, uid);
                return person.ok_or_else(|| ArrivalError::Gone(user.clone()));
            }
            Some(unfinished) => unfinished,
            None => self.begin_link(issuer, who).await?,
        };
        self.finish_link(link, who).await
    }

    /// Keeps the link before its User is made: a first login that is cut off in
    /// between goes on with the next one.
    async fn begin_link(&self, issuer: &str, who: &Who) -> Result<Record<Link>, ArrivalError> {
        let name = who.name.clone()?;
        if self.accounts.person(&name).is_some() {
            return Err(ArrivalError::Taken(name));
        }
        let link = Link {
            issuer: issuer.to_owned(),
            subject: who.subject.clone(),
            user: name,
            uid: String::new(),
            since: self.accounts.now(),
        };
        self.links.create(&link).await?;
        let link = self.links.of(issuer, &who.subject)?;
        Ok(link.ok_or(VaultError::Changed)?)
    }

    async fn finish_link(
        &self,
        mut link: Record<Link>,
        who: &Who,
    ) -> Result<Arc<Person>, ArrivalError> {
        let inner = &*self.accounts.inner;
        let users: Api<User> = Api::all(inner.server.client(Identity::controller("accounts")));
        let name = link.value.user.clone();
        let error = |error| ArrivalError::User(Box::new(error));
        let user = match users.create(&PostParams::default(), &new_user(&link.value, who)).await {
            Ok(user) => user,
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let there = users.get_opt(&name).await.map_err(error)?;
                match there.filter(|user| is_of(user, &link.value)) {
                    Some(user) => user,
                    None => {
                        self.links.remove(&link).await?;
                        return Err(ArrivalError::Taken(name));
                    }
                }
            }
            // It stays so. With another claim or prefix there is another name the next time.
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => {
                self.links.remove(&link).await?;
                return Err(ArrivalError::Name { user: name, why: status.message });
            }
            Err(refused) => return Err(error(refused)),
        };
        link.value.uid = user.metadata.uid.unwrap_or_default();
        self.links.update(&link).await?;
        tracing::info!(user = name, issuer = link.value.issuer, "a first login made a user");
        let person = inner.directory.same(&name, &link.value.uid);
        person.ok_or(ArrivalError::Gone(name))
    }
}

fn new_user(link: &Link, who: &Who) -> User {
    let spec = UserSpec {
        display_name: who.display_name.clone(),
        email: who.email.clone(),
        ..UserSpec::default()
    };
    let mut user = User::new(&link.user, spec);
    let annotations = [(ISSUER, &link.issuer), (SUBJECT, &link.subject)];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.clone()));
    user.metadata.annotations = Some(annotations.into());
    user
}

/// Whether a login that was cut off made this User.
fn is_of(user: &User, link: &Link) -> bool {
    let annotations = user.metadata.annotations.as_ref();
    let text = |key: &str| annotations.and_then(|all| all.get(key)).map(String::as_str);
    text(ISSUER) == Some(&*link.issuer) && text(SUBJECT) == Some(&*link.subject)
}

#[cfg(test)]
mod tests {
    use hades_apiserver::{ApiServer, ServerConfig};

    use super::*;
    use crate::{Accounts, Cost, Settings, SignInSettings};

    const ISSUER_OF_TEST: &str = "https://id.example.com";

    fn who(subject: &str) -> Who {
        Who {
            subject: subject.to_owned(),
            name: Ok("jane".to_owned()),
            display_name: None,
            email: None,
            groups: Vec::new(),
        }
    }

    async fn bed() -> (ApiServer, Arc<SignIn>, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path(), hades_api::schema::crds());
        let server = ApiServer::open(config).await.unwrap();
        let mut settings = Settings::new(directory.path());
        settings.cost = Cost { memory: 64, passes: 1, lanes: 1 };
        let accounts = Accounts::open(&server, settings).await.unwrap();
        let sign_in = SignInSettings {
            external_url: Some("https://hades.example".to_owned()),
            provider: Some(ProviderSettings::new(ISSUER_OF_TEST, "hades")),
        };
        (server, SignIn::new(&accounts, sign_in).unwrap(), directory)
    }

    #[tokio::test]
    async fn who_is_unlinked_on_his_way_in_gets_no_session() {
        let (_server, sign_in, _directory) = bed().await;
        let (who, from) = (who("1"), Origin::default());
        let provider = sign_in.provider.as_ref().unwrap();
        let person = sign_in.arrive(ISSUER_OF_TEST, &who).await.unwrap();
        sign_in.let_in(provider, &who, &person, &from).await.unwrap();
        let link = sign_in.links.of(ISSUER_OF_TEST, "1").unwrap().unwrap();
        sign_in.links.remove(&link).await.unwrap();
        let refused = sign_in.let_in(provider, &who, &person, &from).await;
        assert!(matches!(refused, Err(SessionError::KeptOut(_))), "{refused:?}");
        // Linked anew with somebody else.
        let other = Link { uid: "another".into(), ..link.value };
        sign_in.links.create(&other).await.unwrap();
        let refused = sign_in.let_in(provider, &who, &person, &from).await;
        assert!(matches!(refused, Err(SessionError::KeptOut(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_name_that_no_user_can_have_is_not_kept() {
        let (_server, sign_in, _directory) = bed().await;
        for bad in ["jane_doe", "jane..doe"] {
            let who = Who { name: Ok(bad.to_owned()), ..who("1") };
            let error = sign_in.arrive(ISSUER_OF_TEST, &who).await.unwrap_err();
            assert!(matches!(&error, ArrivalError::Name { user, .. } if user == bad), "{error}");
        }
        // With another claim, or another prefix.
        let person = sign_in.arrive(ISSUER_OF_TEST, &who("1")).await.unwrap();
        assert_eq!(person.name, "jane");
    }

    #[tokio::test]
    async fn a_first_login_that_was_cut_off_goes_on() {
        let (server, sign_in, _directory) = bed().await;
        let users: Api<User> = Api::all(server.client(Identity::controller("tester")));
        let arrive = async |subject| sign_in.arrive(ISSUER_OF_TEST, &who(subject)).await;
        // Before the User was made: somebody else made one of the name meanwhile.
        sign_in.begin_link(ISSUER_OF_TEST, &who("1")).await.unwrap();
        let other = User::new("jane", UserSpec::default());
        users.create(&PostParams::default(), &other).await.unwrap();
        assert!(matches!(arrive("1").await, Err(ArrivalError::Taken(name)) if name == "jane"));
        assert!(sign_in.links.of(ISSUER_OF_TEST, "1").unwrap().is_none());
        users.delete("jane", &kube::api::DeleteParams::default()).await.unwrap();
        // Before the User was made.
        sign_in.begin_link(ISSUER_OF_TEST, &who("1")).await.unwrap();
        let first = arrive("1").await.unwrap();
        assert_eq!(arrive("1").await.unwrap().uid, first.uid);
        assert!(matches!(arrive("2").await, Err(ArrivalError::Taken(_))));
        users.delete("jane", &kube::api::DeleteParams::default()).await.unwrap();
        // After it was made.
        let link = sign_in.begin_link(ISSUER_OF_TEST, &who("3")).await.unwrap().value;
        let made = users.create(&PostParams::default(), &new_user(&link, &who("3"))).await;
        assert_eq!(arrive("3").await.unwrap().uid, made.unwrap().metadata.uid.unwrap());
    }
}
