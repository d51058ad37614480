from __future__ import annotations

import json

import pytest

from ops.console import Output, print_error


def test_without_a_terminal_everything_is_plain_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    long = "x" * 300
    output.say(f"[bold]{long}[/bold]", "green")
    output.table(("Name", "Value"), [("auc", long), ("log_loss", "1")])
    expected = [f"[bold]{long}[/bold]", "Name      Value", f"auc       {long}", "log_loss  1"]
    assert capsys.readouterr().out.splitlines() == expected


def test_each_stage_is_one_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().stages() as begin:
        begin("load", "a file")
        begin("fit", "[all]")
    lines = [line.split(": ") for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == ["load      a file", "fit       [all]"]
    assert all(time.endswith(" s") for _, time in lines)


def test_json_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.say("words")
    output.result({"a": 1}, lambda: pytest.fail("words were not asked for"))
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"a": 1}
    assert shown.err == "words\n"


def test_no_color_is_honoured_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_error("colourful")
    assert "\x1b[" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    Output().say("plain", "green")
    assert capsys.readouterr().out == "plain\n"
