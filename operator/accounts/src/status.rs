//! Statuses: what the status of a User says, written some time after it happened
//! and then once for all that happened.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hades_api::User;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

/// What happened to a user.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    login: Option<Timestamp>,
    second_factor: Option<bool>,
}

/// News that aren't written yet.
pub(crate) struct Statuses {
    client: Client,
    news: Mutex<BTreeMap<String, News>>,
    /// Held while news are written, so that later ones are written later.
    turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Statuses")
    }
}

impl Statuses {
    pub fn new(client: Client) -> Self {
        Self { client, news: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    fn news(&self) -> MutexGuard<'_, BTreeMap<String, News>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A user logged in.
    pub fn logged_in(&self, user: &str, when: Timestamp) {
        self.news().entry(user.to_owned()).or_default().login = Some(when);
    }

    /// Logins of a user need a second factor from now on, or no longer.
    pub fn second_factor(&self, user: &str, needed: bool) {
        self.news().entry(user.to_owned()).or_default().second_factor = Some(needed);
    }

    /// Writes the news.
    pub async fn write(&self) {
        let _turn = self.turn.lock().await;
        let news = std::mem::take(&mut *self.news());
        let users: Api<User> = Api::all(self.client.clone());
        for (name, news) in news {
            let patch = Patch::Merge(json!({"status": status(news)}));
            match users.patch_status(&name, &PatchParams::default(), &patch).await {
                Ok(_) => {}
                // Deleted meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    tracing::warn!(user = name, %error, "the status of a User was not written");
                }
            }
        }
    }
}

fn status(news: News) -> Map<String, Value> {
    let News { login, second_factor } = news;
    let login = login.map(|time| {
        let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        ("lastLoginTime".to_owned(), json!(text))
    });
    let factor = second_factor.map(|needed| ("secondFactor".to_owned(), json!(needed)));
    login.into_iter().chain(factor).collect()
}
