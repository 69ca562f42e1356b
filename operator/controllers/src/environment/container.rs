//! The containers of an environment, by the names that people use for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use hades_api::{DockerHost, Environment, label};
use hades_plan::observed::is_owned;
use hades_plan::{ContainerState, ObservedContainer};
use hades_provider::{Provider, ProviderError};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::Context;
use crate::driver::ReconcileError;

/// A container that is there, and the way to it.
pub(crate) struct FoundContainer {
    pub(crate) host: String,
    pub(crate) service: String,
    pub(crate) replica: u32,
    pub(crate) seen: ObservedContainer,
    pub(crate) provider: Arc<dyn Provider>,
}

/// What was found on the hosts of an environment.
#[derive(Default)]
pub(crate) struct Survey {
    /// In the order of host, service and replica.
    pub(crate) containers: Vec<FoundContainer>,
    /// Hosts that could not be looked at, and why.
    pub(crate) unseen: Vec<(String, String)>,
}

/// Looks at every host that the environment's status names. None when there is
/// no such environment.
pub(crate) async fn survey(
    context: &Context,
    project: &str,
    environment: &str,
) -> Result<Option<Survey>, ReconcileError> {
    let environments: Api<Environment> = Api::namespaced(context.client.clone(), project);
    let found = environments
        .get_opt(environment)
        .await
        .map_err(ReconcileError::api(format!("read Environment {project}/{environment}")))?;
    let Some(found) = found else { return Ok(None) };
    let used: BTreeSet<String> = found
        .status
        .iter()
        .flat_map(|status| &status.resources)
        .map(|resource| resource.host.clone())
        .collect();
    let hosts: Api<DockerHost> = Api::all(context.client.clone());
    let hosts = hosts
        .list(&ListParams::default())
        .await
        .map_err(ReconcileError::api("list DockerHosts"))?;
    let hosts: Vec<DockerHost> =
        hosts.into_iter().filter(|host| used.contains(&host.name_any())).collect();
    let looks = hosts.iter().map(|host| of_host(context, host, project, environment));
    let seen = join_all(looks).await;
    let mut survey = Survey::default();
    for (host, seen) in hosts.iter().zip(seen) {
        match seen {
            Ok(containers) => survey.containers.extend(containers),
            Err(message) => survey.unseen.push((host.name_any(), message)),
        }
    }
    survey.containers.sort_by(|a, b| {
        (&a.host, &a.service, a.replica, &a.seen.name).cmp(&(
            &b.host,
            &b.service,
            b.replica,
            &b.seen.name,
        ))
    });
    Ok(Some(survey))
}

async fn of_host(
    context: &Context,
    host: &DockerHost,
    project: &str,
    environment: &str,
) -> Result<Vec<FoundContainer>, String> {
    let name = host.name_any();
    let clear = |mut error: ProviderError| {
        context.project_values(project).clear(&mut error);
        error.message
    };
    let provider = context.hosts.get(&name, &host.spec).await.map_err(clear)?;
    let snapshot = provider.observe().await.map_err(clear)?;
    let owned = snapshot
        .containers
        .iter()
        .filter(|seen| is_owned(&seen.labels, &context.installation, project, environment))
        .cloned();
    Ok(owned
        .map(|seen| FoundContainer {
            host: name.clone(),
            service: seen.labels.get(label::SERVICE).cloned().unwrap_or_default(),
            replica: seen.labels.get(label::REPLICA).and_then(|n| n.parse().ok()).unwrap_or(0),
            seen,
            provider: provider.clone(),
        })
        .collect())
}

/// Why no container can be picked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// There is none of that name.
    #[error("there is no container {wanted:?} in {environment}; {known}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// `PROJECT/ENVIRONMENT`.
        environment: String,
        /// What there is, or why nothing is known.
        known: String,
    },
    /// There is one, and it doesn't run.
    #[error(
        "container {name} of {wanted:?} is {state}, and only a running one can be entered; `hadesctl describe {environment}` shows why"
    )]
    NotRunning {
        /// What was asked for.
        wanted: String,
        /// `PROJECT/ENVIRONMENT`.
        environment: String,
        /// Its name.
        name: String,
        /// Its state.
        state: &'static str,
    },
}

