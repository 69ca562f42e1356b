//! Texts in statuses and in answers.

use hades_api::{
    ConfigRepositoryStatus, DockerHostStatus, EnvironmentStatus, GitAccountStatus,
    HadesProjectStatus, ManifestProblem, RegistryAccountStatus, ResourceStatus,
};
use hades_provider::ProviderError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::Texts;
use crate::docker_host::HostTest;
use crate::environment::{Fault, StatsEntry, StatsReply};
use crate::volume_copy::CopyProgress;

impl Texts for Condition {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        each(&mut self.message);
    }
}

impl Texts for ProviderError {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        each(&mut self.message);
    }
}

impl Texts for Fault {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        each(&mut self.message);
    }
}

impl Texts for ResourceStatus {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.message.texts(each);
        self.failure.texts(each);
    }
}

impl Texts for EnvironmentStatus {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.conditions.texts(each);
        self.resources.texts(each);
        if let Some(plan) = &mut self.last_plan {
            plan.actions.texts(each);
        }
    }
}

impl Texts for ManifestProblem {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        each(&mut self.message);
    }
}

impl Texts for ConfigRepositoryStatus {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.conditions.texts(each);
        self.errors.texts(each);
    }
}

impl Texts for DockerHostStatus {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.conditions.texts(each);
    }
}

impl Texts for GitAccountStatus {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.conditions.texts(each);
    }
}

impl Texts for RegistryAccountStatus {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.conditions.texts(each);
    }
}

impl Texts for HadesProjectStatus {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.conditions.texts(each);
    }
}

impl Texts for StatsEntry {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.error.texts(each);
    }
}

impl Texts for StatsReply {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.items.texts(each);
    }
}

impl Texts for CopyProgress {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.error.texts(each);
    }
}

impl Texts for HostTest {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.message.texts(each);
    }
}
