"""A simulator of IAM: whether a request is allowed by documents, the way AWS combines them.

The order is that of the IAM User Guide, "Policy evaluation logic": an explicit deny in any document wins; otherwise the
identity's policies and its boundary, if it has one, must both allow; within one account a resource's policy that names
the principal itself allows too, and one that names the account's root only says that the account's own policies count.
A key's policy must always take part (KMS Developer Guide, "Key policies"). An operator, or a form of a document, that
is not known here is an error and never a silent "no".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

Json = Mapping[str, Any]
Context = Mapping[str, Any]
KNOWN: Final = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"}
)
VARIABLE: Final = re.compile(r"\$\{([^}]+)\}")


def many(value: Any) -> list[Any]:
    """A value that may be a list or stand alone, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def like(value: str, pattern: str) -> bool:
    """Whether a pattern with * and ? matches; brackets have no meaning in IAM."""
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _same(value: Any, expected: str) -> bool:
    return str(value) == expected


def _boolean(value: Any, expected: str) -> bool:
    return str(value).lower() == expected.lower()


OPERATORS: Final[dict[str, Callable[[Any, str], bool]]] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _boolean,
    "StringLike": lambda value, pattern: like(str(value), pattern),
    "ArnEquals": lambda value, pattern: like(str(value), pattern),
    "ArnLike": lambda value, pattern: like(str(value), pattern),
    "Bool": _boolean,
    "NumericEquals": lambda value, expected: float(value) == float(expected),
    "NumericLessThanEquals": lambda value, limit: float(value) <= float(limit),
    "NumericGreaterThan": lambda value, limit: float(value) > float(limit),
}
NEGATED: Final = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _operator_holds(operator: str, value: Any, patterns: Sequence[str]) -> bool:
    """Whether one operator holds for the request's value, which is None where the request has no such key."""
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        return (value is None) == (str(patterns[0]).lower() == "true")
    negated = name in NEGATED
    test = OPERATORS[NEGATED.get(name, name)]
    if value is None:
        return if_exists or negated or quantifier == "ForAllValues"
    results = [any(test(each, str(pattern)) for pattern in patterns) != negated for each in many(value)]
    if quantifier == "ForAnyValue":
        return any(results)
    if not quantifier and len(results) != 1:
        raise ValueError(f"{operator}: the request has several values: use ForAllValues or ForAnyValue")
    return all(results)


def condition_holds(condition: Json, context: Context) -> bool:
    """Whether all operators of a condition hold; the names of keys are not case-sensitive."""
    values = {key.lower(): value for key, value in context.items()}

    def filled(pattern: Any) -> str | None:
        missing = [name for name in VARIABLE.findall(str(pattern)) if name.lower() not in values]
        return None if missing else VARIABLE.sub(lambda match: str(values[match[1].lower()]), str(pattern))

    for operator, keys in condition.items():
        for key, patterns in keys.items():
            expected = [text for pattern in many(patterns) if (text := filled(pattern)) is not None]
            if not _operator_holds(operator, values.get(key.lower()), expected):
                return False
    return True


def _in(value: str, statement: Json, name: str, *, fold: bool = False) -> bool:
    """Whether a statement's list (or its negation) covers a value; a statement without either covers all."""
    fold_case: Callable[[str], str] = str.lower if fold else str
    for form, wanted_result in ((name, True), (f"Not{name}", False)):
        if form in statement:
            covered = any(like(fold_case(value), fold_case(pattern)) for pattern in many(statement[form]))
            return covered is wanted_result
    return True


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody wants to do; ``context`` has the condition keys of the request."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


def matches(statement: Json, request: Request) -> bool:
    """Whether a statement speaks of a request, apart from its principal.

    Raises:
        ValueError: the statement has a part that is not known.
    """
    if unknown := set(statement) - KNOWN:
        raise ValueError(f"a statement has the unknown parts {sorted(unknown)}")
    return (
        _in(request.action, statement, "Action", fold=True)
        and _in(request.resource, statement, "Resource")
        and condition_holds(statement.get("Condition", {}), request.context)
    )


def verdicts(statements: Iterable[Json], request: Request) -> set[str]:
    """The effects of all statements that speak of a request."""
    return {str(statement["Effect"]) for statement in statements if matches(statement, request)}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A role with the statements of all its policies, and those of its boundary if it has one."""

    arn: str
    statements: Sequence[Json]
    boundary: Sequence[Json] | None = None

    @property
    def root(self) -> str:
        """The account as a principal."""
        return f"arn:aws:iam::{self.arn.split(':')[4]}:root"


def _names(statement: Json, principals: Sequence[str]) -> bool:
    stated = statement.get("Principal", {})
    if stated == "*":
        return True
    return bool({"*", *principals} & set(many(stated.get("AWS", []))))


def allowed(identity: Identity, request: Request, resource_policy: Sequence[Json] = ()) -> bool:
    """Whether a role may do something in its own account."""
    direct = [each for each in resource_policy if _names(each, [identity.arn])]
    by_account = [each for each in resource_policy if _names(each, [identity.root])]
    own = verdicts(identity.statements, request)
    on_resource = verdicts(direct, request)
    limits = {"Allow"} if identity.boundary is None else verdicts(identity.boundary, request)
    if "Deny" in own | on_resource | limits | verdicts(by_account, request):
        return False
    if request.action.startswith("kms:") and not {"Allow"} & (on_resource | verdicts(by_account, request)):
        return False
    # A boundary limits what a resource's policy grants to a role, too.
    return "Allow" in limits and "Allow" in own | on_resource


def may_assume(trust: Sequence[Json], *, federated: str = "", service: str = "", context: Context) -> bool:
    """Whether a trust policy lets in a token of an identity provider, or a service of AWS."""

    def speaks(statement: Json) -> bool:
        principal = statement["Principal"]
        kind, name = ("Federated", federated) if federated else ("Service", service)
        return principal == "*" or name in many(principal.get(kind, []))

    effects = {
        str(statement["Effect"])
        for statement in trust
        if speaks(statement) and condition_holds(statement.get("Condition", {}), context)
    }
    return effects == {"Allow"}
