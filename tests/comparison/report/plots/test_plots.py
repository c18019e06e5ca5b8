import dataclasses

import pytest

from comparison.grid.record import FAILED
from comparison.report import summary
from comparison.report.plots import accuracy, cost, drawing, heat_map
from tests.comparison.make import grid, kd_grid, record


def only_pair(records):
    (pair,) = summary.pairs(records)
    return pair


def maps(records):
    return heat_map.heat_maps(only_pair(records).tables[0])


def test_heat_map_shows_means_and_hatches_what_is_missing():
    ((method, figure),) = maps(kd_grid())
    assert method == "Soft_logits"
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["2", "4", "8", "16"]
    assert [t.get_text() for t in axes.get_xticklabels()] == [".2", ".4", ".6", ".8"]
    cells = {tuple(t.get_position()): t.get_text() for t in axes.texts}
    expected = next(r for r in kd_grid() if r.label.endswith("temperature=4 weight=.2"))
    assert cells[0, 1] == f"{100 * expected.last:.2f}"
    assert len(cells) == 15 and (1, 2) not in cells
    (hatched,) = [patch for patch in axes.patches if patch.get_hatch()]
    assert hatched.get_xy() == (0.5, 1.5)


def test_heat_map_only_if_exactly_two_vary():
    assert maps([record("AT")]) == []
    assert maps(kd_grid(weights=(".2",))) == []
    three = [
        record("AT", varied=(("a", a), ("b", b), ("c", c)))
        for a in "12" for b in "12" for c in "12"
    ]  # fmt: skip
    assert maps(three) == []
    assert len(maps([r for r in three if ("c", "1") in r.varied])) == 1
    lost = [record("AT", varied=r.varied, state=FAILED) for r in three]
    assert maps([r for r in lost if ("c", "1") in r.varied]) == []


def test_a_search_fills_no_heat_map():
    trials = [
        record("AT", varied=(("weight", f"{n}.5"), ("p", f"{n}.25"))) for n in range(3)
    ]
    assert maps(trials) == []


def test_best_methods_have_a_colour_and_the_student_alone_is_black():
    pair = only_pair(grid(epochs=2))
    looks = drawing.looks(pair)
    named = [label for label, look in looks.items() if look.is_named]
    assert (named[0], looks["none"].colour, len(named)) == ("none", "black", 9)
    assert len({looks[label].colour for label in named}) == 9
    top = [row.label for row in pair.tables[0].rows if row.label != "none"]
    assert top[0] in named
    assert "BSS" not in looks
    assert "AB" in looks and not looks["AB"].is_named


def test_what_is_coloured_is_chosen_on_validation():
    """By the test images it would be the other half."""
    cells = [record("none", last=0.5, best=0.5)]
    for i in range(16):
        numbers = {"last": 0.5 + 0.01 * i, "best": 0.8 - 0.01 * i}
        cells.append(record(f"M{i:02}", **numbers))

    def named(cells):
        looks = drawing.looks(only_pair(cells))
        return {label for label, look in looks.items() if look.is_named}

    assert named(cells) == {"none", *(f"M{i:02}" for i in range(8))}
    # Where some have no such number, it compares nothing.
    bare = dataclasses.replace(
        cells[3], result={**cells[3].result, "best_on_validation": None}
    )
    found = named([*cells[:3], bare, *cells[4:]])
    assert found == {"none", *(f"M{i:02}" for i in range(8, 16))}


def test_over_fraction_needs_two_fractions():
    def figure(records):
        pair = only_pair(records)
        return accuracy.over_fraction(pair, drawing.looks(pair))

    assert figure([record("AT")]) is None
    half = record("AT", fraction=0.5, last=0.4)
    assert figure([record("AT"), record("AT", fraction=0.5, state=FAILED)]) is None
    axes = figure([record("AT"), half]).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["50 %", "100 %"]


def test_mean_curve_is_where_all_seeds_were_evaluated():
    cells = [record("AT", seed=0, last=0.5), record("AT", seed=1, last=0.6)]
    cells[1].rows[0].pop("test_accuracy")
    row = only_pair(cells).tables[0].rows[0]
    second = 100 * 0.55 * (1 - 0.5 * 0.8**2)
    assert accuracy.mean_curve(row) == [
        pytest.approx((200 / 3, second)), pytest.approx((100, 55.0))
    ]  # fmt: skip


def test_names_beside_points_do_not_overlap():
    cells = [record("none")]
    for i, name in enumerate(["Soft_logits", "KD_SVD", "KD_EID", "Sobolev", "FitNet"]):
        cells.append(record(name, last=0.5 + 0.001 * i, speed=900.0))
    cells.append(record("AT", last=0.8, speed=500.0))
    pair = only_pair(cells)
    figure = cost.over_cost(pair.tables[0], drawing.looks(pair))
    axes = figure.axes[0]
    assert {text.get_text() for text in axes.texts} == {cell.method for cell in cells}
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    inside = axes.get_window_extent()
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1


def test_cost_is_relative_to_the_student_alone():
    cells = [record("none", speed=1000.0), record("AT", speed=250.0)]
    pair = only_pair(cells)
    figure = cost.over_cost(pair.tables[0], drawing.looks(pair))
    places = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert places == [1.0, 4.0]
    assert "student alone = 1" in figure.axes[0].get_xlabel()


@pytest.mark.parametrize("label", ["$a$ $b$", "x" * 200])
def test_odd_labels_are_drawn(label):
    pair = only_pair([record(label), record("none")])
    figure = cost.over_cost(pair.tables[0], drawing.looks(pair))
    shown = {text.get_text() for text in figure.axes[0].texts}
    assert drawing.shown(label) in shown and len(drawing.shown(label)) < 60
    assert drawing.svg(figure).startswith(b"<?xml")
