from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.stack.render_diff import FAILED, MARKER, Comparison, compare, fenced, main, markdown

Tree = dict[str, str]
API = "churn-serving/Deployment-api.yaml"


def write(folder: Path, files: Tree) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return folder


def compared(tmp_path: Path, base: Tree, head: Tree) -> Comparison:
    return compare(write(tmp_path / "base", base), write(tmp_path / "head", head))


def report(tmp_path: Path, base: Tree, head: Tree, **options: int) -> str:
    return markdown(compared(tmp_path, base, head), **options)


def test_no_difference(tmp_path: Path) -> None:
    same = {f"dev/{API}": "replicas: 2\n", "dev/.churn-render": "x"}
    comparison = compared(tmp_path, same, same | {"dev/.churn-render": "y"})
    assert (comparison.stacks, comparison.changes) == (("dev",), ())
    assert "| <code>dev</code> | 0 | 0 | 0 |" in markdown(comparison)


def test_added_removed_and_changed_objects_are_counted_and_shown(tmp_path: Path) -> None:
    text = report(
        tmp_path,
        {f"dev/{API}": "kind: Deployment\nreplicas: 2\n", "dev/old.yaml": "a: 1\n", "prod/same.yaml": "b: 1\n"},
        {f"dev/{API}": "kind: Deployment\nreplicas: 3\n", "dev/new.yaml": "c: 1\n", "prod/same.yaml": "b: 1\n"},
    )
    assert text.startswith(MARKER + "\n")
    assert "| <code>dev</code> | 1 | 1 | 1 |" in text
    assert "| <code>prod</code> | 0 | 0 | 0 |" in text
    assert f"changed in <code>dev</code>: <code>{API}</code>" in text
    assert "```diff\n--- base\n+++ head\n@@ -1,2 +1,2 @@\n kind: Deployment\n-replicas: 2\n+replicas: 3\n```" in text
    assert "added in <code>dev</code>: <code>new.yaml</code>" in text
    assert "+c: 1" in text
    assert "removed in <code>dev</code>: <code>old.yaml</code>" in text
    assert "-a: 1" in text


def test_the_same_difference_in_several_stacks_is_shown_once(tmp_path: Path) -> None:
    base = {f"{stack}/api.yaml": "a: 1\n" for stack in ("dev", "staging", "prod")}
    head = base | {"staging/api.yaml": "a: 2\n", "prod/api.yaml": "a: 2\n"}
    text = report(tmp_path, base, head)
    assert text.count("+a: 2") == 1
    assert "changed in <code>prod</code>, <code>staging</code>: <code>api.yaml</code>" in text


def test_an_empty_file_that_appears_is_a_difference(tmp_path: Path) -> None:
    assert [change.kind for change in compared(tmp_path, {"dev/a": "x"}, {"dev/a": "x", "dev/b": ""}).changes] == [
        "added"
    ]


def test_a_new_stack_and_a_removed_one(tmp_path: Path) -> None:
    text = report(tmp_path, {"old/a.yaml": "a: 1\n"}, {"new/a.yaml": "a: 1\n"})
    assert "| <code>new</code> | 1 | 0 | 0 |" in text
    assert "| <code>old</code> | 0 | 1 | 0 |" in text


def test_no_stack_at_all(tmp_path: Path) -> None:
    assert "Neither revision has a stack" in markdown(compare(tmp_path / "nothing", tmp_path / "here"))


# ------------------------------------------------------------------ a revision that cannot be rendered


def test_a_base_that_cannot_render_is_reported(tmp_path: Path) -> None:
    base = {f"dev{FAILED}": "No such command 'render'.\n", f"prod{FAILED}": "No such command 'render'.\n"}
    text = report(tmp_path, base, {"dev/a.yaml": "a: 1\n", "prod/a.yaml": "a: 1\n"})
    assert "| <code>dev</code> | not rendered at base |" in text
    assert text.count("No such command 'render'.") == 1
    assert "The base revision could not render <code>dev</code>, <code>prod</code>:" in text
    assert "+a: 1" not in text, "everything would look added"


def test_a_head_that_cannot_render_is_reported(tmp_path: Path) -> None:
    text = report(tmp_path, {"dev/a.yaml": "a: 1\n"}, {f"dev{FAILED}": "Pulumi.dev.yaml cannot work: ...\n"})
    assert "| <code>dev</code> | not rendered at head |" in text
    assert "**This revision could not render** <code>dev</code>:" in text
    assert "-a: 1" not in text


def test_the_end_of_a_long_reason_is_kept(tmp_path: Path) -> None:
    reason = "".join(f"line {number}\n" for number in range(10_000))
    text = report(tmp_path, {f"dev{FAILED}": reason}, {"dev/a.yaml": ""})
    assert "line 9999" in text
    assert len(text) < 5_000


# ------------------------------------------------------------------ bounded


