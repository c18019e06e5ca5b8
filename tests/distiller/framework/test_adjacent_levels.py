import pytest

from distiller.framework import adjacent_levels
from tests import fakes

STUDENT = fakes.specs((8, 8, 4), (4, 4, 6), (2, 2, 8))
TEACHER = fakes.specs((4, 4, 4), (4, 4, 6), (2, 2, 8))


def test_pairs_are_those_of_tap_pairs():
    pairs = adjacent_levels.resolve(("stages",), STUDENT, TEACHER, 4)
    assert pairs == tuple((f"stage{i}",) * 2 for i in (1, 2, 3))


def test_one_level_raises():
    with pytest.raises(ValueError, match=r"adjacent levels.*taps=stage2.*1"):
        adjacent_levels.resolve(("stage2",), STUDENT, TEACHER)


def test_an_embedding_raises():
    specs = STUDENT | fakes.specs((4,), names=["embedding"])
    with pytest.raises(ValueError, match=r"\(H, W, C\).*embedding"):
        adjacent_levels.resolve(("stage1", "embedding"), specs, specs)


def test_unequal_channels_raise():
    with pytest.raises(ValueError, match=r"stage1 of the student \(8, 8, 4\), stage2"):
        adjacent_levels.resolve(("stage1:stage2", "stage3"), STUDENT, TEACHER)


def test_too_many_vectors_raise():
    with pytest.raises(ValueError, match=r"at most 4.*k=5.*\(4, 4, 4\)"):
        adjacent_levels.resolve(("stages",), STUDENT, TEACHER, 5)


def test_unequal_sizes_raise_where_they_must_be_equal():
    with pytest.raises(ValueError, match=r"equal height.*stage1.*\(8, 8, 4\)"):
        adjacent_levels.resolve(("stages",), STUDENT, TEACHER, equal_sizes=True)
    adjacent_levels.resolve(("stage2", "stage3"), STUDENT, TEACHER, equal_sizes=True)
    sizes = {"equal_widths": False, "equal_sizes": True}
    wider = fakes.specs((8, 8, 7), (4, 4, 9), (2, 2, 9))
    adjacent_levels.resolve(("stages",), STUDENT, wider, **sizes)
