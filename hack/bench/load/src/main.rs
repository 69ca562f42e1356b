//! Load for the benchmark of the API server: closed loops over some
//! connections, lists, and the time from a write to the event of a watch.
//!
//! It runs on the processors that the server also needs, so it does little
//! itself: one thread, bodies that are put together from prepared bytes, and
//! answers of which only the length is looked at. Results go to standard output
//! as JSON; times are in seconds.

mod connection;
mod list;
mod load;
mod object;
mod sample;
mod target;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use connection::Protocol;
use object::Kind;
use target::{LoadError, Target};

/// What to measure, and where.
#[derive(Debug, Parser)]
#[command(name = "hades-bench-load", version)]
struct Flags {
    /// Kubeconfig of the server, as `hades serve` writes it.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: PathBuf,

    /// How many connections ask at the same time.
    #[arg(long, default_value_t = 8)]
    connections: usize,

    /// HTTP/2 in place of HTTP/1.1.
    #[arg(long)]
    http2: bool,

    /// Kind of the objects.
    #[arg(long, value_enum, default_value_t = Kind::Configmap)]
    kind: Kind,

    /// Namespace of the objects; made where it is absent.
    #[arg(long, default_value = "bench")]
    namespace: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates numbered objects of 1 KB.
    Create {
        /// Number of the first object.
        #[arg(long, default_value_t = 0)]
        first: usize,
        /// How many.
        #[arg(long)]
        count: usize,
    },
    /// Reads random objects of those that `create` made.
    Get(Closed),
    /// Merge-patches random objects of those that `create` made.
    Patch(Closed),
    /// Lists all objects of the namespace, one list after another.
    List {
        /// In which form.
        #[arg(long, value_enum, default_value_t = list::Form::Json)]
        form: list::Form,
        /// How often.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Patches an object and takes the time until watches show it.
    Deliver {
        /// How many watches are open.
        #[arg(long, default_value_t = 1)]
        watchers: usize,
        /// Writes in a second.
        #[arg(long, default_value_t = 100)]
        rate: u32,
        /// How many writes.
        #[arg(long)]
        writes: usize,
    },
    /// Opens watches, says `ready`, and holds them until standard input ends.
    Hold {
        /// How many.
        #[arg(long, default_value_t = 50)]
        watchers: usize,
    },
}

/// A loop in which every connection asks again as soon as it has its answer.
#[derive(Debug, clap::Args)]
struct Closed {
    /// How many objects there are.
    #[arg(long)]
    count: usize,
    /// For how long.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hades-bench-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let protocol = if flags.http2 { Protocol::Http2 } else { Protocol::Http1 };
    let target = Target::read(&flags.kubeconfig, protocol)?;
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        let objects = object::Objects::new(flags.kind, &flags.namespace);
        load::ensure_namespace(&target, &flags.namespace).await?;
        let connections = flags.connections;
        Ok::<_, LoadError>(match &flags.command {
            Command::Create { first, count } => {
                load::create(&target, &objects, connections, *first, *count).await?
            }
            Command::Get(closed) => {
                load::get(&target, &objects, connections, closed.count, closed.seconds).await?
            }
            Command::Patch(closed) => {
                load::patch(&target, &objects, connections, closed.count, closed.seconds).await?
            }
            Command::List { form, rounds } => {
                list::measure(&target, &objects, *form, *rounds).await?
            }
            Command::Deliver { watchers, rate, writes } => {
                watch::deliver(&target, &objects, *watchers, *rate, *writes).await?
            }
            Command::Hold { watchers } => watch::hold(&target, &objects, *watchers).await?,
        })
    })?;
    println!("{result}");
    Ok(())
}
