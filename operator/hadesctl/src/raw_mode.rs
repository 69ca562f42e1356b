//! A terminal that passes every key on instead of acting on it.

use std::io::{self, Write};
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::termios::{QueueSelector, tcflush};

use crate::error::Error;

/// What programs switch on and a connection that breaks off leaves so: other
/// screen, hidden cursor, mouse, brackets around pasted text, colours.
const TIDY: &str = "\u{1b}[?1049l\u{1b}[?25h\u{1b}[?1000l\u{1b}[?1002l\u{1b}[?1003l\u{1b}[?1006l\u{1b}[?2004l\u{1b}[0m";

/// A terminal in raw mode, as long as this lives.
pub struct RawMode(());

impl RawMode {
    /// Takes hold of the terminal.
    pub fn begin() -> Result<Self, Error> {
        crossterm::terminal::enable_raw_mode().map_err(|source| Error::File {
            verb: "use",
            path: "the terminal".into(),
            source,
        })?;
        Ok(Self(()))
    }

    /// Whether there is something after that time that was typed and not read.
    ///
    /// # Errors
    /// When the terminal can't be asked.
    pub fn is_typed_after(&self, time: Duration) -> Result<bool, Error> {
        std::thread::sleep(time);
        let waiting = ioctl_fionread(io::stdin()).map_err(|errno| Error::File {
            verb: "read",
            path: "the terminal".into(),
            source: errno.into(),
        })?;
        Ok(waiting > 0)
    }

    /// Throws away what was typed and not read.
    pub fn forget_typed(&self) {
        // What can't be thrown away shows when it is run; nobody else is left to tell.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    }

    /// Gives it back after a program that could not put it in order.
    pub fn abandon(self) {
        let _ = io::stdout().write_all(TIDY.as_bytes());
        let _ = io::stdout().flush();
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nobody is left to tell when this fails.
        let _ = crossterm::terminal::disable_raw_mode();
    }
}
