//! Following a roll-out to its end, with all that happens on the way.
//!
//! ```text
//! looks at the object ─┐
//! its events ──────────┼─▶ Progress ─▶ a line a change, or a block that is redrawn
//! the clock ───────────┘   (pure)
//! ```

mod display;
mod progress;

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::Args;
use futures::TryStreamExt;
use hades_client::wait::{Goal, Standing, until_seen};
use hades_client::{Address, Session, request};
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, WatchEvent, WatchParams};

use crate::age::parse_duration;
use crate::context::Context;
use crate::error::Error;
use crate::rollout::display::Display;
use crate::rollout::progress::Progress;
use crate::target::Target;

/// How often the time on a terminal goes on.
const TICK: Duration = Duration::from_secs(1);
/// Pause before events are asked for again.
const EVENTS_RETRY: Duration = Duration::from_secs(2);

/// Whether to follow what was asked for.
#[derive(Debug, Clone, Default, Args)]
pub struct WaitFlags {
    /// Wait until it is done, and show what happens
    #[arg(long)]
    pub wait: bool,

    /// How long to wait at most, for each environment
    #[arg(long, value_parser = parse_duration, default_value = "5m", requires = "wait")]
    #[arg(value_name = "TIME")]
    pub timeout: Duration,
}

/// Asks for a pass, and follows it and all that comes of it to the end.
pub async fn request_and_follow(
    context: &Context,
    address: &Address,
    timeout: Duration,
) -> Result<(), Error> {
    let session = context.session().await?;
    let target = Target::environment(address);
    let Target { kind, namespace, name } = &target;
    let handled =
        request::sync(session, kind, namespace.as_deref(), name, None, context.now()).await?;
    follow(context, address, &Goal::HandledAndReady(handled), timeout).await
}

/// Follows an environment until it is as wanted. Says so on standard output, with
/// the time that it took and the ports that are open.
///
/// # Errors
/// Why it isn't, and what to do about it.
pub async fn follow(
    context: &Context,
    address: &Address,
    goal: &Goal,
    timeout: Duration,
) -> Result<(), Error> {
    let session = context.session().await?;
    let address = address.whole();
    let target = Target::environment(&address);
    let started = Instant::now();
    let since = context.now();
    let show = RefCell::new(Show {
        progress: Progress::new(&address),
        display: Display::new(&context.terminal),
    });
    let wait = until_seen(session, target.subject(), goal, timeout, |object, standing| {
        show.borrow_mut().look(object.map(|object| &object.data), standing, started.elapsed());
    });
    let hear = events(session, &target, since, |event| {
        show.borrow_mut().event(event, started.elapsed());
    });
    let tick = async {
        loop {
            tokio::time::sleep(TICK).await;
            show.borrow_mut().redraw(started.elapsed());
        }
    };
    let outcome = tokio::select! {
        outcome = wait => outcome,
        never = hear => match never {},
        never = tick => match never {},
    };
    let Show { progress, mut display } = show.into_inner();
    display.clear();
    match outcome {
        Ok(()) => {
            for line in progress.success(started.elapsed()) {
                context.terminal.line(&line)?;
            }
            Ok(())
        }
        Err(error) => Err(failure(&progress, error)),
    }
}

/// What is known, and where it is shown.
struct Show<'a> {
    progress: Progress,
    display: Display<'a>,
}

impl Show<'_> {
    fn look(
        &mut self,
        object: Option<&serde_json::Value>,
        standing: Option<&Standing>,
        elapsed: Duration,
    ) {
        let lines = self.progress.look(object, standing);
        self.tell(&lines, elapsed);
    }

    fn event(&mut self, event: &Event, elapsed: Duration) {
        let lines: Vec<String> = self.progress.event(event).into_iter().collect();
        self.tell(&lines, elapsed);
    }

    fn tell(&mut self, lines: &[String], elapsed: Duration) {
        if self.display.is_live() {
            self.redraw(elapsed);
        } else {
            self.display.lines(lines);
        }
    }

    fn redraw(&mut self, elapsed: Duration) {
        if self.display.is_live() {
            self.display.draw(&self.progress.block(elapsed));
        }
    }
}

fn failure(progress: &Progress, error: hades_client::Error) -> Error {
    use hades_client::Error as Client;
    let next = progress.next_steps();
    match error {
        Client::Stalled { what, why } => {
            Error::Incomplete { message: format!("{what} failed: {why}"), hint: Some(next) }
        }
        Client::TimedOut { .. } => {
            Error::Incomplete { message: error.to_string(), hint: Some(next) }
        }
        other => other.into(),
    }
}

/// Hands on the events about an object that are newer than `since`. Ends never:
/// without events a roll-out is only told in fewer words.
async fn events(
    session: &Session,
    target: &Target,
    since: jiff::Timestamp,
    mut tell: impl FnMut(&Event),
) -> Infallible {
    let namespace = target.namespace.as_deref().unwrap_or("default");
    let api: Api<Event> = Api::namespaced(session.client().clone(), namespace);
    let kind = &target.kind.resource.kind;
    let fields = format!("involvedObject.kind={kind},involvedObject.name={}", target.name);
    let parameters = WatchParams::default().fields(&fields);
    loop {
        if let Ok(events) = api.watch(&parameters, "0").await {
            let mut events = pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                if let WatchEvent::Added(event) | WatchEvent::Modified(event) = event
                    && crate::command::events::last_seen(&event).is_some_and(|at| at >= since)
                {
                    tell(&event);
                }
            }
        }
        tokio::time::sleep(EVENTS_RETRY).await;
    }
}
