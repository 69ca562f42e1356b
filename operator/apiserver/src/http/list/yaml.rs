//! Lists as YAML, item by item.

use serde_json::{Value, json};

use crate::http::view::ListMeta;
use crate::registry::ResourceInfo;
use crate::wire::status::StatusError;

fn write(out: &mut Vec<u8>, value: &Value) -> Result<(), StatusError> {
    let text = serde_saphyr::to_string(value).map_err(StatusError::internal)?;
    out.extend_from_slice(text.as_bytes());
    if !text.ends_with('\n') {
        out.push(b'\n');
    }
    Ok(())
}

pub(super) fn head(
    out: &mut Vec<u8>,
    info: &ResourceInfo,
    meta: Option<&ListMeta>,
) -> Result<(), StatusError> {
    let mut head = json!({"apiVersion": info.api_version(), "kind": info.list_kind});
    if let Some(meta) = meta {
        head["metadata"] = meta.to_value();
    }
    write(out, &head)?;
    out.extend_from_slice(b"items:");
    Ok(())
}

pub(super) fn item(out: &mut Vec<u8>, object: &[u8], first: bool) -> Result<(), StatusError> {
    if first {
        out.push(b'\n');
    }
    let object: Value = serde_json::from_slice(object).map_err(StatusError::internal)?;
    write(out, &Value::from(vec![object]))
}

pub(super) fn tail(
    out: &mut Vec<u8>,
    meta: Option<&ListMeta>,
    any: bool,
) -> Result<(), StatusError> {
    if !any {
        out.extend_from_slice(b" []\n");
    }
    match meta {
        Some(meta) => write(out, &json!({"metadata": meta.to_value()})),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_one_document() {
        let registry = crate::registry::Registry::builtin();
        let info = &registry.find("", "v1", "configmaps").unwrap().info;
        let meta = ListMeta { next: Some("next".to_owned()), ..ListMeta::of_version(7) };
        let object = br#"{"data":{"a":"1","b":"x\ny"},"list":[{"c":[]}],"metadata":{"name":"m"}}"#;
        for (items, tail_meta) in [(0, false), (1, true), (2, false), (0, true)] {
            let mut out = Vec::new();
            head(&mut out, info, (!tail_meta).then_some(&meta)).unwrap();
            for index in 0..items {
                item(&mut out, object, index == 0).unwrap();
            }
            tail(&mut out, tail_meta.then_some(&meta), items > 0).unwrap();
            let read = crate::wire::accept::decode_body(
                crate::wire::accept::BodyForm::Yaml,
                &bytes::Bytes::from(out),
            );
            let object: Value = serde_json::from_slice(object).unwrap();
            assert_eq!(
                read.unwrap(),
                json!({
                    "apiVersion": "v1", "kind": "ConfigMapList",
                    "metadata": {"resourceVersion": "7", "continue": "next"},
                    "items": vec![object; items],
                })
            );
        }
    }
}
