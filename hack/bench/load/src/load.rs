//! Closed loops: every connection asks again as soon as it has its answer.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::object::Objects;
use crate::sample::{processor_seconds, summary};
use crate::target::{LoadError, Target};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

/// Makes a namespace, unless it is there.
pub async fn ensure_namespace(target: &Target, name: &str) -> Result<(), LoadError> {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let path = "/api/v1/namespaces";
    let request = target.request(Method::POST, path, Some(JSON), body.to_string().into())?;
    match target.connect().await?.ask(request).await {
        Ok(_) | Err(LoadError::Refused { status: 409, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates the objects from `first` on.
pub async fn create(
    target: &Target,
    objects: &Objects,
    connections: usize,
    first: usize,
    count: usize,
) -> Result<Value, LoadError> {
    // Put together before the clock starts.
    let manifests: Vec<Bytes> = (first..first + count).map(|n| objects.manifest(n)).collect();
    let next = Rc::new(Cell::new(0));
    run(target, connections, |_| {
        let index = next.replace(next.get() + 1);
        let Some(body) = manifests.get(index) else {
            return Ok(None);
        };
        target.request(Method::POST, objects.collection(), Some(JSON), body.clone()).map(Some)
    })
    .await
}

/// Reads random objects of the first `count`.
pub async fn get(
    target: &Target,
    objects: &Objects,
    connections: usize,
    count: usize,
    seconds: f64,
) -> Result<Value, LoadError> {
    let random = Random::new();
    run(target, connections, |elapsed| {
        if elapsed.as_secs_f64() > seconds {
            return Ok(None);
        }
        let path = objects.path(random.below(count));
        target.request(Method::GET, &path, None, Bytes::new()).map(Some)
    })
    .await
}

/// Merge-patches random objects of the first `count`, with a new value each time.
pub async fn patch(
    target: &Target,
    objects: &Objects,
    connections: usize,
    count: usize,
    seconds: f64,
) -> Result<Value, LoadError> {
    let random = Random::new();
    run(target, connections, |elapsed| {
        if elapsed.as_secs_f64() > seconds {
            return Ok(None);
        }
        let path = objects.path(random.below(count));
        target.request(Method::PATCH, &path, Some(MERGE), objects.stamp(random.next())).map(Some)
    })
    .await
}

/// Sends what `next` makes, given the time since the start, until it has nothing
/// more.
async fn run(
    target: &Target,
    connections: usize,
    next: impl Fn(Duration) -> Result<Option<Request<Full<Bytes>>>, LoadError>,
) -> Result<Value, LoadError> {
    let connections = try_join_all((0..connections).map(|_| target.connect())).await?;
    let used = processor_seconds();
    let started = Instant::now();
    let next = &next;
    let samples = try_join_all(connections.into_iter().map(|mut connection| async move {
        let mut samples = Vec::new();
        loop {
            let asked = Instant::now();
            let Some(request) = next(asked - started)? else {
                return Ok::<_, LoadError>(samples);
            };
            connection.ask(request).await?;
            samples.push(asked.elapsed());
        }
    }))
    .await?
    .concat();
    let seconds = started.elapsed().as_secs_f64();
    let used = processor_seconds() - used;
    let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    Ok(json!({
        "seconds": seconds,
        "perSecond": f64::from(count) / seconds,
        "latency": summary(samples),
        "ownProcessorSeconds": used,
    }))
}

/// A small generator of numbers without pattern (SplitMix64); the same each run.
struct Random(Cell<u64>);

impl Random {
    fn new() -> Self {
        // A new value on every run, so that a repeated patch changes something.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(Cell::new(now.map_or(1, |now| now.as_secs())))
    }

    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }
}
