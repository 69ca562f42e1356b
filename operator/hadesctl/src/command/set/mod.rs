//! `hadesctl set`.

pub mod assignment;
mod env;
mod image;
mod kept_secret;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::Error;

/// Change variables or the image of a service
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Change environment variables of a service, or list them
    Env(env::Arguments),
    /// Change the image of a service
    Image(image::Arguments),
}

/// Changes what is asked for.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.what {
        What::Env(arguments) => env::run(context, arguments).await,
        What::Image(arguments) => image::run(context, arguments).await,
    }
}
