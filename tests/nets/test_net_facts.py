"""Every net has the published size, cost and taps (tests/data/nets.json)."""

import functools
import json
import math
import pathlib

import pytest

import nets

_DATA = pathlib.Path(__file__).parents[1] / "data" / "nets.json"
FACTS = json.loads(_DATA.read_text())
# Tracing takes up to seconds a net: the deeper and wider ones of a family are slow.
QUICK = (
    "resnet8 resnet20 resnet8x4 wrn_16_1 wrn_16_2 wrn-16-2 vgg8 vgg11 MobileNetV2 "
    "ShuffleV1 ShuffleV2 shufflenetV2-0.5"
).split()


def _case(fact):
    is_slow = fact["name"] not in QUICK
    return pytest.param(
        fact,
        id=f"{fact['name']}-{fact['source'].split()[0]}",
        marks=[pytest.mark.slow] if is_slow else [],
    )


every_fact = pytest.mark.parametrize("fact", list(map(_case, FACTS)))


@functools.cache
def _built(canonical_name):
    """What the tests ask of a net; several facts share one."""
    net = nets.build(canonical_name, num_classes=100)
    statistics = sum(math.prod(v.shape) for v in net.non_trainable_variables)
    return {
        "input_shape": net.image_shape,
        "parameters": nets.count_parameters(net),
        "non_trainable_statistics": statistics,
        "multiply_accumulates": nets.multiply_accumulates(net),
        "specs": net.tap_specs,
    }


def _measured(fact):
    return _built(nets.canonical_name(fact["name"]))


def test_every_net_has_facts():
    """But for WResNets, of which any depth and width is built by one rule."""
    known = {nets.canonical_name(fact["name"]) for fact in FACTS}
    assert not [n for n in nets.names() if n not in known and n[:3] != "wrn"]


@every_fact
def test_size(fact):
    measured = _measured(fact)
    assert measured["input_shape"] == tuple(fact["input_shape"])
    assert measured["non_trainable_statistics"] == fact["non_trainable_statistics"]
    for num_classes, parameters in fact["trainable_parameters"].items():
        of_a_class = fact["embedding"] + 1
        more = (int(num_classes) - 100) * of_a_class
        assert measured["parameters"] + more == parameters


@every_fact
def test_cost(fact):
    num_classes = next(iter(fact["trainable_parameters"]))  # those of the published net
    more = (int(num_classes) - 100) * fact["embedding"]
    cost = _measured(fact)["multiply_accumulates"] + more
    assert cost == fact["multiply_accumulates"]


@every_fact
def test_taps(fact):
    specs = dict(_measured(fact)["specs"])
    height = fact["input_shape"][0]
    shapes = {f"stage{i}": s["shape"] for i, s in enumerate(fact["stages"], start=1)}
    # The published MobileNetV1 shows no stem.
    shapes["stem"] = fact["stem"] or specs["stem"].shape
    shapes["last_map"] = [*fact["stages"][-1]["shape"][:2], fact["embedding"]]
    shapes |= {f"{name}_pre": shape for name, shape in shapes.items()}
    embedding = specs.pop("embedding")
    assert {name: spec.shape for name, spec in specs.items()} == {
        name: tuple(shape) for name, shape in shapes.items()
    }
    for spec in specs.values():
        assert spec.shape[0] * spec.stride == height
    assert embedding.shape == (fact["embedding"],)
    assert embedding.stride == specs["last_map"].stride


@every_fact
def test_batch_norms_are_those_of_the_taps_channels(fact):
    specs = _measured(fact)["specs"]
    for name, spec in specs.items():
        if spec.batch_norm is not None:
            assert name.endswith("_pre")
            assert spec.batch_norm.gamma.shape == spec.shape[-1:]


@pytest.mark.parametrize("num_classes", [2, 7])
def test_only_the_head_knows_the_number_of_classes(num_classes):
    for name, embedding in (("vgg8", 512), ("resnet8", 64)):
        ten, other = (nets.build(name, n) for n in (10, num_classes))
        more = (num_classes - 10) * (embedding + 1)
        assert nets.count_parameters(other) == nets.count_parameters(ten) + more
