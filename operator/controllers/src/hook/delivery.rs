//! Delivery: one request of a forge, from its headers to the answer.

use std::sync::Arc;
use std::time::Instant;

use hades_api::{SYSTEM_NAMESPACE, reason};
use http::{HeaderMap, header};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::SECRET_KEY;
use super::payload::{Forge, Meaning, meaning};
use super::signature::{Check, text_of};
use super::table::{Entry, Table};
use super::wakes::Wakes;
use crate::{Context, error_chain};

/// The longest body: what GitHub sends at most, 25 MB, the most of all forges. It
/// costs no memory, as a body is signed while it comes in.
pub const MAX_BODY: usize = 25 << 20;

/// So much of a body is kept to look at. A push of a few commits has 10 KB. What
/// is longer is taken to concern the branch.
const KEPT: usize = 256 << 10;

/// So much of all bodies together is kept. What finds no room is taken to concern
/// the branch: a fetch too many costs little.
const KEPT_IN_ALL: usize = 8 << 20;

/// What all deliveries share.
pub(crate) struct Hooks {
    pub(crate) table: Table,
    pub(crate) wakes: Wakes,
    room: Arc<Semaphore>,
    /// Key of the work that is done where there is no secret.
    decoy: [u8; 32],
}

impl Default for Hooks {
    fn default() -> Self {
        let mut decoy = [0; 32];
        if let Err(error) = getrandom::fill(&mut decoy) {
            // It is the key of work whose result is never believed.
            tracing::warn!(%error, "the system has no random numbers");
        }
        Self {
            table: Table::default(),
            wakes: Wakes::default(),
            room: Arc::new(Semaphore::new(KEPT_IN_ALL)),
            decoy,
        }
    }
}

/// What a forge is answered: a status code of HTTP and a sentence, which forges
/// show to whoever looks at their deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub code: u16,
    /// In one sentence.
    pub message: &'static str,
    /// Word for the metrics.
    outcome: &'static str,
}

impl Answer {
    const ACCEPTED: Self = Self::new(202, "the repository is fetched now", "accepted");
    const PONG: Self = Self::new(200, "the webhook works", "ping");
    const REFUSED: Self =
        Self::new(401, "no such repository, or its secret and the signature don't fit", "refused");
    const TOO_LONG: Self = Self::new(413, "the body is longer than 25 MiB", "too_long");
    const TOO_SLOW: Self = Self::new(408, "the body took too long to arrive", "too_slow");
    const UNAVAILABLE: Self = Self::new(503, "Hades can't look now, deliver again", "unavailable");

    const fn new(code: u16, message: &'static str, outcome: &'static str) -> Self {
        Self { code, message, outcome }
    }
}

/// A delivery whose body is coming in.
pub struct Delivery {
    context: Arc<Context>,
    headers: HeaderMap,
    forge: Forge,
    entry: Option<Entry>,
    has_token: bool,
    check: Check,
    length: usize,
    /// The body so far; none once it is too long to keep.
    kept: Option<Vec<u8>>,
    /// For what is kept. One permit, as bodies may come in parts of a byte.
    room: Option<OwnedSemaphorePermit>,
}

impl Delivery {
    /// Begins with the path and the headers of a request.
    ///
    /// # Errors
    /// The answer, where there is one before the body was read.
    pub async fn begin(
        context: &Arc<Context>,
        namespace: &str,
        name: &str,
        headers: HeaderMap,
    ) -> Result<Self, Answer> {
        let forge = Forge::of(&headers);
        let refuse = |answer: Answer| {
            context.metrics.hook(forge.name(), answer.outcome);
            answer
        };
        let declared = text_of(&headers, header::CONTENT_LENGTH.as_str());
        if declared.and_then(|text| text.parse::<usize>().ok()).is_some_and(|n| n > MAX_BODY) {
            return Err(refuse(Answer::TOO_LONG));
        }
        let hooks = &context.hooks;
        let unavailable = |error: kube::Error| {
            tracing::warn!(error = error_chain(&error), "a webhook can't be looked up");
            refuse(Answer::UNAVAILABLE)
        };
        hooks.table.fill(&context.client).await.map_err(unavailable)?;
        let found = hooks.table.find(namespace, name);
        let (secret_namespace, secret_name) = &found.secret;
        let token = read_token(context, secret_namespace, secret_name).await;
        let token = token.map_err(unavailable)?;
        // What was read for another repository opens none.
        let own = token.filter(|_| found.entry.as_ref().is_some_and(|e| e.secret.is_some()));
        let secret = own.as_ref().map(ExposeSecret::expose_secret);
        let check = Check::begin(&headers, secret, &hooks.decoy);
        Ok(Self {
            context: context.clone(),
            headers,
            forge,
            entry: found.entry,
            has_token: secret.is_some_and(|secret| !secret.is_empty()),
            check,
            length: 0,
            kept: Some(Vec::new()),
            room: None,
        })
    }

