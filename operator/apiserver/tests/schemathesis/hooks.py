"""Leads what schemathesis makes up past the first checks of the server.

A random namespace does not exist and a random kind is refused at once; most
inputs get real ones here, so that the rest of them is looked at. Watches are
left out: their answers never fit the schema of a list, on Kubernetes neither.
"""

import zlib

import schemathesis

NAMES = ["a", "b", "c"]


def chance(value, of):
    """A number below `of` that follows from the value: runs can be repeated."""
    return zlib.crc32(repr(value).encode("utf-8", "replace")) % of


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.query:
        case.query.pop("watch", None)


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if isinstance(path_parameters, dict):
        if "namespace" in path_parameters and chance(path_parameters, 4):
            path_parameters["namespace"] = "default"
        if "name" in path_parameters and chance(path_parameters, 3):
            path_parameters["name"] = NAMES[chance(path_parameters, len(NAMES))]
    return path_parameters


def group_version_kind(operation):
    try:
        return operation.definition.raw["x-kubernetes-group-version-kind"]
    except (AttributeError, KeyError, TypeError):
        return None


@schemathesis.hook
def map_body(context, body):
    kind = group_version_kind(context.operation)
    if isinstance(body, dict) and kind and chance(body, 5):
        group = kind["group"]
        body["apiVersion"] = f"{group}/{kind['version']}" if group else kind["version"]
        body["kind"] = kind["kind"]
        if not isinstance(body.get("metadata"), dict):
            body["metadata"] = {}
        metadata = body["metadata"]
        metadata["name"] = NAMES[chance(body, len(NAMES))]
        for name in ("namespace", "uid", "resourceVersion"):
            if chance([name, body], 3):
                metadata.pop(name, None)
    return body
