"""The OpenAPI files of the specification: which operations there are, and what their answers must look like."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

# A schema with none of these lets an object be anything.
SPEAKING = {"properties", "additionalProperties", "patternProperties", "$ref", "allOf", "oneOf", "anyOf"}
METHODS = {"get", "put", "post", "delete"}
# What the grammar of identifiers (appendices) demands of each `format`; every one has a pattern or says it by its name.
FORMATS = {
    "mx-user-id": r"@[^:\0]*:.+",
    "mx-room-id": r"!.+",
    "mx-event-id": r"\$.+",
    "mx-room-alias": r"#[^:\0]*:.+",
    "mx-mxc-uri": r"mxc://[^/]+/[^/]+",
    "mx-server-name": r"[A-Za-z0-9.\-:\[\]]+",
    "mx-unpadded-base64": r"[A-Za-z0-9+/]*",
    "mx-urlsafe-unpadded-base64": r"[A-Za-z0-9_\-]*",
    "uri": r"[A-Za-z][A-Za-z0-9+.\-]*:.+",
}


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    id: str
    module: str
    method: str
    path: str
    token: str  # "required", "optional" or "none"
    pointer: str  # where in the files it is defined

    def __str__(self) -> str:
        return f"{self.id} ({self.method} {self.path})"


class Spec:
    """The client-server API below a checkout of the specification's data."""

    def __init__(self, directory: Path) -> None:
        self._events = directory / "event-schemas" / "schema"
        self._files: dict[str, Any] = {}
        self._registry: Registry = Registry(retrieve=self._retrieve)
        self._formats = _format_checker()
        self.operations: dict[str, Operation] = {}
        self.errcodes: set[str] = set()
        files = sorted((directory / "api" / "client-server").glob("*.yaml"))
        if not files:
            raise FileNotFoundError(f"no OpenAPI files below {directory}/api/client-server")
        for file in files:
            self.errcodes.update(re.findall(r"\bM_[A-Z0-9_]+", file.read_text()))
            for operation in self._read(file):
                self.operations[operation.id] = operation

    def of_modules(self, modules: set[str]) -> list[Operation]:
        return [operation for operation in self.operations.values() if operation.module in modules]

    def statuses(self, operation: Operation) -> set[int]:
        return {int(status) for status in self._at(operation.pointer)["responses"]}

    def undeclared(self, schemas: list[str], value: Any, path: str = "$") -> Iterator[str]:
        """Members that the schemas do not speak of: allowed, but perhaps misspelt."""
        nodes = [part for schema in schemas for part in self._parts(schema)]
        if isinstance(value, list):
            items = [f"{node}/items" for node in nodes if "items" in self._at(node)]
            for element in value if items else []:
                yield from self.undeclared(items, element, f"{path}[]")
        if not isinstance(value, dict) or not all(SPEAKING & self._at(node).keys() for node in nodes):
            return
        declared: dict[str, list[str]] = {}
        others: list[str] = []
        for node in nodes:
            schema = self._at(node)
            for name in schema.get("properties", {}):
                declared.setdefault(name, []).append(f"{node}/properties/{_escaped(name)}")
            if isinstance(schema.get("additionalProperties"), dict):
                others.append(f"{node}/additionalProperties")
            others += [f"{node}/patternProperties/{_escaped(pattern)}" for pattern in schema.get("patternProperties", {})]
        for name, member in value.items():
            if name in declared:
                yield from self.undeclared(declared[name], member, f"{path}.{name}")
            elif others:
                yield from self.undeclared(others, member, f"{path}.*")
            elif declared:
                yield f"{path}.{name}"

    def _parts(self, schema: str) -> Iterator[str]:
        """A schema and all that it is made of."""
        yield schema
        node = self._at(schema)
        if "$ref" in node:
            yield from self._parts(self._target(schema, node["$ref"]))
        for keyword in ["allOf", "oneOf", "anyOf"]:
            for number in range(len(node.get(keyword, []))):
                yield from self._parts(f"{schema}/{keyword}/{number}")

    def body_schema(self, operation: Operation) -> dict[str, Any]:
        """The schema of the JSON body of requests, itself; empty if there is none."""
        content = self._at(operation.pointer).get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        return schema if "$ref" not in schema else self._at(self._target(operation.pointer, schema["$ref"]))

    def query_parameters(self, operation: Operation) -> dict[str, dict[str, Any]]:
        """The schemas of the parameters of the query, by name."""
        described = self._at(operation.pointer).get("parameters", [])
        return {one["name"]: one.get("schema", {}) for one in described if one.get("in") == "query"}

    def answer_schema(self, operation: Operation, status: int) -> str | None:
        """Where the schema of the JSON answer with this status is, if the specification gives one."""
        pointer = f"{operation.pointer}/responses/{status}"
        answer = self._at(pointer)
        while "$ref" in answer:
            pointer = self._target(pointer, answer["$ref"])
            answer = self._at(pointer)
        if "schema" not in answer.get("content", {}).get("application/json", {}):
            return None
        return f"{pointer}/content/application~1json/schema"

    def error_schema(self, operation: Operation) -> str:
        """Where the schema of every error is."""
        return operation.pointer.split("#")[0].rsplit("/", 1)[0] + "/definitions/errors/error.yaml"

    def content_schema(self, event_type: str) -> str | None:
        """Where the schema of the content of events of this type is, if the specification knows the type."""
        file = self._events / f"{event_type}.yaml"
        if not re.fullmatch(r"[\w.]+", event_type) or not file.is_file():
            return None
        pointer = f"{file.resolve().as_uri()}#"
        return f"{pointer}/properties/content" if "content" in self._at(pointer).get("properties", {}) else None

    def violations(self, schema: str, value: Any) -> list[str]:
        """What is wrong with a value, each with its path."""
        validator = Draft202012Validator({"$ref": schema}, registry=self._registry, format_checker=self._formats)
        return sorted({leaf for error in validator.iter_errors(value) for leaf in _leaves(error)})

    def _target(self, pointer: str, reference: str) -> str:
        """Where a reference leads to from there."""
        uri, fragment = urldefrag(reference)
        return urljoin(pointer.split("#")[0], uri) + "#" + fragment

    def _read(self, file: Path) -> Iterator[Operation]:
        uri = file.resolve().as_uri()
        document = self._document(uri)
        base = document["servers"][0]["variables"]["basePath"]["default"]
        for path, methods in document["paths"].items():
            for method, described in methods.items():
                if method not in METHODS:
                    continue
                security = described.get("security", [{}])
                if any("appserviceAccessTokenBearer" in way for way in security):
                    token = "appservice"
                elif {} not in security:
                    token = "required"
                else:
                    token = "optional" if len(security) > 1 else "none"
                pointer = f"{uri}#/paths/{_escaped(path)}/{method}"
                yield Operation(described["operationId"], file.stem, method.upper(), base + path.strip(), token, pointer)

    def _document(self, uri: str) -> Any:
        if uri not in self._files:
            self._files[uri] = yaml.safe_load(Path(re.sub(r"^file://", "", uri).replace("%24", "$")).read_text())
        return self._files[uri]

    def _retrieve(self, uri: str) -> Resource:
        return DRAFT202012.create_resource(self._document(uri))

    def _at(self, pointer: str) -> Any:
        uri, _, fragment = pointer.partition("#")
        value = self._document(uri)
        for part in filter(None, fragment.split("/")):
            name = part.replace("%20", " ").replace("~1", "/").replace("~0", "~")
            value = value[int(name)] if isinstance(value, list) else value[name]
        return value


def _escaped(name: str) -> str:
    """A name as a part of a JSON pointer in a URI."""
    return name.replace("~", "~0").replace("/", "~1").replace(" ", "%20")


def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, pattern in FORMATS.items():
        # an empty text takes a name, an avatar or a topic away
        checker.checks(name)(
            lambda value, pattern=pattern: not isinstance(value, str) or value == "" or bool(re.fullmatch(pattern, value, re.S))
        )
    return checker


def _leaves(error: ValidationError) -> Iterator[str]:
    """Alternatives (`oneOf`) say nothing themselves: the reasons below them do."""
    if error.context:
        for below in error.context:
            yield from _leaves(below)
    elif error.validator != "oneOf":  # without reasons it says that several fit, which is no fault of the value
        message = error.message if len(error.message) < 300 else error.message[:300] + "…"
        yield f"{error.json_path}: {message}"
