//! `hadesctl`, the command line client of Hades.
//!
//! ```text
//! cli (flags) ─▶ command/* ─▶ hades-client ─▶ the server
//!                   │  └────▶ hades-source, hades-plan: checks without a server
//!                   └──────▶ terminal: text for people, plain when piped
//! ```
//!
//! Invariants:
//! - what a command prints for people is made by pure functions, so that it can
//!   be tested without a server;
//! - standard output holds the result and nothing else; progress, warnings and
//!   errors go to standard error;
//! - the exit status is 0 when it is done, 1 when it failed (for `diff`: when
//!   there are changes) and 2 when it was called wrongly (for `diff`: when it
//!   failed); that of `exec` is the command's own.

mod age;
mod change;
mod cli;
mod command;
mod context;
mod default_address;
mod error;
mod forbidden;
mod layout;
mod manifest;
mod output;
mod prompt;
mod raw_mode;
mod resolved;
mod right;
mod rollout;
mod scope;
mod service;
mod standing;
mod target;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::Error;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let failed = cli.command.exit_code_of_errors();
    let context = Context::new(cli.global);
    // One thread is all that a client needs, and it starts soonest.
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)
        .and_then(|runtime| {
            let outcome = runtime.block_on(async {
                match command::run(&context, cli.command).await {
                    Ok(code) => Ok(code),
                    Err(error) => Err(forbidden::explained(&context, error).await),
                }
            });
            // A read of standard input that never ends must not hold us up.
            runtime.shutdown_background();
            outcome
        })
        .and_then(|code| context.terminal.flush().map(|()| code));
    match outcome {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // What was printed before belongs above the error.
            let _ = context.terminal.flush();
            context.terminal.report(&error);
            ExitCode::from(error.exit_code().unwrap_or(failed))
        }
    }
}
