"""The repository's Python has no meaningless names, no files over 300 lines and no functions over 60."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import pytest
from support.paths import ROOT

EMPTY_NAMES: Final = {"found", "made", "told", "wanted", "kept", "given", "said"}
"""Participles that tell how a value came about, and not what it is. They are fine as a part of a longer name."""
FILE_LINES: Final = 300
FUNCTION_LINES: Final = 60
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> dict[str, str]:
    """The text of every Python file that git tracks, by its path."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = (ROOT / name for name in listing.split("\0") if name)
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths if path.exists()}


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each variable, argument, function, class and import that a module defines."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def empty_names(source: str) -> list[str]:
    """One line for each definition whose whole name is one of the empty ones."""
    return [f"line {line}: {name}" for line, name in sorted(names(ast.parse(source))) if name in EMPTY_NAMES]


def long_file(source: str) -> list[str]:
    """One line if the file is too long."""
    count = len(source.splitlines())
    return [f"{count} lines"] if count > FILE_LINES else []


def long_functions(source: str) -> list[str]:
    """One line for each function that is too long, without its decorators."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]
    lengths = {node: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    return [f"{node.name}: {length} lines" for node, length in lengths.items() if length > FUNCTION_LINES]


CHECKS: Final[tuple[Callable[[str], list[str]], ...]] = (empty_names, long_file, long_functions)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_file_passes(check: Callable[[str], list[str]]) -> None:
    assert len(sources()) > 400
    problems = {path: check(source) for path, source in sources().items()}
    assert {path: lines for path, lines in problems.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("found = 1", "line 1: found"),
        ("\nmade: int = 1", "line 2: made"),
        ("for told in (): ...", "line 1: told"),
        ("[wanted for wanted in ()]", "line 1: wanted"),
        ("with open('x') as kept: ...", "line 1: kept"),
        ("def f(given): ...", "line 1: given"),
        ("lambda *said: 1", "line 1: said"),
        ("def found(): ...", "line 1: found"),
        ("async def made(): ...", "line 1: made"),
        ("class told: ...", "line 1: told"),
        ("try: ...\nexcept ValueError as wanted: ...", "line 2: wanted"),
        ("if (kept := 1): ...", "line 1: kept"),
        ("import os as said", "line 1: said"),
        ("match 1:\n    case found: ...", "line 2: found"),
    ],
)
def test_an_empty_name_is_refused(source: str, expected: str) -> None:
    assert empty_names(source) == [expected]


@pytest.mark.parametrize("source", ["print(found)", "f(made=1)", "kept_days = 1", "found_at = x.found", "'wanted'"])
def test_other_uses_of_these_words_are_allowed(source: str) -> None:
    assert empty_names(source) == []


def test_a_long_file_is_refused() -> None:
    assert long_file("x = 1\n" * FILE_LINES) == []
    assert long_file("x = 1\n" * (FILE_LINES + 1)) == [f"{FILE_LINES + 1} lines"]


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_long_function_is_refused_also_inside_of_a_class(keyword: str) -> None:
    body = "        x = 1\n"
    head = f"class A:\n    @property\n    {keyword} f(self):\n"
    assert long_functions(head + body * (FUNCTION_LINES - 1)) == []
    assert long_functions(head + body * FUNCTION_LINES) == [f"f: {FUNCTION_LINES + 1} lines"]
