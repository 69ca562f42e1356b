//! `hadesctl completion`: completion scripts.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell as Generator, generate};

use crate::cli::Cli;
use crate::context::Context;
use crate::error::Error;

const AFTER_HELP: &str = "\
To load it in every new shell:
  bash: hadesctl completion bash > ~/.local/share/bash-completion/completions/hadesctl
  zsh:  hadesctl completion zsh > \"${fpath[1]}/_hadesctl\"
  fish: hadesctl completion fish > ~/.config/fish/completions/hadesctl.fish";

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let generator = match arguments.shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    let mut script = vec![];
    generate(generator, &mut Cli::command(), "hadesctl", &mut script);
    context.terminal.print(&String::from_utf8_lossy(&script))
}
