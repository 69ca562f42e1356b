//! A proxy in front of an engine's socket that counts requests and can lose
//! answers. The client opens a connection for each request.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{UnixListener, UnixStream};

/// A proxy; ends with its runtime.
pub struct Proxy {
    pub endpoint: String,
    counts: Arc<Counts>,
    _directory: tempfile::TempDir,
}

#[derive(Default)]
struct Counts {
    /// First lines of all requests.
    requests: Mutex<Vec<String>>,
    changing: AtomicUsize,
    most_changing: AtomicUsize,
    /// Part of the first line of requests whose answer is to be lost.
    lose: Mutex<Option<String>>,
}

impl Proxy {
    pub fn new(engine: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("proxy.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let counts = Arc::new(Counts::default());
        tokio::spawn(accept(listener, engine.to_owned(), counts.clone()));
        let endpoint = format!("unix://{}", socket.display());
        Self { endpoint, counts, _directory: directory }
    }

    /// First lines of the requests so far, without those that agree on a version.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.counts.requests.lock().unwrap();
        requests.iter().filter(|line| !line.contains("/version")).cloned().collect()
    }

    /// How many requests that change something were under way at once.
    pub fn most_changing(&self) -> usize {
        self.counts.most_changing.load(Ordering::SeqCst)
    }

    /// The engine gets the next request whose first line contains `part`, and
    /// its answer is lost.
    pub fn lose_answer_to(&self, part: &str) {
        *self.counts.lose.lock().unwrap() = Some(part.to_owned());
    }
}

async fn accept(listener: UnixListener, engine: PathBuf, counts: Arc<Counts>) {
    while let Ok((client, _)) = listener.accept().await {
        let (engine, counts) = (engine.clone(), counts.clone());
        tokio::spawn(async move {
            // A connection that breaks is what the client is to see.
            let _ = relay(client, &engine, &counts).await;
        });
    }
}

async fn relay(mut client: UnixStream, engine: &Path, counts: &Counts) -> std::io::Result<()> {
    let mut head = vec![0; 16 * 1024];
    let length = client.read(&mut head).await?;
    let line = String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or("").to_owned();
    counts.requests.lock().unwrap().push(line.clone());
    let is_change = !line.starts_with("GET");
    if is_change {
        let now = counts.changing.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most_changing.fetch_max(now, Ordering::SeqCst);
    }
    let mut server = UnixStream::connect(engine).await?;
    server.write_all(&head[..length]).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    // Bodies may come after heads.
    let asking = copy(&mut from_client, &mut to_server);
    let answering = async {
        let mut first = vec![0; 16 * 1024];
        let length = from_server.read(&mut first).await?;
        // The engine has done it when it begins to answer; connections linger.
        if is_change {
            counts.changing.fetch_sub(1, Ordering::SeqCst);
        }
        let is_lost = {
            let mut lose = counts.lose.lock().unwrap();
            let strikes = lose.as_ref().is_some_and(|part| line.contains(part));
            strikes && lose.take().is_some()
        };
        if !is_lost {
            to_client.write_all(&first[..length]).await?;
            copy(&mut from_server, &mut to_client).await?;
        }
        std::io::Result::Ok(())
    };
    tokio::select! {
        answered = answering => answered,
        // The client has hung up.
        asked = asking => asked.map(|_| ()),
    }
}
