"""Turns a contract of the Open Data Contract Standard (3.0, 3.1 or 3.2) into one of ours, as YAML with comments."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from app.contract import Contract
from app.feature import MAX_EXACT, Feature
from training import contract_yaml
from training.contract_export import PREFIX
from training.contract_file import ContractError, parse, read_text, whole_file
from training.contract_guesses import label_name, snake_case
from training.contract_odcs_shape import Shape
from training.contract_writer import EDITORS, yaml_text
from training.contract_yaml import Problem

_USED: Final = frozenset(
    {"version", "kind", "apiVersion", "id", "name", "status", "description", "schema", "customProperties"}
)
_USED_IN_PROPERTY: Final = frozenset(
    {
        *("id", "name", "physicalType", "physicalName", "description", "primaryKey", "primaryKeyPosition", "unique"),
        *("logicalType", "logicalTypeOptions", "required", "examples", "enum", "quality", "customProperties"),
        *("businessName", "validValues"),
    }
)
_OPTIONS: Final = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength", "maxLength"}
)
_PHYSICAL: Final = (
    ("boolean", r"bool.*|bit"),
    ("integer", r"(big|small|tiny|medium)?int(eger)?\d*|long|short|serial"),
    ("number", r"(decimal|numeric|number|double|float|real|money).*"),
    ("string", r"(var|n|nvar)?char.*|(long|medium)?text|string.*|uuid|enum.*"),
)
_DATES: Final = frozenset({"date", "timestamp", "time"})


@dataclass
class _Draft:
    """Our document while it is put together."""

    features: list[dict[str, Any]] = field(default_factory=list)
    example: dict[str, Any] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    head: list[str] = field(default_factory=list)
    comments: dict[contract_yaml.Path, list[str]] = field(default_factory=dict)

    def ignore(self, name: str, why: str) -> None:
        self.ignored.append(name)
        self.comments.setdefault(("ignored",), []).append(f"{name}: {why}.")


def read_odcs(path: Path, *, table: str | None = None, label: str | None = None) -> str:
    """Read such a contract, and write ours.

    Args:
        path: YAML or JSON.
        table: the schema object that describes customers, if there are several.
        label: the property that tells who churned; by default one that is called like it.

    Raises:
        ContractError: it is no such contract, or describes nothing that can be a feature.
    """
    return converted(read_text(path), str(path), table=table, label=label)


def converted(text: str, source: str, *, table: str | None = None, label: str | None = None) -> str:
    """The same for the text of a contract, which messages call ``source``."""
    document = contract_yaml.parse(text)
    if document.problems and document.value is None:
        raise ContractError(source, document.problems)
    value = document.value
    version = str(value.get("apiVersion", "")) if isinstance(value, dict) else ""
    if not re.fullmatch(r"v?3\.\d+(\.\d+)?", version):
        shown = f"apiVersion is {version!r}" if version else "there is no apiVersion"
        raise whole_file(source, f"{shown}; expected the Open Data Contract Standard v3.0 to v3.2")
    _check_shape(document, source)
    properties, name = _properties(value, table, source)
    draft = _Draft(rest=_custom(value))
    labels = [p["name"] for p in properties]
    if label is not None and label not in labels:
        raise whole_file(source, f"there is no property {label!r}; there are {', '.join(labels)}")
    ours = any(key in draft.rest for key in ("example", "label"))
    label = label or (None if ours else label_name(labels))
    key = _key(properties, draft)
    for property_ in properties:
        if property_ is not key and property_["name"] != label:
            _add(property_, draft)
    _note_rest(value, draft)
    contract = _contract(value, name, draft, label, source)
    head = [EDITORS, f"Taken over from {Path(source).name}.", *draft.head]
    return yaml_text(contract, head=head, comments=draft.comments)


def _check_shape(document: contract_yaml.Document, source: str) -> None:
    """Refuse parts that are read here and have another shape than in the standard, each with its line."""
    try:
        Shape.model_validate(document.value)
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False):
            path = detail["loc"]
            shown = detail["msg"].replace("Input should be", "it should be")
            problems.append(Problem(document.line(path), contract_yaml.dotted(path), shown))
        raise ContractError(source, tuple(sorted(set(problems)))) from None


def _properties(value: Mapping[str, Any], table: str | None, source: str) -> tuple[list[dict[str, Any]], str]:
    objects = value.get("schema") or []
    names = [o["name"] for o in objects]
    if table is not None:
        objects = [o for o in objects if o["name"] == table]
    if len(objects) != 1:
        raise whole_file(source, f"expected one schema object; choose with --table from: {', '.join(names) or 'none'}")
    properties = [p for p in objects[0].get("properties") or [] if p["name"]]
    return properties, value.get("name") or objects[0]["name"] or "customers"


def _custom(value: Mapping[str, Any]) -> dict[str, Any]:
    """Our own customProperties, without the prefix."""
    pairs = value.get("customProperties") or []
    return {c["property"].removeprefix(PREFIX): c.get("value") for c in pairs if c["property"].startswith(PREFIX)}


def _key(properties: list[dict[str, Any]], draft: _Draft) -> dict[str, Any] | None:
    """The first primary key, which becomes ours; others are features like all."""
    keys = [p for p in properties if p.get("primaryKey") is True]
    if not keys:
        draft.head.append("No property is a primary key: the key is customer_id.")
        return None
    name = keys[0]["name"]
    body = {"name": snake_case(name)} | ({"aliases": [name]} if snake_case(name) != name else {}) | _custom(keys[0])
    if keys[0].get("description"):
        body["description"] = keys[0]["description"][:500]
    draft.rest["key"] = body
    draft.taken.add(body["name"])
    if len(keys) > 1:
        draft.head.append(f"Of several primary keys only {name} is the key.")
    return keys[0]


def _type(property_: Mapping[str, Any]) -> str:
    if property_.get("logicalType"):
        return str(property_["logicalType"])
    physical = str(property_.get("physicalType", "")).lower()
    return next((kind for kind, pattern in _PHYSICAL if re.fullmatch(pattern, physical)), physical or "unknown")


def _categories(property_: Mapping[str, Any]) -> list[str]:
    """Allowed values: of 3.2's enum, or what earlier contracts have instead of it."""
    listed: list[Any] = [e.get("value") if isinstance(e, dict) else e for e in property_.get("enum") or []]
    for rule in property_.get("quality") or []:
        listed = listed or (rule.get("arguments") or {}).get("validValues") or []
    for custom in property_.get("customProperties") or []:
        if not listed and custom["property"] in {"enum", "validValues", "allowedValues"}:
            # The standard lets this be anything.
            listed = custom["value"] if isinstance(custom.get("value"), list) else []
    return [str(value) for value in listed or property_.get("validValues") or []]


