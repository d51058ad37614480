from __future__ import annotations

from training.markdown import cell, for_mlflow, replaced_section, table


def test_a_table_has_a_line_for_each_row() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| :--- | :--- |\n| 1 | 2 |"


def test_text_of_a_person_breaks_no_table_and_creates_no_link() -> None:
    assert cell("a|b\nsee [x](http://y) `c`") == r"a\|b see \[x\](http://y) \`c\`"
    assert cell("<script>") == r"\<script\>"


def test_for_mlflow_a_paragraph_is_one_line_and_columns_have_a_gap() -> None:
    text = "# Title\n\nOne paragraph\nof two lines.\n\n" + table(("a", "b"), [("1", r"2 \| 3"), ("4", "5")]) + "\n"
    assert for_mlflow(text) == (
        "# Title\n\nOne paragraph of two lines.\n\n"
        "| a&emsp; | b |\n| :--- | :--- |\n" + r"| 1&emsp; | 2 \| 3 |" + "\n| 4&emsp; | 5 |\n"
    )


def test_a_section_is_replaced_up_to_the_next_heading() -> None:
    text = "# A\n\n## B\n\nlong\n\n### C\n\nlonger\n\n## D\n\nend\n"
    assert replaced_section(text, "B", "short") == "# A\n\n## B\n\nshort\n\n## D\n\nend\n"
    assert replaced_section(text, "D", "short") == text.replace("end", "short")
    assert replaced_section(text, "E", "short") == text
