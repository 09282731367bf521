#!/usr/bin/env python3
"""schemas.py SWAGGER.JSON DIRECTORY: one JSON schema for each kind of Kubernetes' OpenAPI document, named as kubeconform looks for them.

Unknown members are errors; a definition inside itself is "anything".
"""
import json
import sys
from pathlib import Path


def expand(value, definitions, open_):
    if isinstance(value, list):
        return [expand(one, definitions, open_) for one in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        name = value["$ref"].removeprefix("#/definitions/")
        if name in open_:
            return {}
        return expand(definitions[name], definitions, open_ | {name})
    if value.get("x-kubernetes-int-or-string") or value.get("format") == "int-or-string":
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    made = {key: expand(one, definitions, open_) for key, one in value.items()}
    if "properties" in made:
        made.setdefault("additionalProperties", False)
        required = made.get("required", [])
        for key, one in made["properties"].items():
            # null is "not said" wherever something need not be said
            if isinstance(one, dict) and isinstance(one.get("type"), str) and key not in required:
                one["type"] = [one["type"], "null"]
    return made


def main():
    source, directory = sys.argv[1], Path(sys.argv[2])
    definitions = json.loads(Path(source).read_text())["definitions"]
    directory, wanted = directory.with_name(directory.name + ".new"), directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, definition in definitions.items():
        kinds = definition.get("x-kubernetes-group-version-kind", [])
        if len(kinds) != 1:
            continue
        group, version, kind = (kinds[0][key] for key in ("group", "version", "kind"))
        schema = expand(definition, definitions, {name})
        if "properties" in schema:
            api = f"{group}/{version}" if group else version
            schema["properties"] |= {"apiVersion": {"enum": [api]}, "kind": {"enum": [kind]}}
            schema["required"] = [*schema.get("required", []), "apiVersion", "kind"]
        middle = f"-{group.split('.')[0]}" if group else ""
        (directory / f"{kind.lower()}{middle}-{version}.json").write_text(json.dumps(schema))
    directory.rename(wanted)


main()
