//! `hadesctl set image`.

use clap::Args;
use serde_json::json;

use crate::change::{self, Changed, OverrideFlags};
use crate::context::Context;
use crate::error::Error;
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
    match change::merge(context, target, before, &patch, &arguments.overriding).await? {
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
