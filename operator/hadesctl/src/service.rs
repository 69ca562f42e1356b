//! A service that a command changes: found first, with its environment and the
//! template below it.

use hades_client::{Address, catalog, object};
use kube::api::DynamicObject;
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Target};

/// A service, and where it is written.
pub struct Service {
    /// Its address.
    pub address: Address,
    /// Its environment as an object.
    pub target: Target,
    /// Its name.
    pub name: String,
    /// Its environment.
    pub environment: DynamicObject,
    /// Name and object of the template of its environment.
    template: Option<(String, DynamicObject)>,
}

impl Service {
    /// Looks for the service of an address.
    ///
    /// # Errors
    /// When the address names none, or there is none of that name.
    pub async fn find(context: &Context, address: Address) -> Result<Self, Error> {
        let Some(name) = address.service.clone() else {
            return Err(Error::usage(
                format!("{address} is a whole environment, and this changes one service"),
                format!("write {address}/SERVICE"),
            ));
        };
        let session = context.session().await?;
        let environment = environment(context, &address).await?;
        let known = target::services(session, &environment).await;
        if let Some(error) = target::service_not_found(&address, &name, &known) {
            return Err(error);
        }
        let reference = environment.data.pointer("/spec/templateRef/name").and_then(Value::as_str);
        let template = match reference {
            None => None,
            Some(reference) => {
                let kind = catalog::environment_template();
                let found = object::get(session, &kind, Some(&address.project), reference).await?;
                found.map(|template| (reference.to_owned(), template))
            }
        };
        let target = Target::environment(&address);
        Ok(Self { address, target, name, environment, template })
    }

    /// What the environment itself says of a field of the service.
    pub fn own(&self, field: &str) -> Option<&Value> {
        field_of(&self.environment, &self.name, field)
    }

    /// What the template says of it.
    pub fn inherited(&self, field: &str) -> Option<&Value> {
        field_of(&self.template.as_ref()?.1, &self.name, field)
    }

    /// What the template says of it for all services.
    pub fn shared_by_template(&self, field: &str) -> Option<&Value> {
        self.template.as_ref()?.1.data.get("spec")?.get(field)
    }

    /// Name of the template.
    pub fn template(&self) -> Option<&str> {
        self.template.as_ref().map(|(name, _)| name.as_str())
    }

    /// The merge patch of the environment that makes fields of the service so.
    pub fn patch(&self, fields: Value) -> Value {
        serde_json::json!({"spec": {"services": {self.name.clone(): fields}}})
    }
}

/// `service api of environment shop/production`.
impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "service {} of {}", self.name, self.target)
    }
}

fn field_of<'a>(object: &'a DynamicObject, service: &str, field: &str) -> Option<&'a Value> {
    object.data.get("spec")?.get("services")?.get(service)?.get(field)
}

/// The environment of an address.
///
/// # Errors
/// When there is none of that name.
pub async fn environment(context: &Context, address: &Address) -> Result<DynamicObject, Error> {
    let session = context.session().await?;
    let target = Target::environment(address);
    let project = Some(address.project.as_str());
    let found = object::get(session, &target.kind, project, &address.environment).await?;
    match found {
        Some(found) => Ok(found),
        None => Err(target::not_found(session, &target).await),
    }
}
