//! A gate in front of an engine's socket: it passes everything on, counts the
//! requests that change something, and at one of them kills the server, or lets
//! nothing through for a while.
//!
//! ```text
//! hades ──▶ gate one ──▶ engine one
//!       ──▶ gate two ──▶ engine two
//!               └─ one ledger: the calls of all gates in one order
//! ```

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When the server dies, seen from the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request doesn't reach the engine.
    Before,
    /// The engine has done what it was asked, and nobody hears of it.
    After,
}

/// Kills whoever is behind the gates.
pub type Kill = Box<dyn Fn() + Send + Sync>;

/// What went through all gates that share it.
#[derive(Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    changes: Vec<String>,
    lists: Vec<String>,
    strike: Option<(usize, Moment)>,
    struck: Option<String>,
    kill: Option<Kill>,
    streams: Vec<UnixStream>,
}

impl Ledger {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom a strike kills.
    pub fn set_victim(&self, kill: Kill) {
        self.inner().kill = Some(kill);
    }

    /// Counts from nothing again, and strikes at the change of that number,
    /// counted from 1.
    pub fn begin(&self, strike: Option<(usize, Moment)>) {
        let mut inner = self.inner();
        inner.changes.clear();
        inner.lists.clear();
        inner.strike = strike;
        inner.struck = None;
    }

    /// Requests that change something, since the beginning.
    pub fn changes(&self) -> Vec<String> {
        self.inner().changes.clone()
    }

    /// Lists of containers, since the beginning: the gate of each.
    pub fn lists(&self) -> Vec<String> {
        self.inner().lists.clone()
    }

    /// The request at which it struck.
    pub fn struck(&self) -> Option<String> {
        self.inner().struck.clone()
    }

    /// What becomes of a request.
    fn note(&self, gate: &str, request: &Request) -> Verdict {
        let Request { method, path, .. } = request;
        let mut inner = self.inner();
        if inner.struck.is_some() {
            return Verdict::Drop;
        }
        if !request.changes() {
            if path.contains("/containers/json") {
                inner.lists.push(gate.to_owned());
            }
            return Verdict::Pass;
        }
        inner.changes.push(format!("{gate}: {method} {path}"));
        match inner.strike {
            Some((number, moment)) if number == inner.changes.len() => match moment {
                Moment::Before => {
                    inner.strike_now();
                    Verdict::Drop
                }
                Moment::After => Verdict::PassAndStrike,
            },
            _ => Verdict::Pass,
        }
    }

    fn strike(&self) {
        let mut inner = self.inner();
        if inner.struck.is_none() {
            inner.strike_now();
        }
    }

    fn is_struck(&self) -> bool {
        self.inner().struck.is_some()
    }

    fn keep(&self, stream: &UnixStream) {
        self.inner().streams.extend(stream.try_clone().ok());
    }
}

