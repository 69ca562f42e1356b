//! Standard output and standard error: colour or plain, and the form of errors.

use std::cell::RefCell;
use std::error::Error as _;
use std::io::{self, BufWriter, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use hades_client::Warnings;

use crate::cli::ColorChoice;
use crate::error::Error;

/// Where output goes.
pub struct Terminal {
    out: RefCell<BufWriter<io::Stdout>>,
    /// Colour on standard output.
    pub paint: Paint,
    /// Colour on standard error.
    paint_errors: Paint,
    /// Whether a person sees standard error.
    errors_seen: bool,
}

/// Colours text, or leaves it alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paint {
    /// Whether to.
    pub enabled: bool,
}

impl Paint {
    /// `text` in that style.
    pub fn apply(self, style: Style, text: &str) -> String {
        if !self.enabled || text.is_empty() {
            return text.to_owned();
        }
        format!("{}{text}{}", style.render(), style.render_reset())
    }

    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.apply(Style::new().bold(), text)
    }

    /// `text` in one of the terminal's colours.
    pub fn color(self, color: AnsiColor, text: &str) -> String {
        self.apply(color.on_default(), text)
    }
}

impl Terminal {
    /// Of this process.
    pub fn of_process(choice: ColorChoice) -> Self {
        // https://no-color.org: set and not empty.
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let enabled = |is_terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !unwanted,
        };
        let errors_seen = io::stderr().is_terminal();
        Self {
            out: RefCell::new(BufWriter::new(io::stdout())),
            paint: Paint { enabled: enabled(io::stdout().is_terminal()) },
            paint_errors: Paint { enabled: enabled(errors_seen) },
            errors_seen,
        }
    }

    /// Writes to standard output, as it is.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        self.out.borrow_mut().write_all(text.as_bytes()).map_err(Error::Output)
    }

    /// Writes a line to standard output.
    pub fn line(&self, text: &str) -> Result<(), Error> {
        self.print(text)?;
        self.print("\n")
    }

    /// Sends what was written on its way.
    pub fn flush(&self) -> Result<(), Error> {
        self.out.borrow_mut().flush().map_err(Error::Output)
    }

    /// Tells of progress on standard error.
    pub fn note(&self, text: &str) {
        // Nobody is left to tell when this fails.
        let _ = self.flush();
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Warns on standard error.
    pub fn warn(&self, text: &str) {
        let word = self.paint_errors.color(AnsiColor::Yellow, "warning:");
        self.note(&format!("{word} {text}"));
    }

    /// Shows what the server warns of on standard error, as kubectl does.
    pub fn server_warnings(&self) -> Warnings {
        let word = self.paint_errors.color(AnsiColor::Yellow, "Warning:");
        Warnings::new(move |text| {
            // Nobody is left to tell when this fails.
            let _ = writeln!(io::stderr(), "{word} {text}");
        })
    }

    /// Tells an error on standard error: what, why, what to do.
    pub fn report(&self, error: &Error) {
        let _ = io::stderr().write_all(self.report_text(error).as_bytes());
    }

    fn report_text(&self, error: &Error) -> String {
        let mut text = String::new();
        if let Error::Manifests(errors) = error {
            for error in errors {
                // Excerpts are for people; programs want a line each.
                if self.errors_seen {
                    text.push_str(&error.render());
                } else {
                    text.push_str(&format!("{error}\n"));
                }
            }
        }
        let word = self.paint_errors.apply(AnsiColor::Red.on_default().bold(), "error:");
        text.push_str(&format!("{word} {error}\n"));
        let mut last = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let words = cause.to_string();
            // Libraries repeat their source in their own words.
            if !last.contains(&words) {
                text.push_str(&format!("  because: {words}\n"));
            }
            last = words;
            source = cause.source();
        }
        if let Some(hint) = error.hint() {
            let word = self.paint_errors.color(AnsiColor::Cyan, "hint:");
            text.push_str(&format!("  {word} {hint}\n"));
        }
        text
    }

    /// Whether a person sees standard error.
    pub fn errors_seen(&self) -> bool {
        self.errors_seen
    }

    /// Whether a person sees standard output.
    pub fn is_live(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether somebody sits there to answer.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Asks a question that is answered with `y` or not at all.
    pub fn confirm(&self, question: &str) -> Result<bool, Error> {
        self.flush()?;
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(|source| Error::File {
            verb: "read",
            path: "the answer".into(),
            source,
        })?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}
