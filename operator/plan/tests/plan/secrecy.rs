//! The value of a secret is nowhere but in the spec that a provider runs.

use hades_plan::{EnvVar, Operation, Plan, plan, render};

use crate::fixture::{Fixture, PASSWORD};
use crate::simulator::Simulator;

const YAML: &str = "
defaults: {host: local}
services:
  api:
    image: 'web:1'
    env:
      PASS: {secretKeyRef: {name: db, key: password}}
      URL: 'postgres://app:$(PASS)@db/x'
";

fn forms(plan: &Plan) -> Vec<String> {
    vec![
        format!("{plan:?}"),
        serde_json::to_string(plan).unwrap(),
        render::json(plan).unwrap(),
        render::text(plan, false),
        render::text(plan, true),
        render::lines(plan).join("\n"),
    ]
}

#[test]
fn no_form_of_a_plan_shows_it() {
    let mut fixture = Fixture::default();
    let first = fixture.resolve(YAML).unwrap();
    let mut simulator = Simulator::new(&["local"]);
    let create = plan(&first, &simulator.observe());
    simulator.apply(&create);
    let before = format!("{:?}", simulator.hosts);

    let other = secrecy::SecretString::from("another-password");
    fixture.secrets.get_mut("db").unwrap().0.insert("password".into(), other);
    let second = fixture.resolve(YAML).unwrap();
    let replace = plan(&second, &simulator.observe());
    assert_eq!(replace.summary().replace, 1, "a changed secret makes the container anew");

    let mut forms = [forms(&create), forms(&replace)].concat();
    forms.extend([
        before,
        format!("{first:?}"),
        format!("{second:?}"),
        format!("{fixture:?}", fixture = fixture.secrets),
    ]);
    for form in forms {
        assert!(!form.contains(PASSWORD) && !form.contains("another-password"), "{form}");
    }
    assert!(render::text(&replace, false).contains("env.PASS: (secret) "));
}

#[test]
fn a_plan_that_went_through_json_holds_no_value() {
    let desired = Fixture::default().resolve(YAML).unwrap();
    let plan = plan(&desired, &Simulator::new(&["local"]).observe());
    let back: Plan = serde_json::from_str(&render::json(&plan).unwrap()).unwrap();
    assert_eq!(back, plan);
    let spec = back.actions.iter().find_map(|action| match &action.operation {
        Operation::CreateContainer { spec, .. } => Some(spec.clone()),
        _ => None,
    });
    let value = &spec.unwrap().env["PASS"];
    assert!(matches!(value, EnvVar::Secret { value: None, .. }));
}
