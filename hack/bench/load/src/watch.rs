//! Watches: how long they take to show a write, and what holding them costs.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::connection::Connection;
use crate::object::{Objects, read_stamp};
use crate::sample::{processor_seconds, summary};
use crate::target::{LoadError, Target};

/// An event that takes longer won't come.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open watch and the line that has not ended yet.
struct Watch {
    body: Incoming,
    line: Vec<u8>,
    /// Dropped, it would close the connection.
    _connection: Connection,
}

impl Watch {
    /// Opens a watch of one object and reads its first event, the object itself.
    async fn open(target: &Target, objects: &Objects, name: &str) -> Result<Self, LoadError> {
        let mut connection = target.connect().await?;
        let path = format!("{}?watch=1&fieldSelector=metadata.name%3D{name}", objects.collection());
        let request = target.request(Method::GET, &path, None, Bytes::new())?;
        let body = connection.send(request).await?.into_body();
        let mut watch = Self { body, line: Vec::new(), _connection: connection };
        watch.next_line().await?;
        Ok(watch)
    }

    /// The next whole line.
    async fn next_line(&mut self) -> Result<Vec<u8>, LoadError> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let rest = self.line.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.line, rest));
            }
            let frame = timeout(PATIENCE, self.body.frame()).await;
            match frame {
                Ok(Some(frame)) => {
                    if let Some(data) = frame?.data_ref() {
                        self.line.extend_from_slice(data);
                    }
                }
                Ok(None) => return Err(LoadError::Unexpected("a watch ended early".to_owned())),
                Err(_) => return Err(LoadError::Unexpected("an event is missing".to_owned())),
            }
        }
    }
}

async fn open_all(
    target: &Target,
    objects: &Objects,
    watchers: usize,
) -> Result<(String, Vec<Watch>), LoadError> {
    let path = objects.path(0);
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let body = objects.manifest(0);
    let request =
        target.request(Method::POST, objects.collection(), Some("application/json"), body)?;
    match target.connect().await?.ask(request).await {
        Ok(_) | Err(LoadError::Refused { status: 409, .. }) => {}
        Err(error) => return Err(error),
    }
    let watches = (0..watchers).map(|_| Watch::open(target, objects, &name));
    Ok((path, try_join_all(watches).await?))
}

/// Patches one object again and again, and takes the time from before each write
/// is sent until each watch has its event.
pub async fn deliver(
    target: &Target,
    objects: &Objects,
    watchers: usize,
    rate: u32,
    writes: usize,
) -> Result<Value, LoadError> {
    let (path, watches) = open_all(target, objects, watchers).await?;
    let epoch = Instant::now();
    let used = processor_seconds();
    let samples: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let readers = watches.into_iter().map(|mut watch| {
        let samples = Rc::clone(&samples);
        async move {
            for _ in 0..writes {
                let line = watch.next_line().await?;
                let stamp = read_stamp(&line)
                    .ok_or_else(|| LoadError::Unexpected("an event without stamp".to_owned()))?;
                let elapsed = epoch.elapsed().saturating_sub(Duration::from_nanos(stamp));
                samples.borrow_mut().push(elapsed);
            }
            Ok::<_, LoadError>(())
        }
    });
    let writer = write(target, objects, &path, epoch, rate, writes);
    let (written, _) = tokio::try_join!(writer, try_join_all(readers))?;
    let used = processor_seconds() - used;
    Ok(json!({
        "delivery": summary(samples.take()),
        "write": summary(written),
        "ownProcessorSeconds": used,
    }))
}

async fn write(
    target: &Target,
    objects: &Objects,
    path: &str,
    epoch: Instant,
    rate: u32,
    writes: usize,
) -> Result<Vec<Duration>, LoadError> {
    let mut connection = target.connect().await?;
    let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut samples = Vec::with_capacity(writes);
    for _ in 0..writes {
        ticks.tick().await;
        let started = Instant::now();
        let stamp = u64::try_from((started - epoch).as_nanos()).unwrap_or(u64::MAX);
        let content_type = Some("application/merge-patch+json");
        let request = target.request(Method::PATCH, path, content_type, objects.stamp(stamp))?;
        connection.ask(request).await?;
        samples.push(started.elapsed());
    }
    Ok(samples)
}

/// Opens watches of all objects, as 50 informers that start at once do, says
/// `ready` when each has had the objects that are there, and goes on reading
/// until standard input ends.
pub async fn hold(target: &Target, objects: &Objects, watchers: usize) -> Result<Value, LoadError> {
    let started = Instant::now();
    let watches = try_join_all((0..watchers).map(|_| informer(target, objects))).await?;
    let seconds = started.elapsed().as_secs_f64();
    println!("ready");
    let readers = watches.into_iter().map(|(mut body, _connection)| async move {
        loop {
            match body.frame().await {
                Some(frame) => drop(frame?),
                None => return Err::<(), _>(LoadError::Unexpected("a watch ended".to_owned())),
            }
        }
    });
    let (end, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // However it ends, it ended.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = end.send(());
    });
    tokio::select! {
        _ = ended => {}
        broken = try_join_all(readers) => broken.map(|_| ())?,
    }
    Ok(json!({"watchers": watchers, "secondsUntilAllHadAll": seconds}))
}

/// A watch that has had its initial objects.
async fn informer(target: &Target, objects: &Objects) -> Result<(Incoming, Connection), LoadError> {
    const END: &[u8] = b"k8s.io/initial-events-end";
    let mut connection = target.connect().await?;
    let path = format!(
        "{}?watch=1&allowWatchBookmarks=true&sendInitialEvents=true\
         &resourceVersionMatch=NotOlderThan",
        objects.collection()
    );
    let request = target.request(Method::GET, &path, None, Bytes::new())?;
    let mut body = connection.send(request).await?.into_body();
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            seen.extend_from_slice(data);
        }
        if seen.windows(END.len()).any(|window| window == END) {
            return Ok((body, connection));
        }
        // The mark may come in two pieces.
        seen.drain(..seen.len().saturating_sub(END.len()));
    }
    Err(LoadError::Unexpected("a watch ended early".to_owned()))
}
