//! `PROJECT/ENVIRONMENT[/SERVICE]`, the way people name things.

use std::fmt;

use hades_api::name::{NameError, check_label};

/// An environment, or a service of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Project, which is also the namespace.
    pub project: String,
    /// Environment of the project.
    pub environment: String,
    /// Service of the environment.
    pub service: Option<String>,
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
    /// More than three parts.
    #[error("{text:?} has {parts} parts, an address has two or three")]
    TooManyParts {
        /// What was written.
        text: String,
        /// How many there are.
        parts: usize,
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
        }
    }
}

impl Address {
    /// Of an environment.
    pub fn environment(project: impl Into<String>, environment: impl Into<String>) -> Self {
        Self { project: project.into(), environment: environment.into(), service: None }
    }

    /// From text. With `project` given, one part alone is an environment of it.
    ///
    /// # Errors
    /// The first thing that keeps the text from being an address.
    pub fn parse(text: &str, project: Option<&str>) -> Result<Self, AddressError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (project, environment, service) = match (parts.as_slice(), project) {
            ([environment], Some(project)) => (project, *environment, None),
            ([_], None) => {
                return Err(AddressError::NoProject { text: text.to_owned() });
            }
            ([project, environment], _) => (*project, *environment, None),
            ([project, environment, service], _) => (*project, *environment, Some(*service)),
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
        Ok(Self {
            project: project.to_owned(),
            environment: environment.to_owned(),
            service: service.map(str::to_owned),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)?;
        match &self.service {
            Some(service) => write!(f, "/{service}"),
            None => Ok(()),
        }
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
        // What is written wins over the default.
        assert_eq!(parse("blog/production", Some("shop")), "blog/production");
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = Address::parse("production", None).unwrap_err();
        assert_eq!(error.to_string(), r#""production" doesn't say which project it is in"#);
        assert!(error.hint().contains("PROJECT/production"));
        let error = Address::parse("a/b/c/d", None).unwrap_err();
        assert!(error.to_string().contains("4 parts"), "{error}");
        let error = Address::parse("shop/", None).unwrap_err();
        assert!(error.to_string().contains("environment"), "{error}");
        let error = Address::parse("shop/Production", None).unwrap_err();
        assert!(error.to_string().contains("lower-case"), "{error}");
        let error = Address::parse("", Some("shop")).unwrap_err();
        assert!(error.to_string().contains("empty"), "{error}");
    }
}
