use kube_cel::cel::Program;
use serde_json::{Value, json};

use super::*;

fn cost(rule: &str, value: &Value) -> u64 {
    let program = Program::compile(rule).unwrap();
    let shape = Shape::of(program.expression()).unwrap();
    of(shape, program.expression(), Size::of(value), value, None)
}

#[test]
fn everyday_rules_are_cheap_on_large_objects() {
    let listener = |index: usize| json!({"name": format!("l{index}"), "port": index, "tls": {}});
    let listeners: Vec<Value> = (0..64).map(listener).collect();
    let labels: serde_json::Map<String, Value> =
        (0..5000).map(|index| (format!("k{index}"), json!("v"))).collect();
    let gateway = json!({"listeners": listeners, "labels": labels, "replicas": 3});
    for rule in [
        "self.replicas <= 5 && self.replicas >= 1",
        "self.listeners.all(l, l.port > 0 || has(l.tls))",
        "self.listeners.all(a, self.listeners.exists_one(b, a.name == b.name && a.port == b.port))",
        "self.labels.all(k, k.size() < 63)",
        "self.listeners.map(l, l.name).exists(n, n == 'l3')",
        "self.listeners.filter(l, l.port > 3).size() < 60",
    ] {
        let cost = cost(rule, &gateway);
        assert!(cost < BUDGET / 4, "{rule} costs {cost}");
    }
}

#[test]
fn loops_in_loops_over_long_lists_are_dear() {
    let value = json!({"list": vec![1; 3000], "text": "x".repeat(100_000)});
    for rule in [
        "self.list.all(a, self.list.all(b, a <= b || a > b))",
        "self.list.map(a, a).map(a, a).map(a, a + 1).exists(a, a == 7)",
        "self.text.split('').map(a, a).size() == 0",
        "self.text.replace('', self.text).size() == 0",
        "self.list.map(a, self.list).map(a, a.map(b, b)).size() == 0",
    ] {
        let cost = cost(rule, &value);
        assert!(cost > BUDGET, "{rule} costs {cost}");
    }
    // A text that doubles again and again.
    let doubled =
        (0..30).fold("self.text".to_owned(), |text, _| format!("[{text}].map(a, a + a)[0]"));
    assert!(cost(&format!("{doubled} == ''"), &json!({"text": "x"})) > BUDGET);
}

#[test]
fn what_can_not_be_evaluated_safely_is_refused() {
    let shape = |rule: &str| Shape::of(Program::compile(rule).unwrap().expression());
    let sum = |count: usize| vec!["1"; count].join("+") + " == 1";
    assert!(shape(&sum(190)).is_ok());
    let error = shape(&sum(210)).unwrap_err();
    assert!(error.contains("nested"), "{error}");
    assert!(shape("Thing{a: 1}.a == 1").unwrap_err().contains("message"));
}

#[test]
fn long_and_nested_rules_end_in_an_error_and_not_in_the_stack() {
    let repeated = |head: &str, part: &str, tail: &str| {
        let count = (super::super::rules::MAX_RULE - head.len() - tail.len()) / part.len();
        format!("{head}{}{tail}", part.repeat(count))
    };
    for rule in [
        repeated("1", "+1", "==1"),
        repeated("true", "||true", ""),
        repeated("self", ".a", "==1"),
        repeated("self", "[0]", "==1"),
        repeated("", "!", "true"),
        repeated("", "-", "1==1"),
        repeated("", "(", ""),
        repeated("", "[", ""),
        repeated("", "{1:", ""),
        repeated("", "true?true:", "true"),
        repeated("", "self.all(x,", ""),
        repeated("", "f(", ""),
        repeated("self", ".f()", ""),
        repeated("'", "\\u00e9", "'=='a'"),
    ] {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "x-kubernetes-validations": [{"rule": rule}]});
        let compiled = crate::admission::schema::StructuralSchema::compile(&schema);
        if let Ok(schema) = compiled {
            let _ = schema.validate(&json!({"a": [1]}), None);
        }
    }
}
