"""Results of each class: the figures and the table."""

import numpy as np
import pytest

from op_utils import metrics
from training import class_results

# Five images of class 0, one of 1, none of 2; nothing is predicted as 3 but once wrong.
LABELS = np.array([0, 0, 0, 0, 0, 1, 3])
PREDICTED = np.array([0, 0, 0, 1, 3, 1, 0])
LOGITS = np.eye(5, dtype=np.float32)[PREDICTED]
NAMES = ("ant", "bee", "cat", "dog", "eel")


def test_figures_equal_counting_by_hand():
    found = metrics.per_class(LOGITS, LABELS)
    np.testing.assert_array_equal(found["images"], [5, 1, 0, 1, 0])
    np.testing.assert_allclose(found["recall"], [3 / 5, 1, np.nan, 0, np.nan])
    np.testing.assert_allclose(found["precision"], [3 / 4, 1 / 2, np.nan, 0, np.nan])
    assert metrics.balanced_accuracy(found["recall"]) == pytest.approx(1.6 / 3)


def test_recalls_by_their_images_make_the_accuracy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 7)), rng.integers(0, 7, 200)
    found = metrics.per_class(logits, labels)
    right = np.sum(found["recall"] * found["images"])
    assert right / 200 == pytest.approx(metrics.top_k_accuracy(logits, labels))
    assert found["images"].sum() == 200


def test_a_nan_among_the_logits_predicts_nothing():
    logits = LOGITS.copy()
    logits[0, 4] = np.nan
    found = metrics.per_class(logits, LABELS)
    assert (found["recall"][0], found["precision"][0]) == (2 / 5, 2 / 3)
    assert found["images"][0] == 5


def test_a_class_without_images_is_unknown_and_leaves_the_mean_alone():
    balanced, rows = class_results.measure(LOGITS, LABELS, NAMES)
    assert balanced == pytest.approx((0.6 + 1 + 0) / 3)
    assert [row["class"] for row in rows] == list(NAMES)
    assert rows[2] == {"class": "cat", "images": 0, "recall": None, "precision": None}
    *_, cat, dog, _ = class_results.table(rows).splitlines()
    assert cat.split() == ["cat", "0", "-", "-"]
    assert dog.split() == ["dog", "1", "0.00", "0.00"]
    assert "nan" not in class_results.table(rows)


def test_classes_without_names_are_called_by_their_numbers():
    _, rows = class_results.measure(LOGITS, LABELS, None)
    assert [row["class"] for row in rows] == list("01234")


def test_of_many_classes_the_worst_are_shown():
    labels = np.repeat(np.arange(100), 2)
    predicted = labels.copy()
    predicted[[14, 15, 60]] = 0  # class 7 never right, class 30 half
    logits = np.eye(101)[predicted]  # class 100 has no image
    _, rows = class_results.measure(logits, labels, None)
    assert len(rows) == 101
    title, *shown = class_results.table(rows, most=3).splitlines()
    assert title.startswith("the 3 worst of 101 classes")
    assert [line.split()[0] for line in shown] == ["7", "30", "0"]
    whole = class_results.table(rows[:20])
    assert len(whole.splitlines()) == 21 and whole.startswith("class ")


def test_names_take_one_line_each():
    rows = [{"class": "two\nlines" + 50 * "x", "images": 1, "recall": 1.0,
             "precision": None}]  # fmt: skip
    _, line = class_results.table(rows).splitlines()
    assert line.startswith("two linesx") and line.split()[-3:] == ["1", "100.00", "-"]
    assert len(line) < 90
