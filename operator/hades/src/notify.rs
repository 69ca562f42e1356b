//! Tells systemd how the server is: that it is ready, that it lives, that it ends.
//! Source: sd_notify(3), sd_watchdog_enabled(3).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Whoever wants to hear of it, if somebody does.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How long systemd waits for a sign of life.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says, which systemd sets.
    pub(crate) fn from_env() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let micros = env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        let mine =
            env::var("WATCHDOG_PID").ok().is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = micros.filter(|micros| *micros > 0 && mine).map(Duration::from_micros);
        match socket(&name) {
            Ok(socket) => Self { socket: Some(socket), watchdog },
            Err(error) => {
                tracing::warn!(%error, "systemd can't be told how the server is");
                Self::default()
            }
        }
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::warn!(%error, "systemd can't be told how the server is");
        }
    }

    /// The server answers.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The server is about to end.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Gives signs of life, as long as tasks are run, until `shutdown`.
    pub(crate) async fn live(&self, shutdown: CancellationToken) {
        let Some(watchdog) = self.watchdog else { return };
        loop {
            self.tell("WATCHDOG=1");
            let pause = tokio::time::sleep(watchdog / 3);
            if shutdown.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }
}

fn socket(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    Ok((UnixDatagram::unbound()?, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn systemd_is_told_and_gets_signs_of_life() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let heard = || {
            let mut buffer = [0; 64];
            let length = systemd.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let watchdog = Some(Duration::from_millis(3));
        let notifier = Notifier { socket: Some(socket(path.as_os_str()).unwrap()), watchdog };
        notifier.ready();
        assert_eq!(heard(), "READY=1");
        let shutdown = CancellationToken::new();
        let ends = shutdown.clone();
        let living = tokio::spawn(async move {
            notifier.live(ends).await;
            notifier.stopping();
        });
        tokio::task::yield_now().await;
        assert_eq!(heard(), "WATCHDOG=1");
        shutdown.cancel();
        living.await.unwrap();
        while heard() != "STOPPING=1" {}
        // Nobody listens.
        Notifier::default().ready();
    }
}
