//! `hadesctl restart`.

use clap::Args;
use hades_client::{object, request, wait};

use crate::context::Context;
use crate::error::Error;
use crate::rollout::{self, WaitFlags};
use crate::target::{self, Target};

/// Replace containers by new ones of the same description
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT for all services, PROJECT/ENVIRONMENT/SERVICE for one
    address: Option<String>,

    #[command(flatten)]
    waiting: WaitFlags,
}

/// Asks for the restart.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let address = context.address_or_default(arguments.address.as_deref()).await?;
    let session = context.session().await?;
    let target = Target::environment(&address);
    let project = Some(address.project.as_str());
    let found = object::get(session, &target.kind, project, &address.environment).await?;
    let Some(environment) = found else {
        return Err(target::not_found(session, &target).await);
    };
    if let Some(service) = &address.service {
        let known = target::services(session, &environment).await;
        if let Some(error) = target::service_not_found(&address, service, &known) {
            return Err(error);
        }
    }
    let request = request::restart(session, &address, context.now()).await?;
    let what = match &address.service {
        Some(service) => format!("service {service} of {target}"),
        None => target.to_string(),
    };
    context.terminal.line(&format!("{what}: restart requested"))?;
    if !arguments.waiting.wait {
        return Ok(());
    }
    let goal = wait::Goal::HandledAndReady(request);
    rollout::follow(context, &address, &goal, arguments.waiting.timeout).await
}
