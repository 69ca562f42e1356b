//! `hades`: the server. Flags and wiring only; what it does is in the crates.

mod admin_client;
mod admin_socket;
mod admission;
mod allocator;
mod api_certificate;
mod audit_events;
mod audit_log;
mod backup;
mod backup_flags;
mod backups;
mod certificates;
mod cli;
mod core_dump;
mod exec;
mod hooks;
mod identity;
mod identity_flags;
mod instance;
mod local_host;
mod logging;
mod notify;
mod oidc_flags;
mod operations;
mod probes;
mod project_policy;
mod public;
mod scheduled_backups;
mod secrets;
mod self_projects;
mod serve;
mod stopped;
mod store;
mod suspended;
mod sync_request;
mod user;
mod validator;
mod webhooks;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    core_dump::forbid();
    logging::hide_values_of_panics();
    let cli = cli::Cli::parse();
    match cli.command {
        cli::Command::Serve(flags) => {
            allocator::give_back_at_once();
            run(*flags)
        }
        cli::Command::Store { command } => match store::run(&command, &mut std::io::stdout()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => fail(&hades_controllers::error_chain(&error)),
        },
        cli::Command::Audit { command } => match audit_log::run(&command, &mut std::io::stdout()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => fail(&hades_controllers::error_chain(&error)),
        },
        cli::Command::Identity { command } => {
            wait_for(async { identity::run(&command, &mut std::io::stdout()).await })
        }
        cli::Command::User { command } => {
            wait_for(async { user::run(&command, &mut std::io::stdout()).await })
        }
        cli::Command::Backup(flags) => {
            wait_for(async { backup::run(&flags, &mut std::io::stdout()).await })
        }
        cli::Command::Restore(flags) => match backup::restore(&flags, &mut std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&hades_controllers::error_chain(&error)),
        },
        cli::Command::Version => {
            println!("hades {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn run(flags: cli::ServeFlags) -> ExitCode {
    logging::init(flags.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Git fetches and store scans block. Up to 32 fetches may hang at once, and
        // must not keep the store waiting; a thread is made only when it is needed.
        .max_blocking_threads(48)
        .thread_name("hades")
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    let result = runtime.block_on(serve::serve(flags));
    // What still blocks (a git server that hangs) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&hades_controllers::error_chain(&error)),
    }
}

/// Runs a command that asks the server, or does for a while what it does.
fn wait_for<E: std::error::Error + 'static>(work: impl Future<Output = Result<(), E>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&hades_controllers::error_chain(&error)),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("hades: {message}");
    ExitCode::FAILURE
}