    /// Takes the next part of the body.
    ///
    /// # Errors
    /// The answer, when the body is too long.
    pub fn update(&mut self, part: &[u8]) -> Result<(), Answer> {
        self.length += part.len();
        if self.length > MAX_BODY {
            self.context.metrics.hook(self.forge.name(), Answer::TOO_LONG.outcome);
            return Err(Answer::TOO_LONG);
        }
        self.check.update(part);
        self.keep(part);
        Ok(())
    }

    fn keep(&mut self, part: &[u8]) {
        let Some(kept) = &mut self.kept else { return };
        let size = u32::try_from(part.len()).unwrap_or(u32::MAX);
        let room = self.context.hooks.room.clone().try_acquire_many_owned(size).ok();
        match room.filter(|_| kept.len() + part.len() <= KEPT) {
            Some(room) => {
                match &mut self.room {
                    Some(held) => held.merge(room),
                    none => *none = Some(room),
                }
                kept.extend_from_slice(part);
            }
            None => {
                self.kept = None;
                self.room = None;
            }
        }
    }

    /// The rest of the body doesn't come.
    pub fn too_slow(self) -> Answer {
        self.context.metrics.hook(self.forge.name(), Answer::TOO_SLOW.outcome);
        Answer::TOO_SLOW
    }

    /// The body is whole: wakes the repository if it is to be fetched.
    pub fn end(self) -> Answer {
        let Self { context, headers, forge, entry, has_token, check, kept, room, length: _ } = self;
        let genuine = check.end();
        let answer = match (genuine, entry) {
            (true, Some(entry)) => {
                let meaning = meaning(&headers, kept.as_deref(), &entry.followed);
                answer_to(&context, &entry, meaning)
            }
            (_, entry) => {
                if let Some(entry) = entry {
                    tell_refusal(&context, entry, has_token);
                }
                Answer::REFUSED
            }
        };
        drop(room);
        context.metrics.hook(forge.name(), answer.outcome);
        answer
    }
}

fn answer_to(context: &Context, entry: &Entry, meaning: Meaning) -> Answer {
    match meaning {
        Meaning::Concerns => {
            let namespace = entry.repository.namespace().unwrap_or_default();
            context.hooks.wakes.wake((namespace, entry.repository.name_any()));
            Answer::ACCEPTED
        }
        Meaning::Ping => Answer::PONG,
        Meaning::Elsewhere(why) => Answer::new(200, why, "ignored"),
        Meaning::Unreadable(why) => Answer::new(400, why, "unreadable"),
    }
}

/// The token of a webhook's Secret.
pub(super) async fn read_token(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<SecretString>, kube::Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let data = api.get_opt(name).await?.and_then(|secret| secret.data).unwrap_or_default();
    let token = data.get(SECRET_KEY).and_then(|token| std::str::from_utf8(&token.0).ok());
    // An editor or `echo` leaves a line's end behind.
    Ok(token.map(|token| SecretString::from(token.trim_end_matches(['\r', '\n']))))
}

/// Says that a delivery was refused, without anybody having to wait for it: how
/// long the answer takes must not tell that the repository is there.
fn tell_refusal(context: &Arc<Context>, entry: Entry, has_token: bool) {
    if !context.hooks.table.may_tell(&entry.repository, Instant::now()) {
        return;
    }
    let place = entry.repository.namespace().unwrap_or_else(|| SYSTEM_NAMESPACE.to_owned());
    let note = match &entry.secret {
        None => "a delivery to the webhook was refused: spec.webhook names no Secret; \
                 `hadesctl webhook` sets it up"
            .to_owned(),
        Some(secret) if !has_token => format!(
            "a delivery to the webhook was refused: Secret {secret} in {place} isn't there or has \
             no key {SECRET_KEY}"
        ),
        Some(secret) => format!(
            "a delivery to the webhook was refused: its signature doesn't fit the {SECRET_KEY} in \
             Secret {secret}. Is the same one set in the forge?"
        ),
    };
    let context = context.clone();
    tokio::spawn(async move {
        let repository = &entry.repository;
        context.events.warning(repository, reason::WEBHOOK_REFUSED, "Webhook", note).await;
    });
}
