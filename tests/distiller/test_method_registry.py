import inspect
import json
import sys

import pytest

import distiller
from distiller import registry
from tests import fakes
from tests.cases import every_method

SPECS = fakes.specs((8, 8, 3), (4, 4, 4))


@pytest.mark.parametrize(
    "name, canonical",
    [
        ("none", "none"),
        ("CE", "none"),
        ("kd", "Soft_logits"),
        ("Soft-logit", "Soft_logits"),
        ("softlogits", "Soft_logits"),
        ("SOFT_LOGITS", "Soft_logits"),
        ("hint", "FitNet"),
        ("fit-net", "FitNet"),
        (" attention ", "AT"),
        ("vid", "VID"),
        ("vid+kd", "VID+Soft_logits"),
        ("KD+VID+at", "Soft_logits+VID+AT"),
    ],
)
def test_names_users_know(name, canonical):
    assert distiller.canonical(name) == canonical
    assert distiller.resolve(name).name == canonical


@every_method
def test_a_method_that_reads_the_index_says_so(name):
    method = registry.method_class(name)
    source = inspect.getsource(sys.modules[method.__module__])
    assert method.needs_index == ('batch["index"]' in source)


def test_no_two_methods_share_a_name():
    spellings = [
        registry.folded(spelling)
        for name, (_, aliases) in registry.METHODS.items()
        for spelling in {registry.folded(name), *map(registry.folded, aliases)}
    ]
    assert len(set(spellings)) == len(spellings)


@pytest.mark.parametrize("name", ["VIDD", "", "VID+", "VID,KD", "VID+nothing"])
def test_unknown_methods_raise_with_all_names(name):
    with pytest.raises(ValueError) as error:
        distiller.resolve(name)
    for known in (*distiller.names(), "KD", f"name={name.split('+')[-1]!r}"):
        assert known in str(error.value)


def test_the_closest_name_is_offered():
    with pytest.raises(ValueError, match="Did you mean 'FitNet'"):
        distiller.canonical("fitnets")
    with pytest.raises(ValueError, match="Did you mean 'Soft_logits'"):
        distiller.canonical("soft_logit_s2")


def test_a_method_twice_in_a_sum_raises():
    with pytest.raises(ValueError, match=r"twice.*Soft_logits\+Soft_logits"):
        distiller.canonical("KD+ST")


def test_facts_are_known_before_there_are_nets():
    assert not distiller.resolve("none").uses_teacher
    assert distiller.resolve("none+AT").uses_teacher
    assert not distiller.resolve("none+AT").trains_teacher
    assert distiller.resolve("DML+AT").trains_teacher
    assert not distiller.resolve("AT+KD").needs_labels
    assert distiller.resolve("AT+CRD").needs_labels
    assert distiller.resolve("KD").task_weight == 0.1
    assert distiller.resolve("KD+VID").task_weight == 1.0


def test_hyperparameters_of_the_run_are_complete_and_json():
    spec = distiller.resolve("AT", ["weight=10", "taps=stage1,stage2", "AT.p=4"])
    assert spec.hyperparameters == {
        "variant": "AT",
        "taps": ["stage1", "stage2"],
        "weight": 10.0,
        "p": 4.0,
        "epsilon": 1e-6,
    }
    assert json.loads(json.dumps(spec.hyperparameters)) == spec.hyperparameters
    both = distiller.resolve("VID+KD", ["st.weight=2", "VID.weight=3"]).hyperparameters
    assert (both["Soft_logits.weight"], both["VID.weight"]) == (2.0, 3.0)
    assert len(both) == 7


@pytest.mark.parametrize("name", [*distiller.names(), "VID+AT+KD"])
def test_settings_make_the_same_again(name):
    spec = distiller.resolve(name)
    assert distiller.resolve(name, spec.settings) == spec
    taps = [f"{'AT.' if '+' in name else ''}taps=stage1:stage2,last_stage"]
    if "AT" in name:
        changed = distiller.resolve(name, taps)
        assert taps[0] in changed.settings
        assert distiller.resolve(name, changed.settings) == changed != spec


def test_build_passes_them_on():
    method = distiller.build("AT", SPECS, SPECS, fakes.data(), ["taps=stage2", "p=3"])
    assert (method.p, method.pairs) == (3.0, (("stage2", "stage2"),))
    with pytest.raises(ValueError, match=r"p=1\.5"):
        distiller.build("AT", SPECS, SPECS, fakes.data(), ["p=1.5"])


@pytest.mark.parametrize(
    "name, hparams, message",
    [
        ("AT", ["wait=1"], r"AT has no such.*weight=1000\.0.*hparam='wait=1'"),
        ("none", ["weight=1"], "none has no such.*has no hyperparameters"),
        ("AT", ["VID.weight=1"], r"PART one of AT.*hparam='VID\.weight=1'"),
        ("AT", ["V.weight=1"], "no method of this name"),
        ("AT+VID", ["weight=1"], "PART one of AT, VID.*hparam='weight=1'"),
        ("AT+VID", ["KD.weight=1"], "PART one of AT, VID"),
        ("AT+VID", ["AT.weight=1", "attention.weight=2"], "AT got.*twice"),
    ],
)
def test_misaddressed_hyperparameters_raise(name, hparams, message):
    with pytest.raises(ValueError, match=message):
        distiller.resolve(name, hparams)


def test_describe_tells_what_a_user_may_choose():
    shown = {one.name: one for one in distiller.describe()}
    assert tuple(shown) == distiller.names()
    text = str(shown["Soft_logits"])
    for part in ("KD, ST", "Hinton", "https://arxiv.org/abs/1503.02531", "weight=0.9"):
        assert part in text
    assert "temperature=4.0: softens both" in text
