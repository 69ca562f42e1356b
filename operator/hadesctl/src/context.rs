//! What every command works with.

use hades_client::{Address, Locations, Session};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::cli::Global;
use crate::default_address::DefaultAddress;
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
            let locations = self.locations();
            let warnings = self.terminal.server_warnings();
            Session::open(&locations, self.global.context.as_deref(), warnings).await
        };
        Ok(self.session.get_or_try_init(open).await?)
    }

    /// Where a kubeconfig may be.
    pub fn locations(&self) -> Locations {
        Locations::of_process(self.global.kubeconfig.clone())
    }

    /// Context of the command line.
    pub fn context_flag(&self) -> Option<&str> {
        self.global.context.as_deref()
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

    /// Where the address is kept that is meant when none is written. Bound to the
    /// context by its name: what was kept of one server says nothing of another that
    /// becomes the current one.
    pub fn default_address(&self) -> Option<DefaultAddress> {
        let source = self.locations().find().ok()?;
        let context = match &self.global.context {
            Some(name) => Some(name.clone()),
            None => source.current_context().ok()?,
        };
        let path = source.paths.into_iter().next()?;
        DefaultAddress::of(path, context.as_deref())
    }

    /// An environment, or a service of it, out of an argument.
    pub async fn address(&self, text: &str) -> Result<Address, Error> {
        self.address_or_default(Some(text)).await
    }

    /// As [`Self::address`]; without an argument the one that `hadesctl use` keeps.
    pub async fn address_or_default(&self, text: Option<&str>) -> Result<Address, Error> {
        let address = self.container_address(text).await?;
        match &address.instance {
            None => Ok(address),
            Some(instance) => Err(Error::usage(
                format!("{address} names the container {instance}, and this works on services"),
                match &address.service {
                    Some(service) => format!("write {}/{service}", address.whole()),
                    None => format!("write {}", address.whole()),
                },
            )),
        }
    }

    /// An address that may go down to a single container. `/SERVICE` is one of the
    /// environment that `hadesctl use` keeps.
    pub async fn container_address(&self, text: Option<&str>) -> Result<Address, Error> {
        let Some(text) = text else {
            let kept = self.default_address().and_then(|kept| kept.read());
            return kept.ok_or_else(|| no_address("nothing says which environment is meant"));
        };
        if let Some(below) = text.strip_prefix('/') {
            let kept = self.default_address().and_then(|kept| kept.read());
            let kept =
                kept.ok_or_else(|| no_address(format!("{text:?} doesn't say which environment")))?;
            return Ok(Address::parse(&format!("{}/{below}", kept.whole()), None)?);
        }
        // An address that is whole needs no kubeconfig to be read.
        let project = if text.contains('/') { None } else { self.project_of_names().await? };
        Ok(Address::parse(text, project.as_deref())?)
    }

    /// The project of a name that stands alone.
    async fn project_of_names(&self) -> Result<Option<String>, Error> {
        if let Some(project) = &self.global.project {
            return Ok(Some(project.clone()));
        }
        match self.default_address().and_then(|kept| kept.read()) {
            Some(kept) => Ok(Some(kept.project)),
            None => self.project().await,
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

fn no_address(message: impl Into<String>) -> Error {
    Error::usage(
        message,
        "write PROJECT/ENVIRONMENT, or keep a default by `hadesctl use PROJECT/ENVIRONMENT`",
    )
}
