//! Admission by the policy of a project: what its HadesProject doesn't allow isn't
//! stored. The planner asks the same once more, so that this is for people who
//! want to know at once, and not what the policy rests on.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::name::EnvironmentName;
use hades_api::{
    ConfigRepositorySpec, DockerHostSpec, EnvironmentSpec, EnvironmentTemplateSpec, GROUP,
    HadesProjectSpec, POLICY_FIELD, ProjectPolicy, ResourceStatus, SYSTEM_NAMESPACE,
};
use hades_apiserver::{Admission, Cause, CauseReason, Surroundings, Validator};
use hades_plan::placement::Current;
use hades_plan::policy::{self, Rules, Subject, Usage, Violation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Holds environments, templates and repositories to the policy of their project.
pub(crate) struct ProjectRules;

impl Validator for ProjectRules {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        // Manifests whose project is yet to come are tried out in that namespace.
        let exempt = ["", SYSTEM_NAMESPACE].contains(&admission.namespace);
        let same = admission.old.is_some_and(|old| old["spec"] == admission.object["spec"]);
        if admission.kind.group != GROUP || exempt || same {
            return Vec::new();
        }
        let found = match admission.kind.kind.as_str() {
            "Environment" => environment(admission),
            "EnvironmentTemplate" => template(admission),
            "ConfigRepository" => repository(admission),
            _ => None,
        };
        found.unwrap_or_default().into_iter().map(cause).collect()
    }
}

fn cause(violation: Violation) -> Cause {
    let message = format!("Forbidden: {violation}");
    Cause::new(violation.field, CauseReason::FieldValueForbidden, message)
}

/// What the spec of an object says; none where it can't be read, which others
/// complain about.
pub(crate) fn spec<Spec: DeserializeOwned>(object: &Value) -> Option<Spec> {
    Spec::deserialize(object.get("spec")?).ok()
}

/// A project as it is stored.
struct Project<'a> {
    namespace: &'a str,
    surroundings: &'a dyn Surroundings,
    policy: ProjectPolicy,
    hosts: BTreeMap<String, DockerHostSpec>,
    host_labels: BTreeMap<String, BTreeMap<String, String>>,
}

impl<'a> Project<'a> {
    /// One without a HadesProject has a policy that allows nothing.
    fn of(admission: &Admission<'a>) -> Self {
        let Admission { namespace, surroundings, .. } = *admission;
        let stored = surroundings.stored("hades.dev/hadesprojects", "", namespace);
        let stored = stored.as_ref().and_then(spec::<HadesProjectSpec>);
        let policy = stored.and_then(|project| project.policy).unwrap_or_default();
        let (hosts, host_labels) = (BTreeMap::new(), BTreeMap::new());
        Self { namespace, surroundings, policy, hosts, host_labels }
    }

    /// Reads the DockerHosts where what is judged has to do with them.
    fn with_hosts(mut self, specs: &[&EnvironmentSpec]) -> Self {
        let services = || specs.iter().flat_map(|spec| spec.services.values());
        let mounts = services().flat_map(|service| service.volumes.iter().flatten());
        if self.policy.hosts.is_none() && !mounts.into_iter().any(|m| m.host_path().is_some()) {
            return self;
        }
        for host in self.surroundings.all("hades.dev/dockerhosts", "") {
            let Some(name) = host["metadata"]["name"].as_str() else { continue };
            let labels = BTreeMap::deserialize(&host["metadata"]["labels"]).unwrap_or_default();
            self.host_labels.insert(name.to_owned(), labels);
            if let Some(spec) = spec::<DockerHostSpec>(&host) {
                self.hosts.insert(name.to_owned(), spec);
            }
        }
        self
    }

    fn template(&self, name: &str) -> Option<EnvironmentTemplateSpec> {
        let resource = "hades.dev/environmenttemplates";
        spec(&self.surroundings.stored(resource, self.namespace, name)?)
    }

    /// Every stored environment, as it is written.
    fn environments(&self) -> Vec<Stored> {
        let stored = self.surroundings.all("hades.dev/environments", self.namespace);
        let read = |object: &Value| {
            let name = object["metadata"]["name"].as_str()?.to_owned();
            Some(Stored { name, spec: spec(object)?, resources: resources(object) })
        };
        stored.iter().filter_map(read).collect()
    }

    /// What is wrong with the environment of that name.
    fn check(&self, name: &str, spec: &EnvironmentSpec, rules: &Rules<'_>) -> Vec<Violation> {
        policy::check(
            &Subject {
                environment: &EnvironmentName::new(self.namespace, name),
                spec,
                hosts: &self.hosts,
                host_labels: &self.host_labels,
                current: &Current::default(),
                idle: &BTreeSet::new(),
            },
            rules,
        )
    }
}

/// An environment that is stored.
struct Stored {
    name: String,
    spec: EnvironmentSpec,
    /// What its status says it has.
    resources: Vec<ResourceStatus>,
}

impl Stored {
    /// What it takes of the quotas of `project` with that merged spec: never less than
    /// it has. Suspended, or with something wrong in its spec, it keeps that.
    fn takes(&self, project: &str, spec: &EnvironmentSpec) -> Usage {
        Usage::of_stored(&EnvironmentName::new(project, &self.name), spec, &self.resources)
    }
}

/// What the status of an environment says is there.
fn resources(object: &Value) -> Vec<ResourceStatus> {
    Vec::deserialize(&object["status"]["resources"]).unwrap_or_default()
}

