"""Every net has the published size, cost and taps (tests/data/nets.json)."""

import functools
import json
import pathlib

import pytest

import nets

_DATA = pathlib.Path(__file__).parents[1] / "data" / "nets.json"
FACTS = json.loads(_DATA.read_text())


def _id(fact):
    return f"{fact['name']}-{fact['source'].split()[0]}"


@functools.cache
def _measured(canonical_name):
    """Parameters, multiply-accumulates and tap shapes; several facts share a net."""
    net = nets.build(canonical_name, num_classes=100)
    shapes = {name: (spec.shape, spec.stride) for name, spec in net.tap_specs.items()}
    return nets.count_parameters(net), nets.multiply_accumulates(net), shapes


@functools.cache
def _parameters_with_10_classes(canonical_name):
    return nets.count_parameters(nets.build(canonical_name, num_classes=10))


@pytest.mark.parametrize("fact", FACTS, ids=_id)
def test_size_and_cost(fact):
    parameters, cost, _ = _measured(nets.canonical_name(fact["name"]))
    assert parameters == fact["trainable_parameters"]["100"]
    assert cost == fact["multiply_accumulates"]


@pytest.mark.parametrize("fact", FACTS, ids=_id)
def test_size_with_10_classes(fact):
    parameters = _parameters_with_10_classes(nets.canonical_name(fact["name"]))
    assert parameters == fact["trainable_parameters"]["10"]


@pytest.mark.parametrize("fact", FACTS, ids=_id)
def test_taps(fact):
    *_, shapes = _measured(nets.canonical_name(fact["name"]))
    expected = {"stem": ((32, 32, fact["stem_width"]), 1)}
    for index, stage in enumerate(fact["stages"], start=1):
        assert stage["pre_activation_available"]
        expected[f"stage{index}"] = (tuple(stage["shape"]), 2 ** (index - 1))
    expected["last_map"] = expected[f"stage{index}"]
    expected |= {f"{name}_pre": value for name, value in expected.items()}
    expected["embedding"] = ((stage["shape"][-1],), 4)
    assert shapes == expected
