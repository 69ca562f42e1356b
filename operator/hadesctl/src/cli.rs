//! Flags and arguments that all commands share, and the list of commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::command;

/// Where a person looks first: what it is, and the exit status.
const AFTER_HELP: &str = "\
Addresses are PROJECT/ENVIRONMENT[/SERVICE[/REPLICA]], such as shop/production/api.
`hadesctl use PROJECT/ENVIRONMENT` keeps one; /SERVICE is then a service of it.
The server is found by --kubeconfig, KUBECONFIG or ~/.hades/kubeconfig.

Exit status: 0 done; 1 failed (diff: there are changes); 2 called wrongly (diff: failed);
exec: that of the command; secret diff: as diff.";

/// Steers Hades: see, change and follow environments.
#[derive(Debug, Parser)]
#[command(name = "hadesctl", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// File that says where the server is and who you are
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// Project (which is a namespace) [aliases: -n, --namespace]
    #[arg(short, long, global = true, alias = "namespace", short_alias = 'n')]
    #[arg(value_name = "PROJECT")]
    pub project: Option<String>,

    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On terminals, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show objects of a kind as a table, YAML or JSON
    Get(command::get::Arguments),
    /// Show one object with its conditions, resources and events
    Describe(command::describe::Arguments),
    /// Create or change objects from manifests
    Apply(command::apply::Arguments),
    /// Show what would change: the plan against what really runs
    Diff(command::diff::Arguments),
    /// Show an environment merged over its template
    Render(command::render::Arguments),
    /// Delete objects
    Delete(command::delete::Arguments),
    /// Show what happened, newest last
    Events(command::events::Arguments),
    /// Wait until an object is ready, gone or has a condition
    Wait(command::wait::Arguments),
    /// Have Hades look now: fetch a repository, check an environment
    Sync(command::sync::Arguments),
    /// Hold changes back; what runs keeps running
    Suspend(command::suspend::Arguments),
    /// Let changes through again
    Resume(command::suspend::Arguments),
    /// Replace containers by new ones of the same description
    Restart(command::restart::Arguments),
    /// Stop services: no containers until they are started again
    Stop(command::stop::Arguments),
    /// Start services that were stopped
    Start(command::stop::Arguments),
    /// Change how many containers services have
    Scale(command::scale::Arguments),
    /// Change variables or the image of a service
    Set(command::set::Arguments),
    /// Set, list, compare, seal, reveal and delete Secrets
    Secret(command::secret::Arguments),
    /// Change an object in an editor
    Edit(command::edit::Arguments),
    /// Show containers
    Ps(command::ps::Arguments),
    /// Show what containers use of processor, memory and network
    Top(command::top::Arguments),
    /// Run a command in a container
    Exec(command::exec::Arguments),
    /// Set up a webhook, so that a push is applied at once
    Webhook(command::webhook::Arguments),
    /// Show what containers write
    Logs(command::logs::Arguments),
    /// Keep an address that is meant when none is written
    Use(command::use_::Arguments),
    /// Add, test, drain and remove Docker hosts
    Host(command::host::Arguments),
    /// Look after volumes: copy them to other hosts
    Volume(command::volume::Arguments),
    /// Log in to a server, by a browser unless something else is said
    Login(command::login::Arguments),
    /// End the login on the server and forget it here
    Logout(command::logout::Arguments),
    /// Show who you are to the server, and where you may do what
    Whoami(command::whoami::Arguments),
    /// Change your own password
    Passwd(command::passwd::Arguments),
    /// Have your logins need a code from your telephone
    Totp(command::totp::Arguments),
    /// Make, list and revoke API tokens
    Token(command::token::Arguments),
    /// Show and end logins
    Session(command::session::Arguments),
    /// Make users, keep them out, set their passwords
    User(command::user::Arguments),
    /// Make somebody a member of a project
    Grant(command::grant::GrantArguments),
    /// Take somebody's role in a project
    Revoke(command::grant::RevokeArguments),
    /// Show who works on a project, as what
    Members(command::members::Arguments),
    /// Show who may do something, and by which binding
    WhoCan(command::who_can::Arguments),
    /// Ask what you may do
    Auth(command::auth::Arguments),
    /// Show who did what, and when
    Audit(command::audit::Arguments),
    /// Make a starter repository of manifests
    Init(command::init::Arguments),
    /// Print a completion script for a shell
    Completion(command::completion::Arguments),
    /// Show the versions of client and server
    Version(command::version::Arguments),
}

impl Command {
    /// Exit status when the command fails.
    pub fn exit_code_of_errors(&self) -> u8 {
        // 1 says that there are changes.
        match self {
            Self::Diff(_) => 2,
            Self::Secret(arguments) if arguments.compares() => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn project_has_the_names_that_kubectl_users_type() {
        for flag in ["-p", "-n", "--project", "--namespace"] {
            let made = ["hadesctl", "token", "create", "ci", flag, "shop", flag, "blog"];
            assert!(Cli::try_parse_from(made).is_ok(), "{flag}");
            let cli = Cli::try_parse_from(["hadesctl", "get", "env", flag, "shop"]).unwrap();
            assert_eq!(cli.global.project.as_deref(), Some("shop"), "{flag}");
        }
    }
}
