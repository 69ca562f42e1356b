//! What hides values from the people of one project, for as long as something goes on.

use std::sync::Arc;

use hades_api::SYSTEM_NAMESPACE;
use hades_provider::{ErrorClass, ProviderError};
use hades_redact::Redactor;

use super::{SecretValues, redact};

/// The values that nobody must read in a project, as they are at the time.
#[derive(Clone)]
pub struct ProjectValues {
    all: Arc<dyn SecretValues>,
    project: Arc<str>,
}

impl ProjectValues {
    /// Those that `all` knows of a project.
    pub fn new(all: Arc<dyn SecretValues>, project: &str) -> Self {
        Self { all, project: Arc::from(project) }
    }

    /// What hides them now.
    pub fn redactor(&self) -> Redactor {
        self.all.redactor(&self.project)
    }

    /// Hides values in what a host has to say. Those of its own credentials only where it
    /// can't be reached: other words may be a project's own, such as the name of a command,
    /// and would tell which of its guesses are right.
    pub fn clear(&self, error: &mut ProviderError) {
        redact(&self.redactor(), error);
        if error.class == ErrorClass::Unreachable {
            redact(&self.all.redactor(SYSTEM_NAMESPACE), error);
        }
    }
}

#[cfg(test)]
mod tests {
    use hades_api::reason;

    use super::*;

    /// Each namespace has its name as its one value.
    struct Names;

    impl SecretValues for Names {
        fn redactor(&self, namespace: &str) -> Redactor {
            Redactor::new([namespace.as_bytes()])
        }
    }

    #[test]
    fn credentials_of_hosts_are_hidden_where_no_project_chooses_the_words() {
        let values = ProjectValues::new(Arc::new(Names), "shopshop");
        let said = |class| {
            let words = "shopshop and hades-system";
            let mut error = ProviderError::new(class, reason::ACTION_FAILED, words);
            values.clear(&mut error);
            error.message
        };
        assert_eq!(said(ErrorClass::Unreachable), "*** and ***");
        assert_eq!(said(ErrorClass::Conflict), "*** and hades-system");
    }
}
