//! What every command works with.

use hades_client::{Address, Locations, Session};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::cli::Global;
use crate::error::Error;
use crate::terminal::Terminal;

/// What every command works with.
pub struct Context {
    /// Where output goes.
    pub terminal: Terminal,
    global: Global,
    session: OnceCell<Session>,
}

impl Context {
    /// Talks to nobody yet.
    pub fn new(global: Global) -> Self {
        Self { terminal: Terminal::of_process(global.color), global, session: OnceCell::new() }
    }

    /// The connection, made when it is first asked for.
    pub async fn session(&self) -> Result<&Session, Error> {
        let open = || async {
            let locations = Locations::of_process(self.global.kubeconfig.clone());
            let warnings = self.terminal.server_warnings();
            Session::open(&locations, self.global.context.as_deref(), warnings).await
        };
        Ok(self.session.get_or_try_init(open).await?)
    }

    /// Project of the command line.
    pub fn project_flag(&self) -> Option<&str> {
        self.global.project.as_deref()
    }

    /// Project of the command line, or of the kubeconfig's context.
    pub async fn project(&self) -> Result<Option<String>, Error> {
        if let Some(project) = &self.global.project {
            return Ok(Some(project.clone()));
        }
        Ok(self.session().await?.project().map(str::to_owned))
    }

    /// An address out of an argument.
    pub async fn address(&self, text: &str) -> Result<Address, Error> {
        // An address that is whole needs no kubeconfig to be read.
        let project = if text.contains('/') { None } else { self.project().await? };
        Ok(Address::parse(text, project.as_deref())?)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
