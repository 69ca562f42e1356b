//! `PROJECT/ENVIRONMENT[/SERVICE[/REPLICA]]`, the way people name things.

use std::fmt;

use hades_api::name::{NameError, check_label};

/// Longest name of a container that may stand for a replica.
const MAX_INSTANCE: usize = 128;

/// An environment, a service of it, or one container of that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Project, which is also the namespace.
    pub project: String,
    /// Environment of the project.
    pub environment: String,
    /// Service of the environment.
    pub service: Option<String>,
    /// One of the service's containers: its number, or its whole name.
    pub instance: Option<String>,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Only one part, and nothing says which project.
    #[error("{text:?} doesn't say which project it is in")]
    NoProject {
        /// What was written.
        text: String,
    },
    /// More than four parts.
    #[error("{text:?} has {parts} parts, an address has two to four")]
    TooManyParts {
        /// What was written.
        text: String,
        /// How many there are.
        parts: usize,
    },
    /// What should say which container is neither a number nor a name.
    #[error("{instance:?} in {text:?} is neither the number of a replica nor a container's name")]
    BadInstance {
        /// What was written.
        text: String,
        /// Its last part.
        instance: String,
    },
    /// A part is no name.
    #[error("the {part} in {text:?} is no name: {source}")]
    BadName {
        /// What was written.
        text: String,
        /// `project`, `environment` or `service`.
        part: &'static str,
        /// Which rule it breaks.
        source: NameError,
    },
}

impl AddressError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::NoProject { text } => {
                format!("write PROJECT/{text}, or name the project with -p PROJECT")
            }
            Self::TooManyParts { .. } | Self::BadName { .. } => {
                "write PROJECT/ENVIRONMENT or PROJECT/ENVIRONMENT/SERVICE, such as shop/production/api".to_owned()
            }
            Self::BadInstance { .. } => {
                "write PROJECT/ENVIRONMENT/SERVICE/NUMBER, such as shop/production/api/2".to_owned()
            }
        }
    }
}

impl Address {
    /// Of an environment.
    pub fn environment(project: impl Into<String>, environment: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            environment: environment.into(),
            service: None,
            instance: None,
        }
    }

    /// From text. With `project` given, one part alone is an environment of it.
    ///
    /// # Errors
    /// The first thing that keeps the text from being an address.
    pub fn parse(text: &str, project: Option<&str>) -> Result<Self, AddressError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (project, environment, service, instance) = match (parts.as_slice(), project) {
            ([environment], Some(project)) => (project, *environment, None, None),
            ([_], None) => {
                return Err(AddressError::NoProject { text: text.to_owned() });
            }
            ([project, environment], _) => (*project, *environment, None, None),
            ([project, environment, service], _) => (*project, *environment, Some(*service), None),
            ([project, environment, service, instance], _) => {
                (*project, *environment, Some(*service), Some(*instance))
            }
            (more, _) => {
                return Err(AddressError::TooManyParts {
                    text: text.to_owned(),
                    parts: more.len(),
                });
            }
        };
        let check = |part: &'static str, name: &str| {
            check_label(name).map_err(|source| AddressError::BadName {
                text: text.to_owned(),
                part,
                source,
            })
        };
        check("project", project)?;
        check("environment", environment)?;
        if let Some(service) = service {
            check("service", service)?;
        }
        if let Some(instance) = instance.filter(|instance| !is_instance(instance)) {
            let (text, instance) = (text.to_owned(), instance.to_owned());
            return Err(AddressError::BadInstance { text, instance });
        }
        Ok(Self {
            project: project.to_owned(),
            environment: environment.to_owned(),
            service: service.map(str::to_owned),
            instance: instance.map(str::to_owned),
        })
    }

    /// The environment alone.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self::environment(&self.project, &self.environment)
    }

    /// Number of the replica, where the address says it by number.
    pub fn replica(&self) -> Option<u32> {
        self.instance.as_ref().and_then(|instance| instance.parse().ok())
    }
}

/// Whether a text may be a container's name, which every number is too.
fn is_instance(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    !text.is_empty() && text.len() <= MAX_INSTANCE && text.chars().all(plain)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)?;
        for part in [&self.service, &self.instance].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse = |text, project| Address::parse(text, project).unwrap().to_string();
        assert_eq!(parse("shop/production", None), "shop/production");
        assert_eq!(parse("shop/production/api", None), "shop/production/api");
        assert_eq!(parse("production", Some("shop")), "shop/production");
        assert_eq!(parse("shop/production/api/2", None), "shop/production/api/2");
        let named = Address::parse("shop/production/api/shop_production_api-2-3f2a", None).unwrap();
        assert_eq!((named.replica(), named.whole().to_string()), (None, "shop/production".into()));
        // What is written wins over the default.
        assert_eq!(parse("blog/production", Some("shop")), "blog/production");
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = Address::parse("production", None).unwrap_err();
        assert_eq!(error.to_string(), r#""production" doesn't say which project it is in"#);
        assert!(error.hint().contains("PROJECT/production"));
        let error = Address::parse("a/b/c/1/e", None).unwrap_err();
        assert!(error.to_string().contains("5 parts"), "{error}");
        let error = Address::parse("shop/production/api/", None).unwrap_err();
        assert!(error.to_string().contains("neither the number"), "{error}");
        let error = Address::parse("shop/", None).unwrap_err();
        assert!(error.to_string().contains("environment"), "{error}");
        let error = Address::parse("shop/Production", None).unwrap_err();
        assert!(error.to_string().contains("lower-case"), "{error}");
        let error = Address::parse("", Some("shop")).unwrap_err();
        assert!(error.to_string().contains("empty"), "{error}");
    }
}