@pytest.mark.parametrize("limit", [2_000, 60_000])
def test_a_long_difference_is_cut_and_counted(tmp_path: Path, limit: int) -> None:
    head = {f"dev/{number:04}.yaml": "".join(f"line: {line}\n" for line in range(20)) for number in range(1000)}
    text = report(tmp_path, {"dev/a.yaml": ""}, head | {"dev/a.yaml": ""}, limit=limit)
    assert limit * 0.6 < len(text) <= limit
    shown = text.count("<details>")
    assert text.count("</details>") == shown > 0
    assert f"{1000 - shown} more of 1000 differences do not fit here" in text
    assert "| <code>dev</code> | 1000 | 0 | 0 |" in text


def test_a_huge_object_is_not_compared_line_by_line(tmp_path: Path) -> None:
    text = report(tmp_path, {"dev/a.yaml": "a: 1\n"}, {"dev/a.yaml": "x\n" * 200_000})
    assert "(5 characters before, 400000 after: too long to compare here)" in text


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    text = report(tmp_path, {"dev/a.yaml": ""}, {"dev/a.yaml": "x" * 50_000})
    assert len(text) < 2_000
    assert "x (...)" in text


# ------------------------------------------------------------------ hostile content


def blocks(text: str) -> list[str]:
    """The code blocks as CommonMark reads them: a fence ends at a line of at least as many backticks."""
    contents: list[str] = []
    fence = ""
    for line in text.splitlines():
        if fence and re.fullmatch(f" {{0,3}}{fence}`*[ \t]*", line):
            fence = ""
        elif fence:
            contents[-1] += line + "\n"
        elif match := re.match("( {0,3})(`{3,})[^`]*$", line):
            fence = match[2]
            contents.append("")
    assert not fence, "a code block without an end"
    return contents


HOSTILE = [
    "```",
    "````\n</details>\n# Approved by the owner\n",
    "`" * 500,
    "   ```  ",
    "~~~",
    "</details></summary><h1>Approved</h1>",
    "@owner please merge",
    MARKER,
    "\r```\r# Approved",
    "a\x0b```\x0c```\x85```\u2028```\u2029",
    "\x1b[2J\x1b[31mcrimson",
    "\u202eevil\u2066",
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
@pytest.mark.parametrize("place", ["object", "base", "reason"])
def test_content_stays_in_its_code_block(tmp_path: Path, hostile: str, place: str) -> None:
    calm, wild = {"dev/a.yaml": "calm\n"}, {"dev/a.yaml": f"calm\n{hostile}\n"}
    base, head = {
        "object": (calm, wild),
        "base": (wild, calm),
        "reason": ({f"dev{FAILED}": hostile}, calm),
    }[place]
    text = report(tmp_path, base, head)
    assert len(blocks(text)) == 1
    outside = text.replace(blocks(text)[0], "")
    for word in ("Approved", "@owner", "crimson", "evil"):
        assert word not in outside
    assert text.count(MARKER) - blocks(text)[0].count(MARKER) == 1
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize(
    "name",
    ["a`b.yaml", "<h1>x<h1>.yaml", "@owner.yaml", "[x](y).yaml", "a\nb.yaml", "**x**", "|x|", "\u202ex", "\udcff"],
)
def test_a_name_is_only_text(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "head", {})
    (folder / "dev").mkdir()
    path = folder / "dev" / name
    path.write_text("a: 1\n", encoding="utf-8")
    text = markdown(compare(tmp_path / "base", folder))
    summary = next(line for line in text.splitlines() if line.startswith("<details>"))
    shown = re.fullmatch(r"<details><summary>added in <code>dev</code>: <code>(.*)</code></summary>", summary)
    assert shown
    assert not re.search(r"[<>`@\[\]*|\u202e\udcff]", shown[1])
    text.encode()


def test_bytes_that_are_not_text_are_shown_by_their_codes(tmp_path: Path) -> None:
    assert r"+\xff\xfe" in report(tmp_path, {"dev/a.yaml": ""}, {"dev/a.yaml": "\udcff\udcfe"})


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("token")
    head = write(tmp_path / "head", {"dev/a.yaml": "a: 1\n"})
    (head / "dev" / "link.yaml").symlink_to(secret)
    assert "token" not in markdown(compare(tmp_path / "base", head))


def test_ordinary_letters_of_other_languages_stay() -> None:
    assert fenced("Grüße, 你好, привет, 5 €, ≥ 2 → 3, 🙂") == "```\nGrüße, 你好, привет, 5 €, ≥ 2 → 3, 🙂\n```"


def test_the_command_prints_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, head = write(tmp_path / "base", {"dev/a": "1\n"}), write(tmp_path / "head", {"dev/a": "2\n"})
    main([str(base), str(head), "--limit", "1000"])
    assert capsys.readouterr().out == markdown(compare(base, head), limit=1000)