impl Survey {
    /// The container that `wanted` stands for: `SERVICE` (its first replica that
    /// runs), `SERVICE/REPLICA`, or a container's own name.
    ///
    /// # Errors
    /// When there is none, or it doesn't run.
    pub(crate) fn pick(
        &self,
        environment: &str,
        wanted: &str,
    ) -> Result<&FoundContainer, PickError> {
        let (service, replica) = match wanted.split_once('/') {
            Some((service, replica)) => (service, replica.parse::<u32>().ok()),
            None => (wanted, None),
        };
        let fits = |found: &&FoundContainer| {
            found.seen.name == wanted
                || (found.service == service
                    && (wanted == service || Some(found.replica) == replica))
        };
        let runs = |found: &&FoundContainer| found.seen.state == ContainerState::Running;
        let mut fitting = self.containers.iter().filter(fits);
        if let Some(found) = fitting.clone().filter(runs).min_by_key(|found| found.replica) {
            return Ok(found);
        }
        match fitting.next() {
            Some(found) => Err(PickError::NotRunning {
                wanted: wanted.to_owned(),
                environment: environment.to_owned(),
                name: found.seen.name.clone(),
                state: found.seen.state.as_str(),
            }),
            None => Err(PickError::Unknown {
                wanted: wanted.to_owned(),
                environment: environment.to_owned(),
                known: self.known(),
            }),
        }
    }

    fn known(&self) -> String {
        if let Some((host, why)) = self.unseen.first() {
            return format!("host {host} can't be looked at: {why}");
        }
        let names: BTreeSet<String> = self
            .containers
            .iter()
            .map(|found| format!("{}/{}", found.service, found.replica))
            .collect();
        match names.is_empty() {
            true => "it has no containers".to_owned(),
            false => format!("there are: {}", Vec::from_iter(names).join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use hades_provider::fake::FakeHost;

    use super::*;

    fn survey(containers: &[(&str, u32, &str, ContainerState)]) -> Survey {
        let containers = containers.iter().map(|(service, replica, name, state)| FoundContainer {
            host: "local".to_owned(),
            service: (*service).to_owned(),
            replica: *replica,
            seen: ObservedContainer {
                name: (*name).to_owned(),
                state: *state,
                ..ObservedContainer::default()
            },
            provider: Arc::new(FakeHost::new()),
        });
        Survey { containers: containers.collect(), unseen: Vec::new() }
    }

    #[test]
    fn a_service_stands_for_its_first_replica_that_runs() {
        use ContainerState::{Exited, Running};
        let survey = survey(&[
            ("api", 1, "a1", Exited),
            ("api", 3, "a3", Running),
            ("api", 2, "a2", Running),
            ("web", 1, "w1", Exited),
        ]);
        let name = |wanted| survey.pick("shop/production", wanted).map(|f| f.seen.name.as_str());
        assert_eq!(name("api"), Ok("a2"));
        assert_eq!(name("api/3"), Ok("a3"));
        assert_eq!(name("a3"), Ok("a3"));
        for (wanted, part) in [
            ("api/1", "container a1 of \"api/1\" is exited"),
            ("web", "is exited"),
            ("apo", "there are: api/1, api/2, api/3, web/1"),
            ("api/x", "there is no container"),
        ] {
            let error = name(wanted).unwrap_err().to_string();
            assert!(error.contains(part), "{wanted}: {error}");
        }
    }

    #[test]
    fn a_host_that_is_not_seen_is_named() {
        let mut survey = survey(&[]);
        let error = survey.pick("shop/production", "api").err().unwrap().to_string();
        assert!(error.contains("it has no containers"), "{error}");
        survey.unseen.push(("web-1".to_owned(), "connection refused".to_owned()));
        let error = survey.pick("shop/production", "api").err().unwrap().to_string();
        assert!(error.contains("host web-1 can't be looked at: connection refused"), "{error}");
    }
}
