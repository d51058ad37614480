from __future__ import annotations

from benchmarks import sections


def test_a_section_is_appended_then_replaced_and_the_rest_stays() -> None:
    once = sections.put("# Title\n", "gates", "first\n")
    assert once == "# Title\n\n<!-- gates: begin -->\nfirst\n<!-- gates: end -->\n"
    twice = sections.put(once + "after\n", "gates", "second")
    assert twice == "# Title\n\n<!-- gates: begin -->\nsecond\n<!-- gates: end -->\nafter\n"


def test_a_document_written_anew_keeps_the_section() -> None:
    old = sections.put("# Old\n", "gates", "measured")
    assert (
        sections.with_section_of(old, "# New\n", "gates")
        == "# New\n\n<!-- gates: begin -->\nmeasured\n<!-- gates: end -->\n"
    )
    assert sections.with_section_of("# Old\n", "# New\n", "gates") == "# New\n"
