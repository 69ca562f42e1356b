//! `hadesctl set image`.

use clap::Args;
use serde_json::json;

use crate::change::{self, Changed, OverrideFlags};
use crate::context::Context;
use crate::error::Error;
use crate::proposal::{self, ProposalFlags};
use crate::rollout::{self, WaitFlags};
use crate::service::Service;

/// Change the image of a service
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT/SERVICE
    #[arg(value_name = "SERVICE")]
    address: String,

    /// Image, as `docker pull` takes it
    image: String,

    #[command(flatten)]
    proposing: ProposalFlags,

    #[command(flatten)]
    overriding: OverrideFlags,

    #[command(flatten)]
    waiting: WaitFlags,
}

/// Changes the image.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let address = context.address(&arguments.address).await?;
    let service = Service::find(context, address).await?;
    let image = &arguments.image;
    let patch = service.patch(json!({"image": image}));
    let (target, before) = (&service.target, &service.environment);
    if arguments.proposing.is_wanted() {
        let subject = format!("{}: image {image}", service.address);
        let flags = &arguments.proposing;
        let prepared = proposal::prepare(context, target, before, &patch, flags, &subject).await?;
        return prepared.publish(context);
    }
    let changed = change::merge(context, target, before, &patch, &arguments.overriding).await;
    match changed.map_err(proposal::offered)? {
        Changed::Yes => context.terminal.line(&format!("{service}: image set to {image}"))?,
        Changed::No => {
            context.terminal.line(&format!("{service} has the image {image} already"))?
        }
    }
    if arguments.waiting.wait {
        let timeout = arguments.waiting.timeout;
        rollout::request_and_follow(context, &service.address, timeout).await?;
    }
    Ok(())
}