/// An environment over the template that it names, which may be yet to come.
pub(crate) fn merged(
    environment: &EnvironmentSpec,
    template: impl Fn(&str) -> Option<EnvironmentTemplateSpec>,
) -> EnvironmentSpec {
    let reference = environment.template_ref.as_ref();
    match reference.and_then(|reference| template(&reference.name)) {
        Some(template) => hades_plan::merge(&template, environment),
        None => environment.clone(),
    }
}

/// An environment that is written. What was wrong before and still is doesn't keep it
/// from being changed otherwise: it isn't carried out, and says so itself.
fn environment(admission: &Admission<'_>) -> Option<Vec<Violation>> {
    let project = Project::of(admission);
    let stored = |name: &str| project.template(name);
    let new = merged(&spec(admission.object)?, stored);
    let old = admission.old.and_then(spec::<EnvironmentSpec>).map(|old| merged(&old, stored));
    let project = project.with_hosts(&[&new]);
    let mut rules = Rules::of(&project.policy);
    if project.policy.quotas.is_some() {
        let others = project.environments();
        let others = others.iter().filter(|other| other.name != admission.name);
        rules.others = others.fold(Usage::default(), |sum, other| {
            let spec = merged(&other.spec, |name| project.template(name));
            sum + other.takes(project.namespace, &spec)
        });
    }
    let was = old.as_ref().map(|old| project.check(admission.name, old, &rules));
    let there = admission.old.map(resources).unwrap_or_default();
    let name = EnvironmentName::new(admission.namespace, admission.name);
    rules.before = old.as_ref().map(|old| Usage::of_stored(&name, old, &there));
    rules.kept_volumes = policy::kept_volumes(&name, &new, &there);
    let found = project.check(admission.name, &new, &rules);
    Some(news(found, was.unwrap_or_default()))
}

fn news(found: Vec<Violation>, was: Vec<Violation>) -> Vec<Violation> {
    let was: BTreeSet<Violation> = was.into_iter().collect();
    found.into_iter().filter(|violation| !was.contains(violation)).collect()
}

/// A template that is written: it by itself, without quotas as it isn't deployed,
/// and every stored environment that is merged over it.
fn template(admission: &Admission<'_>) -> Option<Vec<Violation>> {
    let new: EnvironmentTemplateSpec = spec(admission.object)?;
    let old: Option<EnvironmentTemplateSpec> = admission.old.and_then(spec);
    let project = Project::of(admission);
    let alone = |template: &EnvironmentTemplateSpec| {
        hades_plan::merge(template, &EnvironmentSpec::default())
    };
    let environments = project.environments();
    let with = |template: Option<&EnvironmentTemplateSpec>| -> Vec<EnvironmentSpec> {
        let find = |name: &str| match name == admission.name {
            true => template.cloned(),
            false => project.template(name),
        };
        environments.iter().map(|stored| merged(&stored.spec, find)).collect()
    };
    let (after, before) = (with(Some(&new)), with(old.as_ref()));
    let new_alone = alone(&new);
    let all: Vec<&EnvironmentSpec> = after.iter().chain([&new_alone]).collect();
    let taken: Vec<Usage> = environments
        .iter()
        .zip(&after)
        .map(|(stored, spec)| stored.takes(admission.namespace, spec))
        .collect();
    let project = project.with_hosts(&all);
    let free = ProjectPolicy { quotas: None, ..project.policy.clone() };
    let rules = Rules::of(&free);
    let was = old.as_ref().map(|old| project.check("", &alone(old), &rules));
    let mut found = news(project.check("", &new_alone, &rules), was.unwrap_or_default());
    let told: BTreeSet<(String, String)> =
        found.iter().map(|known| (known.field.clone(), known.rule.clone())).collect();
    let sum = taken.iter().fold(Usage::default(), |sum, usage| sum + *usage);
    for (((stored, taken), spec), old) in environments.iter().zip(taken).zip(&after).zip(&before) {
        let uses = spec.template_ref.as_ref().is_some_and(|found| found.name == admission.name);
        if !uses {
            continue;
        }
        let name = &stored.name;
        let mut rules = Rules::of(&project.policy);
        rules.others = sum - taken;
        let was = project.check(name, old, &rules);
        rules.before = Some(stored.takes(admission.namespace, old));
        let whole = EnvironmentName::new(admission.namespace, name);
        rules.kept_volumes = policy::kept_volumes(&whole, spec, &stored.resources);
        let of_environment = news(project.check(name, spec, &rules), was);
        let unknown =
            |found: &Violation| !told.contains(&(found.field.clone(), found.rule.clone()));
        found.extend(of_environment.into_iter().filter(unknown).map(|violation| Violation {
            message: format!("in environment {name}: {}", violation.message),
            ..violation
        }));
    }
    Some(found)
}

/// A repository that is written: the account that it fetches with.
fn repository(admission: &Admission<'_>) -> Option<Vec<Violation>> {
    let account = spec::<ConfigRepositorySpec>(admission.object)?.account?;
    let old = admission.old.and_then(spec::<ConfigRepositorySpec>);
    let same = old.is_some_and(|old| old.account.as_ref() == Some(&account));
    let project = Project::of(admission);
    if same || project.policy.allows_git_account(&account) {
        return None;
    }
    let project = project.namespace;
    Some(vec![Violation {
        field: "spec.account".to_owned(),
        rule: format!("{POLICY_FIELD}.accounts.git"),
        message: format!("policy of project {project} doesn't allow GitAccount {account}"),
    }])
}

#[cfg(test)]
mod tests;
