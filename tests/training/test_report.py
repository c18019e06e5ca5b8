import numpy as np
import pytest

from training import report


def entry(parameters, **values):
    return {
        "net": "resnet8",
        "top1": 0.5,
        "top5": 1.0,
        "loss": 0.123456,
        "parameters": parameters,
        "non_trainable_parameters": parameters // 10,
        "multiply_accumulates": 10 * parameters,
        **values,
    }


def test_quality():
    logits = np.log(np.array([[6, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 6]]) / 11)
    found = report.quality(logits, np.array([0, 0]))
    assert found["top1"] == 0.5
    assert found["top5"] == 1.0  # class 5 leads, and of the equal ones 0 is first
    np.testing.assert_allclose(found["loss"], -(np.log(6 / 11) + np.log(1 / 11)) / 2)


def test_table():
    text = report.table({"teacher": entry(1234567), "student": entry(100000, top1=1)})
    lines = [line.split("  ") for line in text.splitlines()]
    header, teacher, student = ([x.strip() for x in line if x] for line in lines)
    assert header == list(report.COLUMNS.values())[1:]
    assert teacher == [
        *("teacher", "resnet8", "50.00", "100.00", "0.1235"),
        *("1,234,567", "123,456", "12,345,670", "1.0x"),
    ]
    assert student[0] == "student"
    assert student[2] == "100.00"
    assert student[-1] == "12.3x"


def test_without_a_teacher_the_student_is_the_measure():
    text = report.table({"student": entry(10)})
    assert text.splitlines()[1].endswith("1.0x")


def test_results_of_before_have_no_number_of_what_is_not_trainable():
    old = entry(10)
    del old["non_trainable_parameters"]
    header, row = (line.split() for line in report.table({"student": old}).splitlines())
    assert row[header.index("non-trainable") - len(header)] == "?"


def test_columns_are_as_wide_as_their_widest_cell():
    rows = [["", "net"], ["teacher", "a"], ["x", "long name"], ["1e5", "0.10"]]
    assert report.aligned(rows).splitlines() == [
        "               net",
        "teacher          a",
        "x        long name",
        "1e5           0.10",
    ]


@pytest.mark.parametrize("key", ["top1", "parameters", "non_trainable_parameters"])
def test_titles_exist_for_what_test_py_prints(key):
    assert report.TITLES[key]
