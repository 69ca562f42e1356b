//! `hadesctl scale`.

use clap::Args;
use serde_json::json;

use crate::change::{self, OverrideFlags};
use crate::context::Context;
use crate::error::Error;
use crate::rollout::{self, WaitFlags};
use crate::service::Service;

/// Most replicas that a service may have.
const MOST: u32 = 100;

const AFTER_HELP: &str = "\
Examples:
  hadesctl scale shop/production/api=3
  hadesctl scale shop/production/api=3 shop/production/worker=0
  hadesctl scale shop/production/api --replicas 3 --wait";

/// Change how many containers services have
///
/// `hadesctl stop` holds a service without forgetting how many it had.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT/SERVICE=NUMBER, or without the number along with --replicas
    #[arg(required = true, value_name = "SERVICE=NUMBER")]
    services: Vec<String>,

    /// How many, for every service that doesn't say it itself
    #[arg(long, value_name = "NUMBER")]
    replicas: Option<u32>,

    #[command(flatten)]
    overriding: OverrideFlags,

    #[command(flatten)]
    waiting: WaitFlags,
}

/// Changes the numbers.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let mut wanted = vec![];
    // Everything is looked for first: a wrong name changes nothing.
    for word in &arguments.services {
        let (address, replicas) = split(word, arguments.replicas)?;
        let address = context.address_or_default(Some(address)).await?;
        wanted.push((Service::find(context, address).await?, replicas));
    }
    let mut changed = vec![];
    for (service, replicas) in wanted {
        let patch = service.patch(json!({"replicas": replicas}));
        let written = service.own("replicas").or_else(|| service.inherited("replicas"));
        let is_so = written.map_or(Some(1), |written| written.as_u64()) == Some(replicas.into());
        // What git will say soon may be otherwise: an override keeps the number.
        if is_so && arguments.overriding.override_until.is_none() {
            context.terminal.line(&format!("{service} has {replicas} already"))?;
            continue;
        }
        let before = crate::service::environment(context, &service.address).await?;
        let flags = &arguments.overriding;
        change::merge(context, &service.target, &before, &patch, flags).await?;
        context.terminal.line(&format!("{service} scaled to {replicas}"))?;
        let status = before.data.pointer("/status/stopped").and_then(|list| list.as_array());
        if status.is_some_and(|list| list.iter().any(|name| name == service.name.as_str())) {
            context.terminal.note(&format!(
                "  it is stopped: start it by `hadesctl start {}`",
                service.address
            ));
        }
        if !changed.contains(&service.address.whole()) {
            changed.push(service.address.whole());
        }
    }
    if arguments.waiting.wait {
        for address in &changed {
            rollout::request_and_follow(context, address, arguments.waiting.timeout).await?;
        }
    }
    Ok(())
}

/// Address and number out of `ADDRESS=NUMBER`.
fn split(word: &str, replicas: Option<u32>) -> Result<(&str, u32), Error> {
    let (address, number) = match (word.split_once('='), replicas) {
        (Some((address, number)), None) => match number.parse::<u32>() {
            Ok(number) => (address, number),
            Err(_) => {
                return Err(Error::usage(
                    format!("{number:?} in {word:?} is no number of containers"),
                    format!("write {address}=NUMBER, such as {address}=2"),
                ));
            }
        },
        (Some(_), Some(replicas)) => {
            return Err(Error::usage(
                format!("{word:?} says how many, and so does --replicas {replicas}"),
                "leave one away",
            ));
        }
        (None, Some(replicas)) => (word, replicas),
        (None, None) => {
            return Err(Error::usage(
                format!("nothing says how many containers {word} is to have"),
                format!("write {word}=NUMBER, or add --replicas NUMBER"),
            ));
        }
    };
    if number > MOST {
        return Err(Error::usage(
            format!("{number} containers are more than a service may have"),
            format!("write a number up to {MOST}"),
        ));
    }
    Ok((address, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(split("a/b/c=3", None).unwrap(), ("a/b/c", 3));
        assert_eq!(split("a/b/c", Some(0)).unwrap(), ("a/b/c", 0));
        for (word, replicas) in
            [("a/b/c", None), ("a/b/c=x", None), ("a/b/c=1", Some(1)), ("a/b/c=101", None)]
        {
            assert_eq!(split(word, replicas).unwrap_err().exit_code(), Some(2), "{word}");
        }
    }
}
