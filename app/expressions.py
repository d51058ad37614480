"""The formulas by which a blank value is computed from other features: a small grammar, parsed and never executed.

A formula has numbers, names of features, ``+ - * /``, a minus sign, parentheses, ``min(...)`` and ``max(...)``. This
module turns its tree into functions itself. There is no attribute, index, power, comparison or call of anything else,
so a contract from a stranger can compute no more than arithmetic of bounded size.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

MAX_CHARACTERS: Final = 200
MAX_DEPTH: Final = 10
_FUNCTIONS: Final = ("min", "max")
_OPERATORS: Final = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}

_Compute: TypeAlias = Callable[[Mapping[str, Any]], Any]
"""Computes a part of a formula from the values, or the columns, by name."""


class ExpressionError(ValueError):
    """A formula that the grammar does not have; the message names the part and what is allowed."""


@dataclass(frozen=True)
class Expression:
    """A parsed formula; ``names`` are the features that it reads, in the order of their first use."""

    text: str
    names: tuple[str, ...]
    _scalar: _Compute
    _arrays: _Compute

    def value(self, row: Mapping[str, Any]) -> float:
        """The result for one row: IEEE arithmetic on float64, as :meth:`column` does it.

        A division by zero gives NaN or an infinity, and never raises.
        """
        return float(self._scalar(row))

    def column(self, columns: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """The result for columns of equal length."""
        with np.errstate(all="ignore"):
            result = self._arrays(columns)
        # A formula of numbers alone has one result for all rows.
        rows = len(next(iter(columns.values()), ()))
        return np.broadcast_to(np.asarray(result, dtype=np.float64), (rows,)).copy()


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
    return Expression(text, tuple(names), _compiled(tree, _SCALAR), _compiled(tree, _ARRAYS))


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

    read: Callable[[Any], Any]
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


def _column(values: Any) -> Any:
    return np.asarray(values, dtype=np.float64)


_SCALAR: Final = _Arithmetic(float, _divide, _minimum, _maximum)
_ARRAYS: Final = _Arithmetic(_column, np.divide, np.minimum, np.maximum)


def _compiled(node: ast.expr, arithmetic: _Arithmetic) -> _Compute:
    """Turn a checked tree into nested functions, which run several times faster than a walk through the tree."""
    match node:
        case ast.Constant(value=int() | float() as value):
            number = float(value)
            return lambda _: number
        case ast.Name(id=name):
            read = arithmetic.read
            return lambda row: read(row[name])
        case ast.UnaryOp(operand=operand):
            negated = _compiled(operand, arithmetic)
            return lambda row: -negated(row)
        case ast.BinOp(left=left, op=op, right=right):
            return _both(_operation(op, arithmetic), _compiled(left, arithmetic), _compiled(right, arithmetic))
        case ast.Call(func=ast.Name(id=function), args=arguments):
            pick = arithmetic.minimum if function == "min" else arithmetic.maximum
            parts = [_compiled(argument, arithmetic) for argument in arguments]
            return reduce(lambda left, right: _both(pick, left, right), parts)
    raise AssertionError(ast.dump(node))  # pragma: no cover - parse() lets no other node through


def _both(operation: Callable[[Any, Any], Any], left: _Compute, right: _Compute) -> _Compute:
    return lambda row: operation(left(row), right(row))


def _operation(op: ast.operator, arithmetic: _Arithmetic) -> Callable[[Any, Any], Any]:
    match op:
        case ast.Add():
            return operator.add
        case ast.Sub():
            return operator.sub
        case ast.Mult():
            return operator.mul
    return arithmetic.divide
