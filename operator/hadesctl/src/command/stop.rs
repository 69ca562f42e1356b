//! `hadesctl stop` and `hadesctl start`.

use std::collections::BTreeMap;

use clap::Args;
use hades_api::annotation;
use hades_client::{object, request};
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::rollout::{self, WaitFlags};
use crate::service;
use crate::target::{self, Target};

/// Stop services, or start them again
///
/// A stopped service has no containers. Its volumes stay, and so does how many
/// containers it is to have. Git doesn't undo it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT for all services, PROJECT/ENVIRONMENT/SERVICE for one
    address: Option<String>,

    #[command(flatten)]
    waiting: WaitFlags,
}

/// Stops or starts.
pub async fn run(context: &Context, arguments: &Arguments, stop: bool) -> Result<(), Error> {
    let address = context.address_or_default(arguments.address.as_deref()).await?;
    let session = context.session().await?;
    let environment = service::environment(context, &address).await?;
    let target = Target::environment(&address);
    let known = target::services(session, &environment).await;
    if let Some(service) = &address.service
        && let Some(error) = target::service_not_found(&address, service, &known)
    {
        return Err(error);
    }
    let annotations = environment.metadata.annotations.unwrap_or_default();
    let now = context.now().to_string();
    let changes = changes(&annotations, &known, address.service.as_deref(), stop.then_some(&now));
    let word = if stop { "stopped" } else { "started" };
    if changes.is_empty() {
        let what = what(&target, address.service.as_deref());
        let already = if stop { "is stopped already" } else { "is not stopped" };
        return context.terminal.line(&format!("{what} {already}"));
    }
    let Target { kind, namespace, name } = &target;
    let patch = request::annotate(&changes);
    object::merge(session, kind, namespace.as_deref(), name, &patch).await?;
    for key in changes.keys() {
        let service = key.strip_prefix(annotation::STOPPED_SERVICE).unwrap_or(key);
        context.terminal.line(&format!("{} {word}", what(&target, Some(service))))?;
    }
    if arguments.waiting.wait {
        rollout::request_and_follow(context, &address, arguments.waiting.timeout).await?;
    }
    Ok(())
}

fn what(target: &Target, service: Option<&str>) -> String {
    match service {
        Some(service) => format!("service {service} of {target}"),
        None => target.to_string(),
    }
}

/// The annotations that have to change: set to `time`, or removed with none. To
/// start everything is also to forget services that are no more.
fn changes(
    annotations: &BTreeMap<String, String>,
    known: &[String],
    service: Option<&str>,
    time: Option<&String>,
) -> BTreeMap<String, Value> {
    let key = |service: &str| format!("{}{service}", annotation::STOPPED_SERVICE);
    let all: Vec<String> = match (service, time) {
        (Some(service), _) => vec![key(service)],
        (None, Some(_)) => known.iter().map(|service| key(service)).collect(),
        (None, None) => annotations
            .keys()
            .filter(|name| name.starts_with(annotation::STOPPED_SERVICE))
            .cloned()
            .collect(),
    };
    let news = all.into_iter().filter(|key| annotations.contains_key(key) != time.is_some());
    news.map(|key| (key, time.map_or(Value::Null, |time| Value::String(time.clone())))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_changed() {
        let known = ["api".to_owned(), "web".to_owned()];
        let annotations: BTreeMap<String, String> = ["web", "gone"]
            .map(|service| (format!("stopped.hades.dev/{service}"), "t0".to_owned()))
            .into();
        let time = "t1".to_owned();
        let found = |service, time| changes(&annotations, &known, service, time);
        let keys = |map: BTreeMap<String, Value>| Vec::from_iter(map.into_keys());
        assert_eq!(keys(found(None, Some(&time))), ["stopped.hades.dev/api"]);
        assert_eq!(found(Some("web"), Some(&time)), BTreeMap::new());
        assert_eq!(found(Some("api"), None), BTreeMap::new());
        let started = found(None, None);
        assert!(started.values().all(Value::is_null));
        assert_eq!(keys(started), ["stopped.hades.dev/gone", "stopped.hades.dev/web"]);
    }
}