def _add(property_: Mapping[str, Any], draft: _Draft) -> None:
    """Add a property as a feature, or to the ignored columns with the reason."""
    theirs, kind, categories = property_["name"], _type(property_), _categories(property_)
    own = _custom(property_)
    name = snake_case(theirs, draft.taken)
    body: dict[str, Any] = {"name": name}
    notes = list(_property_notes(property_, own))
    if len(categories) > 1 and kind == "string":
        body |= {"type": "category", "categories": categories}
    elif kind == "boolean":
        body["type"] = "boolean"
    elif kind in {"integer", "number"}:
        body |= {"type": kind} | _bounds(property_.get("logicalTypeOptions") or {}, kind, notes)
    else:
        why = "a text without a list of its values" if kind == "string" else f"its type is {kind}"
        draft.ignore(theirs, f"{why}; as_of can name it if a row was known on that day" if kind in _DATES else why)
        return
    if property_.get("description"):
        body["description"] = property_["description"][:500]
    if property_.get("required") is False and "blank" not in own:
        if body["type"] == "category":
            notes.append("May be blank in the source: give it a rule, blank: {constant: ...}, if it can be.")
        else:
            own["blank"] = "median"
    if theirs != name and "aliases" not in own:
        own["aliases"] = [theirs]
    body |= own
    draft.taken.add(name)
    draft.comments[("features", len(draft.features))] = notes
    draft.features.append(body)
    draft.example[name] = _example(body, property_)


def _property_notes(property_: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    unknown = sorted(set(property_) - _USED_IN_PROPERTY)
    unknown += sorted(set(property_.get("logicalTypeOptions") or {}) - _OPTIONS)
    foreign = [c["property"] for c in property_.get("customProperties") or []]
    unknown += [f for f in foreign if f.removeprefix(PREFIX) not in own]
    if unknown:
        yield f"Not taken over: {', '.join(unknown)}."


def _bounds(options: Mapping[str, Any], kind: str, notes: list[str]) -> dict[str, Any]:
    step = 1 if kind == "integer" else 0
    low, high = options.get("minimum"), options.get("maximum")
    if low is None and (edge := options.get("exclusiveMinimum")) is not None:
        low = edge + step
    if high is None and (edge := options.get("exclusiveMaximum")) is not None:
        high = edge - step
    if low is None or high is None:
        notes.append("The source has no bounds on both sides: these are the widest possible. Set them.")
    return {"minimum": -MAX_EXACT if low is None else low, "maximum": MAX_EXACT if high is None else high}


def _example(body: Mapping[str, Any], property_: Mapping[str, Any]) -> Any:
    """The first example of a property that fits, else a plain value."""
    try:
        feature = Feature.model_validate_json(json.dumps(body))
    except ValueError:  # said by the check of the whole contract
        return None
    fitting = [e for e in property_.get("examples") or [] if feature.fits(e)]
    if fitting:
        return fitting[0]
    if feature.is_category:
        return feature.categories[0]
    if feature.type == "boolean":
        return False
    return 0 if feature.fits(0) else int(feature.lowest) if feature.integer else feature.lowest


def _note_rest(value: Mapping[str, Any], draft: _Draft) -> None:
    unknown = sorted(set(value) - _USED)
    foreign = [c["property"] for c in value.get("customProperties") or []]
    unknown += [f for f in foreign if not f.startswith(PREFIX)]
    if unknown:
        draft.head.append(f"Not taken over: {', '.join(unknown)}.")


def _contract(value: Mapping[str, Any], name: str, draft: _Draft, label: str | None, source: str) -> Contract:
    rest = dict(draft.rest)
    if label is not None:
        rest["label"] = {} if label == "churned" else {"aliases": [label]}
    elif "label" not in rest and "example" not in rest:
        draft.head.append("No property tells who churned: the label is churned. Name another with --label.")
    description = value.get("description")
    purpose = description.get("purpose") if isinstance(description, dict) else description
    document: dict[str, Any] = {"contract": 1, "name": snake_case(name).replace("_", "-"), "features": draft.features}
    document |= {"description": str(purpose)[:500]} if purpose else {}
    document |= {"ignored": [*draft.ignored]} if draft.ignored else {}
    try:
        return parse(json.dumps({**document, "example": draft.example, **rest}), source)
    except ContractError as error:
        # The lines are those of a document that nobody sees.
        raise ContractError(source, tuple(dataclasses.replace(p, line=0) for p in error.problems)) from None
