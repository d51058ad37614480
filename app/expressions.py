"""The formulas by which a blank value is computed from other features: a small grammar, parsed and never executed.

A formula has numbers, names of features, ``+ - * /``, a minus sign, parentheses, ``min(...)`` and ``max(...)``. This
module walks its tree itself. There is no attribute, index, power, comparison or call of anything else, so a contract
from a stranger can compute no more than arithmetic of bounded size.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

MAX_CHARACTERS: Final = 200
MAX_DEPTH: Final = 10
_FUNCTIONS: Final = ("min", "max")
_OPERATORS: Final = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}

_V = TypeVar("_V", float, npt.NDArray[np.float64])
_Column: TypeAlias = npt.NDArray[np.float64]


class ExpressionError(ValueError):
    """A formula that the grammar does not have; the message names the part and what is allowed."""


@dataclass(frozen=True)
class Expression:
    """A parsed formula; ``names`` are the features that it reads, in the order of their first use."""

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    def value(self, row: Mapping[str, Any]) -> float:
        """The result for one row: IEEE arithmetic on float64, as :meth:`column` does it.

        A division by zero gives NaN or an infinity, and never raises.
        """
        return _walk(self._tree, lambda name: float(row[name]), _SCALAR)

    def column(self, columns: Mapping[str, _Column]) -> _Column:
        """The result for columns of equal length."""
        with np.errstate(all="ignore"):
            return _walk(self._tree, lambda name: np.asarray(columns[name], dtype=np.float64), _ARRAYS)


def parse(text: str) -> Expression:
    """Parse a formula.

    Raises:
        ExpressionError: it is too long or too deep, or holds anything that the grammar does not have.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"{len(text)} characters; a formula has at most {MAX_CHARACTERS}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(
            f"{text!r} is not a formula; write for example 'tenure_months * monthly_charges'"
        ) from None
    names: dict[str, None] = {}
    _check(tree, names, MAX_DEPTH)
    return Expression(text, tuple(names), tree)


def _check(node: ast.expr, names: dict[str, None], depth: int) -> None:
    if depth == 0:
        raise ExpressionError(f"nested more than {MAX_DEPTH} deep")
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(left, names, depth - 1)
            _check(right, names, depth - 1)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, names, depth - 1)
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            if abs(value) > 2**53 or not math.isfinite(value):
                raise ExpressionError(f"{ast.unparse(node)} is out of range; a number lies within ±2^53")
        case ast.Name(id=name):
            names[name] = None
        case ast.Call(func=ast.Name(id=function), args=[_, _, *_] as arguments, keywords=[]) if function in _FUNCTIONS:
            for argument in arguments:
                _check(argument, names, depth - 1)
        case _:
            raise ExpressionError(
                f"{ast.unparse(node)!r} is not allowed; a formula has features, numbers, + - * /, "
                "min(a, b) and max(a, b)"
            )


@dataclass(frozen=True)
class _Arithmetic:
    """What differs between numbers and arrays."""

    divide: Callable[[Any, Any], Any]
    minimum: Callable[[Any, Any], Any]
    maximum: Callable[[Any, Any], Any]


def _divide(a: float, b: float) -> float:
    # Python raises where IEEE arithmetic, and numpy with it, has a result.
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _minimum(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else min(a, b)


def _maximum(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


_SCALAR: Final = _Arithmetic(_divide, _minimum, _maximum)
_ARRAYS: Final = _Arithmetic(np.divide, np.minimum, np.maximum)


def _walk(node: ast.expr, lookup: Callable[[str], _V], arithmetic: _Arithmetic) -> _V:
    """Compute a node of a checked tree."""

    def walk(child: ast.expr) -> Any:
        return _walk(child, lookup, arithmetic)

    match node:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type, return-value]  # checked to be a number; numpy spreads it
        case ast.Name(id=name):
            return lookup(name)
        case ast.UnaryOp(operand=operand):
            return -walk(operand)  # type: ignore[no-any-return]
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(op, walk(left), walk(right), arithmetic)  # type: ignore[no-any-return]
        case ast.Call(func=ast.Name(id=function), args=arguments):
            pick = arithmetic.minimum if function == "min" else arithmetic.maximum
            result = walk(arguments[0])
            for argument in arguments[1:]:
                result = pick(result, walk(argument))
            return result  # type: ignore[no-any-return]
    raise AssertionError(ast.dump(node))  # pragma: no cover - parse() lets no other node through


def _combine(op: ast.operator, left: Any, right: Any, arithmetic: _Arithmetic) -> Any:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
    return arithmetic.divide(left, right)
