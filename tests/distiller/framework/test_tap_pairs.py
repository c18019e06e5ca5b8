import pytest

from distiller.framework import tap_pairs
from nets.taps import TapSpecs
from tests import fakes


def taps(count, extra=()):
    """`count` stages, before and after the ReLU, and more of the same shape."""
    names = [f"stage{i + 1}{suffix}" for i in range(count) for suffix in ("", "_pre")]
    names += extra
    return fakes.specs(*[(4, 4, 3)] * len(names), names=names)


THREE = taps(3, ["stem", "embedding"])
FIVE = taps(5, ["stem"])


@pytest.mark.parametrize(
    "entries, student, teacher, expected",
    [
        (["stages"], THREE, THREE, "1:1 2:2 3:3"),
        (["stages"], THREE, FIVE, "1:3 2:4 3:5"),
        (["stages"], FIVE, THREE, "3:1 4:2 5:3"),
        (["stage2"], THREE, THREE, "2:2"),
        (["stage2"], THREE, FIVE, "2:4"),
        (["stage5", "stage3"], FIVE, THREE, "5:3 3:1"),
        (["last_stage"], THREE, FIVE, "3:5"),
        (["stage1:stage1"], FIVE, THREE, "1:1"),
        (["last_stage:stage2"], FIVE, THREE, "5:2"),
        (["stage1:last_stage"], FIVE, THREE, "1:3"),
    ],
)
def test_stages_pair_from_the_deepest(entries, student, teacher, expected):
    pairs = [pair.split(":") for pair in expected.split()]
    named = tuple((f"stage{s}", f"stage{t}") for s, t in pairs)
    assert tap_pairs.resolve(entries, student, teacher) == named
    before_relu = [
        ":".join(f"{name}_pre" for name in entry.split(":")) for entry in entries
    ]
    assert tap_pairs.resolve(before_relu, student, teacher) == tuple(
        (f"{s}_pre", f"{t}_pre") for s, t in named
    )


def test_other_taps_pair_by_name():
    assert tap_pairs.resolve(["stem"], THREE, FIVE) == (("stem", "stem"),)
    mixed = tap_pairs.resolve(["stage3", "stem:stage1"], THREE, FIVE)
    assert mixed == (("stage3", "stage5"), ("stem", "stage1"))


def test_ten_stages_are_sorted_by_number():
    pairs = tap_pairs.resolve(["last_stage"], taps(10), taps(2))
    assert pairs == (("stage10", "stage2"),)


@pytest.mark.parametrize(
    "entries, message",
    [
        (["stage9"], r"student has no tap 'stage9'.*stage1 \(4, 4, 3\).*taps=stage9"),
        (["embedding"], r"teacher has no tap 'embedding'.*stage5"),
        (["stem:nowhere"], r"teacher has no tap 'nowhere'"),
        ([":stem"], r"student has no tap ''"),
        ([], "No taps are chosen"),
        (["stage3", "last_stage"], r"twice.*taps=stage3,last_stage"),
    ],
)
def test_unusable_taps_raise(entries, message):
    with pytest.raises(ValueError, match=message):
        tap_pairs.resolve(entries, THREE, FIVE)


def test_stage_without_partner_raises():
    with pytest.raises(ValueError, match=r"stage2.*no partner.*stage3, stage4, stage5"):
        tap_pairs.resolve(["stage2"], FIVE, THREE)


def test_net_without_stages_raises():
    with pytest.raises(ValueError, match="No taps are chosen"):
        tap_pairs.resolve(["stages"], THREE, {"stem": THREE["stem"]})
    with pytest.raises(ValueError, match="no partner"):
        tap_pairs.resolve(["stage1"], THREE, {"stem": THREE["stem"]})


def test_unequal_widths_raise_only_where_they_must_agree():
    narrow, wide = fakes.specs((4, 4, 3)), fakes.specs((4, 4, 6))
    assert tap_pairs.resolve(["stage1"], narrow, wide)
    assert tap_pairs.resolve(["stage1"], narrow, narrow, equal_widths=True)
    with pytest.raises(
        ValueError, match=r"equal.*stage1 of the student \(4, 4, 3\).*6"
    ):
        tap_pairs.resolve(["stage1"], narrow, wide, equal_widths=True)


def test_vectors_raise_only_where_maps_are_needed():
    specs = fakes.specs((4, 4, 3)) | fakes.specs((4,), names=["embedding"])
    assert tap_pairs.resolve(["embedding", "stage1"], specs, specs)
    assert tap_pairs.resolve(["stage1"], specs, specs, maps=True)
    for taps in (["embedding"], ["stage1:embedding"], ["embedding:stage1"]):
        with pytest.raises(ValueError, match=r"\(H, W, C\).*embedding of the .*\(4,\)"):
            tap_pairs.resolve(taps, specs, specs, maps=True)


def test_one_pair_is_asked_for_where_methods_compare_one():
    resolve_one = tap_pairs.resolve_one
    assert resolve_one(["last_stage"], THREE, FIVE) == ("stage3", "stage5")
    with pytest.raises(ValueError, match=r"one pair.*taps=stages, which are 3 pairs"):
        resolve_one(["stages"], THREE, FIVE)
    with pytest.raises(ValueError, match="no tap 'embedding'"):
        resolve_one(["embedding"], THREE, FIVE)


@pytest.mark.parametrize("specs", [{"embedding": None}, {}])
def test_a_net_says_why_it_has_no_maps(specs):
    specs = {name: THREE["embedding"] for name in specs}
    tokens = TapSpecs(specs, why_no_maps="it computes tokens")
    for entry in ("stages", "last_stage_pre", "stage2", "last_map", "stage1:last_map"):
        with pytest.raises(
            ValueError, match=f"teacher shows no maps: it comp.*{entry}"
        ):
            tap_pairs.resolve([entry], THREE, tokens)
    with pytest.raises(ValueError, match="student shows no maps: it computes tokens"):
        tap_pairs.resolve(["last_map:embedding"], tokens, THREE)
    if specs:
        expected = (("stage1", "embedding"),)
        assert tap_pairs.resolve(["stage1:embedding"], THREE, tokens) == expected
