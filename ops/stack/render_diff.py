"""Compare two renders of the stacks, as Markdown for a pull request: ``python -m ops.stack.render_diff BASE HEAD``.

Each of the two folders holds a folder per stack, written by `churn render`. For a stack that could not be rendered, it
holds a file ``<stack>.failed`` with the reason instead. The compared text comes from a pull request and may try to look
like something else, so it is shown only in code blocks that it cannot close, without invisible characters.
"""

from __future__ import annotations

import argparse
import difflib
import html
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

MARKER: Final = "<!-- churn render diff -->"
"""First line of the comment, by which a later run recognizes and updates it."""
COMMENT_CHARACTERS: Final = 60_000
"""GitHub refuses a comment above 65,536."""
FAILED: Final = ".failed"
_LONGEST_FILE: Final = 200_000
_LONGEST_LINE: Final = 400
_LONGEST_REASON: Final = 2_000
_CLOSING_ROOM: Final = 300
_HIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that show nothing, or that reorder or hide the text beside them (bidirectional text)."""

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Change:
    """One object that differs, and the stacks in which it differs in the same way."""

    kind: Kind
    path: str
    diff: str
    stacks: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """All differences, and the reason for each stack that one side could not render."""

    stacks: tuple[str, ...]
    changes: tuple[Change, ...]
    base_failed: dict[str, str]
    head_failed: dict[str, str]


def compare(base: Path, head: Path) -> Comparison:
    """Compare two folders of rendered stacks."""
    failed = [
        {path.name.removesuffix(FAILED): _text(path) for path in side.glob(f"*{FAILED}")} for side in (base, head)
    ]
    folders = {path.name for side in (base, head) if side.is_dir() for path in side.iterdir() if path.is_dir()}
    stacks = tuple(sorted(folders | failed[0].keys() | failed[1].keys()))
    same: dict[tuple[str, Kind, str], list[str]] = defaultdict(list)
    for stack in stacks:
        if stack not in failed[0] and stack not in failed[1]:
            for path, kind, diff in _differences(base / stack, head / stack):
                same[path, kind, diff].append(stack)
    changes = tuple(Change(kind, path, diff, tuple(where)) for (path, kind, diff), where in sorted(same.items()))
    return Comparison(stacks, changes, *failed)


def _differences(base: Path, head: Path) -> Iterator[tuple[str, Kind, str]]:
    old, new = _files(base), _files(head)
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path, ""), new.get(path, "")
        if path in old and path in new and before == after:
            continue
        kind: Kind = "added" if path not in old else "removed" if path not in new else "changed"
        if max(len(before), len(after)) > _LONGEST_FILE:
            yield path, kind, f"({len(before)} characters before, {len(after)} after: too long to compare here)"
        else:
            lines = list(difflib.unified_diff(_lines(before), _lines(after), "base", "head", lineterm=""))
            yield path, kind, "\n".join(lines) if lines else "(only the line end of the last line differs)"


def _lines(text: str) -> list[str]:
    """Split at line feeds alone, so that any other line end stays in its line and is shown."""
    return text.removesuffix("\n").split("\n") if text else []


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): _text(path)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    }


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="backslashreplace")


# ------------------------------------------------------------------ as Markdown


def fenced(text: str, language: str = "") -> str:
    """Build a code block that its content cannot close, and that shows every character of it."""
    lines = (line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} (...)" for line in _lines(text))
    shown = "\n".join(_visible(line) for line in lines)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def _visible(text: str) -> str:
    def escape(match: re.Match[str]) -> str:
        character = match[0]
        return character.encode("unicode_escape").decode() if unicodedata.category(character) in _HIDDEN else character

    return re.sub(r"[^\t -~]", escape, text)


def _name(text: str) -> str:
    """Show a name as code in HTML, where Markdown is not interpreted."""
    shown = _visible(text[:_LONGEST_LINE])
    return "<code>" + re.sub(r"[`*_\[\]@#|~:]", lambda match: f"&#{ord(match[0])};", html.escape(shown)) + "</code>"


def markdown(comparison: Comparison, *, limit: int = COMMENT_CHARACTERS) -> str:
    """Write the comparison in at most ``limit`` characters; differences that do not fit are counted."""
    parts = [MARKER, "## What this change does to the rendered stacks", _table(comparison), *_failures(comparison)]
    used = sum(len(part) + 2 for part in parts)
    shown = 0
    for change in comparison.changes:
        part = _section(change)
        if used + len(part) + 2 > limit - _CLOSING_ROOM:
            break
        parts.append(part)
        used += len(part) + 2
        shown += 1
    if left := len(comparison.changes) - shown:
        parts.append(
            f"{left} more of {len(comparison.changes)} differences do not fit here: "
            "`churn render --stack STACK --out FOLDER` writes them all, at both revisions."
        )
    return "\n\n".join(parts) + "\n"


def _table(comparison: Comparison) -> str:
    rows = ["| Stack | Added | Removed | Changed |", "|---|---|---|---|"]
    for stack in comparison.stacks:
        sides = [
            side
            for side, failed in (("base", comparison.base_failed), ("head", comparison.head_failed))
            if stack in failed
        ]
        if sides:
            cells = [f"not rendered at {' and '.join(sides)}", "", ""]
        else:
            kinds = [change.kind for change in comparison.changes if stack in change.stacks]
            cells = [str(kinds.count(kind)) for kind in ("added", "removed", "changed")]
        rows.append(f"| {_name(stack)} | {' | '.join(cells)} |")
    return "\n".join(rows) if comparison.stacks else "Neither revision has a stack."


def _failures(comparison: Comparison) -> Iterator[str]:
    notes = {
        "The base revision could not render": comparison.base_failed,
        "**This revision could not render**": comparison.head_failed,
    }
    for note, failed in notes.items():
        reasons = defaultdict(list)
        for stack, reason in sorted(failed.items()):
            reasons[reason.strip()[-_LONGEST_REASON:]].append(stack)
        for reason, stacks in reasons.items():
            yield f"{note} {', '.join(map(_name, stacks))}:\n\n{fenced(reason)}"


def _section(change: Change) -> str:
    title = f"{change.kind} in {', '.join(map(_name, change.stacks))}: {_name(change.path)}"
    return f"<details><summary>{title}</summary>\n\n{fenced(change.diff, 'diff')}\n\n</details>"


def main(arguments: list[str] | None = None) -> None:
    """Print the Markdown."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack.render_diff", description=__doc__)
    parser.add_argument("base", type=Path, help="folder with the rendered stacks of the base revision")
    parser.add_argument("head", type=Path, help="the same for the revision under review")
    parser.add_argument("--limit", type=int, default=COMMENT_CHARACTERS, help="longest text to print, in characters")
    options = parser.parse_args(arguments)
    sys.stdout.write(markdown(compare(options.base, options.head), limit=options.limit))


if __name__ == "__main__":
    main()
