//! Table: what each repository follows and where its secret is, so that to look a
//! repository up costs the same whether it is there or not.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hades_api::ConfigRepository;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::OnceCell;

use super::payload::Followed;
use super::wakes::Place;

/// A repository's refused deliveries are told at most so often.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What is known of a repository.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The object without what nobody needs here; for events about it.
    pub(crate) repository: ConfigRepository,
    pub(crate) followed: Followed,
    /// Name of the Secret that `spec.webhook` names.
    pub(crate) secret: Option<String>,
}

impl Entry {
    fn of(repository: &ConfigRepository) -> Self {
        let spec = &repository.spec;
        let mut bare = ConfigRepository::new(&repository.name_any(), spec.clone());
        bare.metadata.namespace = repository.namespace();
        bare.metadata.uid = repository.uid();
        Self {
            followed: match (spec.followed_branch(), &spec.tag) {
                (Some(branch), _) => Followed::Branch(branch.to_owned()),
                (None, Some(_)) => Followed::Tags,
                (None, None) => Followed::Commit,
            },
            secret: spec.webhook.as_ref().map(|webhook| webhook.secret_ref.name.clone()),
            repository: bare,
        }
    }
}

#[derive(Default)]
struct Rows {
    entries: BTreeMap<Place, Entry>,
    /// When a refusal was last told, by repository.
    told: BTreeMap<Place, Instant>,
}

/// All repositories. Filled by a list at the first delivery and kept by passes.
#[derive(Default)]
pub(crate) struct Table {
    rows: Mutex<Rows>,
    listed: OnceCell<()>,
}

/// What to do for a delivery.
pub(super) struct Found {
    /// The repository, if it is there.
    pub(super) entry: Option<Entry>,
    /// The Secret to read, as namespace and name. Where the repository has none
    /// it is another one's, so that the reading takes as long.
    pub(super) secret: Place,
}

impl Table {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a pass or a list found.
    pub(crate) fn learn(&self, repository: &ConfigRepository) {
        self.rows().entries.insert(place(repository), Entry::of(repository));
    }

    /// The repository is gone.
    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        let place = (namespace.to_owned(), name.to_owned());
        let mut rows = self.rows();
        rows.entries.remove(&place);
        rows.told.remove(&place);
    }

    /// Lists all repositories, once: right after a start no pass has been here.
    pub(super) async fn fill(&self, client: &Client) -> Result<(), kube::Error> {
        self.listed
            .get_or_try_init(|| async {
                let api: Api<ConfigRepository> = Api::all(client.clone());
                let list = api.list(&Default::default()).await?;
                let mut rows = self.rows();
                for repository in &list.items {
                    // What a pass found is newer.
                    let entry = rows.entries.entry(place(repository));
                    entry.or_insert_with(|| Entry::of(repository));
                }
                Ok(())
            })
            .await
            .copied()
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Found {
        let rows = self.rows();
        let entry = rows.entries.get(&(namespace.to_owned(), name.to_owned())).cloned();
        let stand_in = rows.entries.iter().find_map(|((namespace, _), entry)| {
            entry.secret.as_ref().map(|secret| (namespace.clone(), secret.clone()))
        });
        drop(rows);
        let own = entry.as_ref().and_then(|entry| entry.secret.clone());
        let secret = own.map(|secret| (namespace.to_owned(), secret)).or(stand_in);
        // With no secret anywhere there is nothing to find out.
        let secret = secret.unwrap_or_else(|| ("hades-system".to_owned(), "none".to_owned()));
        Found { entry, secret }
    }

    /// Whether a refusal may be told now; then it is taken as told.
    pub(super) fn may_tell(&self, repository: &ConfigRepository, now: Instant) -> bool {
        let place = place(repository);
        let mut rows = self.rows();
        let recent = rows.told.get(&place).is_some_and(|&told| now < told + TELL_EVERY);
        if !recent && rows.entries.contains_key(&place) {
            rows.told.insert(place, now);
            return true;
        }
        false
    }
}

fn place(repository: &ConfigRepository) -> Place {
    (repository.meta().namespace.clone().unwrap_or_default(), repository.name_any())
}
