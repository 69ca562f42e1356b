//! Which environments a command is about that can look at many.

use hades_client::object::{self, Selection};
use hades_client::{Address, Session, catalog};
use kube::api::DynamicObject;

use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Target};

/// Which environments a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those of a project.
    Project(String),
    /// One, or one service of it.
    Environment(Address),
}

impl Scope {
    /// From `[PROJECT[/ENVIRONMENT[/SERVICE]]]`: without it what `-p` or
    /// `hadesctl use` say, and else everything.
    pub async fn read(context: &Context, text: Option<&str>, all: bool) -> Result<Self, Error> {
        if all {
            return Ok(Self::All);
        }
        let whole = text.is_some_and(|text| text.contains('/'));
        let kept = context.default_address().and_then(|kept| kept.read());
        match (text, context.project_flag(), kept) {
            (Some(_), _, _) if whole => {
                Ok(Self::Environment(context.address_or_default(text).await?))
            }
            // `-p shop production`, as everywhere else.
            (Some(_), Some(_), _) => Ok(Self::Environment(context.address_or_default(text).await?)),
            (Some(project), None, _) => Ok(Self::Project(project.to_owned())),
            (None, Some(project), _) => Ok(Self::Project(project.to_owned())),
            (None, None, Some(kept)) => Ok(Self::Environment(kept)),
            (None, None, None) => Ok(match context.project().await? {
                Some(project) => Self::Project(project),
                None => Self::All,
            }),
        }
    }

    /// Its environments, sorted by project and name.
    ///
    /// # Errors
    /// When what was named isn't there.
    pub async fn environments(&self, session: &Session) -> Result<Vec<DynamicObject>, Error> {
        let kind = catalog::environment();
        match self {
            Self::Environment(address) => {
                let project = Some(address.project.as_str());
                let target = Target::environment(address);
                let found = object::get(session, &kind, project, &address.environment).await?;
                let Some(found) = found else {
                    return Err(target::not_found(session, &target).await);
                };
                if let Some(service) = &address.service {
                    let known = target::services(session, &found).await;
                    if let Some(error) = target::service_not_found(address, service, &known) {
                        return Err(error);
                    }
                }
                Ok(vec![found])
            }
            Self::Project(project) => {
                let selection = Selection::of_project(Some(project));
                let found = object::list(session, &kind, &selection).await?;
                if found.is_empty()
                    && let Some(error) = target::project_not_found(session, project).await
                {
                    return Err(error);
                }
                Ok(found)
            }
            Self::All => Ok(object::list(session, &kind, &Selection::default()).await?),
        }
    }

    /// Whether rows must say which environment they are of.
    pub fn is_wide(&self) -> bool {
        !matches!(self, Self::Environment(_))
    }

    /// The one service that is asked for.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Environment(address) => address.service.as_deref(),
            Self::All | Self::Project(_) => None,
        }
    }
}

/// Address of an environment that was found.
pub fn address_of(environment: &DynamicObject) -> Address {
    let meta = &environment.metadata;
    Address::environment(
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}