impl Inner {
    /// With the ledger held, so that nothing passes any gate meanwhile.
    fn strike_now(&mut self) {
        self.struck = self.changes.last().cloned();
        if let Some(kill) = &self.kill {
            kill();
        }
        for stream in self.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

enum Verdict {
    Pass,
    PassAndStrike,
    Drop,
}

/// What a gate lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Connections are closed at once.
    Cut,
}

struct Shared {
    name: String,
    engine: PathBuf,
    ledger: Arc<Ledger>,
    mode: Mutex<Mode>,
    /// Changes that may still go through before it is cut.
    left: Mutex<Option<usize>>,
    streams: Mutex<Vec<UnixStream>>,
    ended: AtomicBool,
}

/// A gate in front of one engine.
pub struct Gate {
    shared: Arc<Shared>,
    pub socket: PathBuf,
}

impl Gate {
    /// Listens on a socket in `folder`.
    pub fn new(name: &str, folder: &Path, engine: &str, ledger: &Arc<Ledger>) -> Self {
        let socket = folder.join(format!("{name}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            engine: PathBuf::from(engine),
            ledger: ledger.clone(),
            mode: Mutex::new(Mode::Open),
            left: Mutex::default(),
            streams: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = accepting.clone();
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Self { shared, socket }
    }

    /// As a DockerHost has it.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The host can't be reached: connections break, and new ones, too.
    pub fn cut(&self) {
        self.shared.set(Mode::Cut);
    }

    /// The same, as soon as so many changes have gone through.
    pub fn cut_after(&self, changes: usize) {
        *self.shared.left.lock().unwrap() = Some(changes);
    }

    /// Whether nothing goes through.
    pub fn is_cut(&self) -> bool {
        *self.shared.mode.lock().unwrap() == Mode::Cut
    }

    /// Everything goes through again.
    pub fn open(&self) {
        self.shared.set(Mode::Open);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.set(Mode::Cut);
        // Wakes the thread that accepts, so that it ends.
        let _ = UnixStream::connect(&self.socket);
    }
}

impl Shared {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
        if mode == Mode::Cut {
            for stream in self.streams.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn is_open(&self) -> bool {
        *self.mode.lock().unwrap() == Mode::Open
    }

    /// Counts a change; cuts when there was one too many.
    fn is_spent(&self) -> bool {
        let mut left = self.left.lock().unwrap();
        match &mut *left {
            None => return false,
            Some(0) => *left = None,
            Some(count) => {
                *count -= 1;
                return false;
            }
        }
        drop(left);
        self.set(Mode::Cut);
        true
    }

    fn serve(self: Arc<Self>, client: UnixStream) {
        if !self.is_open() {
            return;
        }
        let Ok(engine) = UnixStream::connect(&self.engine) else { return };
        self.ledger.keep(&client);
        self.streams.lock().unwrap().extend(client.try_clone().ok());
        let strikes = Arc::new(AtomicBool::new(false));
        let answers = {
            let (shared, strikes) = (self.clone(), strikes.clone());
            let (from, to) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || shared.pass_answers(from, to, &strikes))
        };
        let _ = self.pass_requests(BufReader::new(client.try_clone().unwrap()), &engine, &strikes);
        let _ = engine.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
        let _ = answers.join();
    }

    fn pass_requests(
        &self,
        mut client: BufReader<UnixStream>,
        mut engine: &UnixStream,
        strikes: &AtomicBool,
    ) -> std::io::Result<()> {
        while let Some(request) = Request::read(&mut client)? {
            if !self.is_open() {
                return Ok(());
            }
            if request.changes() && self.is_spent() {
                return Ok(());
            }
            match self.ledger.note(&self.name, &request) {
                Verdict::Drop => return Ok(()),
                Verdict::Pass => {}
                Verdict::PassAndStrike => strikes.store(true, Ordering::SeqCst),
            }
            engine.write_all(&request.bytes)?;
            if request.upgrades {
                std::io::copy(&mut client, &mut engine)?;
            }
        }
        Ok(())
    }

    fn pass_answers(&self, mut engine: UnixStream, mut client: UnixStream, strikes: &AtomicBool) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(size @ 1..) = engine.read(&mut buffer) {
            // The engine answers a change when it is done.
            if strikes.load(Ordering::SeqCst) {
                self.ledger.strike();
            }
            if self.ledger.is_struck()
                || !self.is_open()
                || client.write_all(&buffer[..size]).is_err()
            {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// A request, whole but for what comes after an upgrade.
struct Request {
    method: String,
    path: String,
    bytes: Vec<u8>,
    upgrades: bool,
}

impl Request {
    fn changes(&self) -> bool {
        self.method != "GET" && self.method != "HEAD"
    }

    fn read(from: &mut impl BufRead) -> std::io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let (mut length, mut chunked, mut upgrades) = (0, false, false);
        loop {
            let start = bytes.len();
            if from.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            let line = String::from_utf8_lossy(&bytes[start..]).trim().to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap_or(0),
                Some(("transfer-encoding", value)) => chunked = value.contains("chunked"),
                Some(("upgrade", _)) => upgrades = true,
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        bytes.append(&mut body);
        while chunked {
            let start = bytes.len();
            from.read_until(b'\n', &mut bytes)?;
            let size = String::from_utf8_lossy(&bytes[start..]).trim().to_owned();
            let size = usize::from_str_radix(&size, 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            from.read_exact(&mut chunk)?;
            bytes.append(&mut chunk);
            chunked = size > 0;
        }
        let head = String::from_utf8_lossy(&bytes);
        let mut words = head.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(Some(Self { method, path, bytes, upgrades }))
    }
}
