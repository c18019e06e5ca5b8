from comparison.report import markdown
from comparison.report.parts import TextTable


def test_cells_of_a_table_are_shown_as_they_are():
    rows = (("1e5", "0012"), ("", "-0.10"), ("  two\nlines ", "nan"))
    assert markdown.render([TextTable(("a|b", "n"), rows)]).splitlines() == [
        r"| a\|b | n |",
        "| --- | ---: |",
        "| 1e5 | 0012 |",
        "|  | -0.10 |",
        "| two lines | nan |",
    ]
