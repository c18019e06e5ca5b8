"""Published checkpoints give the published outputs; others are refused."""

import json
import pathlib
import re
import types

import numpy as np
import pytest
import scipy.io

import nets
from nets.mobilenet_v1 import MobileNetV1
from nets.published import keys as published_keys
from nets.published import torch_file
from nets.published import weights as published_weights
from tests.nets.published import published

KEYS = json.loads((published.DATA / "state_dict_keys.json").read_text())
# The deeper and wider nets of these families are slow.
FIRST_OF_A_FAMILY = (
    "resnet8 resnet20 resnet8x4 wrn_16_2 vgg8 ResNet50 MobileNetV2 ShuffleV1 ShuffleV2"
).split()
LOGITS = json.loads((published.DATA / "logits.json").read_text())


def _read(path):
    if path.suffix == ".mat":
        arrays = scipy.io.loadmat(path)
        arrays = {k: v for k, v in arrays.items() if not k.startswith("__")}
        return published_weights.net_of_mat(arrays)
    weights, _ = published_weights.find(torch_file.read(path))
    return published_weights.net_of_state_dict(path.stem, weights)


def _check(ours, theirs, scale, name):
    """Equal but for 1e-4 of the largest entry of the whole tensor."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * scale, err_msg=name)


def _check_tap(tap, expected, name):
    tap = np.asarray(tap)
    assert tap.shape == tuple(expected[f"{name}/shape"]), name
    scale, positions = np.abs(tap).max(), tuple(range(tap.ndim - 1))
    _check(tap[0, ..., :4], expected[f"{name}/first"], scale, name)
    _check(tap.mean(positions), expected[f"{name}/channel_mean"], scale, name)


@pytest.mark.parametrize("path", published.checkpoints(), ids=lambda p: p.name)
def test_logits_and_taps_are_the_published_ones(path):
    net, expected = _read(path), np.load(path.with_suffix(".npz"))
    output = net(expected["images"], with_taps=True)
    assert net.num_classes == expected["num_classes"]
    _check(output.logits, expected["logits"], np.abs(expected["logits"]).max(), "")
    names = [name.split("/")[0] for name in expected if name.endswith("/shape")]
    last = sum(name.startswith("feature_") for name in names) - 1
    taps = ["stem", *(f"stage{i}" for i in range(1, last)), "embedding"]
    for name in names:
        kind, index = name.rsplit("_", 1)
        ending = "_pre" if kind == "pre_activation" else ""
        _check_tap(output.taps[f"{taps[int(index)]}{ending}"], expected, name)


def test_there_are_checkpoints_of_both_kinds():
    assert {path.suffix for path in published.checkpoints()} == {".pth", ".mat"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[] if name in FIRST_OF_A_FAMILY else [pytest.mark.slow]
        )
        for name in KEYS
    ],
)
def test_keys_and_shapes_are_the_published_ones(name):
    net = nets.build(name, num_classes=100)
    variables = published_keys.of_state_dict(net)
    assert len(variables) == len(net.variables)
    ours = {key: published.published_shape(v) for key, v in variables.items()}
    theirs = {key: tuple(shape) for key, shape in KEYS[name].items()}
    assert ours == {k: v for k, v in theirs.items() if "num_batches" not in k}


def documented() -> list[str]:
    """The nets that docs/published_teachers.md says can be read."""
    page = pathlib.Path(nets.__file__).parent.parent / "docs/published_teachers.md"
    table = page.read_text().partition("| `--net=` |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [name for cell in cells for name in re.findall("`([^`]+)`", cell)]


def test_the_docs_name_nets_that_there_are_and_all_whose_keys_are_known():
    named = documented()
    assert len(set(named)) == len(named) and set(named) <= set(nets.names())
    assert set(KEYS) <= set(named) | {"wrn_16_8"}


@pytest.mark.slow
@pytest.mark.parametrize("name", nets.names())
def test_the_docs_name_a_net_if_and_only_if_its_layout_is_known(name):
    net = nets.build(name, 10, (32, 32, 3))
    if name in documented():
        assert len(published_keys.of_state_dict(net)) == len(net.variables)
    else:
        with pytest.raises(ValueError, match="not known how PyTorch files"):
            published_keys.of_state_dict(net)


def made_up_logits(name) -> np.ndarray:
    """Logits of an image, with weights that each depend on the key alone."""
    shapes = {k: tuple(v) for k, v in KEYS[name].items() if "num_batches" not in k}
    weights = {key: published.made_up(key, shape) for key, shape in shapes.items()}
    net = published_weights.net_of_state_dict(name, weights)
    image = np.random.default_rng(0).normal(size=(1, 32, 32, 3))
    return net(image.astype("float32"))[0, :5].numpy()


@pytest.mark.parametrize("name", LOGITS)
def test_keys_of_equal_shape_are_not_crossed(name):
    # Computed when the import gave the published outputs of nets of these families,
    # whose files are too large for the repository.
    _check(made_up_logits(name), LOGITS[name], np.abs(LOGITS[name]).max(), name)


# Where the weights are in a file.


@pytest.fixture
def tensors():
    """A state_dict of resnet8 with 100 classes."""
    return dict(torch_file.read(published.DATA / "resnet8.pth")["model"])


@pytest.mark.parametrize("place", ["model", "state_dict", "net"])
def test_places_of_the_weights(tensors, place):
    options = types.SimpleNamespace(model="resnet8", dataset="cifar100")
    found = published_weights.find(
        {"opt": options, place: tensors, "optimizer": {"state": {}}, "best_acc": 0.5}
    )
    assert found.options == {"model": "resnet8", "dataset": "cifar100"}
    assert found == published_weights.find({**tensors})._replace(options=found.options)
    assert len(found.weights) == 47  # without num_batches_tracked
    published_weights.net_of_state_dict("resnet8", found.weights)


def test_the_prefix_of_data_parallel_is_removed(tensors):
    prefixed = {f"module.{key}": tensor for key, tensor in tensors.items()}
    assert published_weights.find(prefixed) == published_weights.find(tensors)


@pytest.mark.parametrize(
    ("tree", "received"),
    [
        ({"epoch": 3, "model": {"a": 1}}, "Received: epoch, model"),
        ({"model": {}}, "Received: model"),
        ([1, 2], "Received: a list"),
    ],
)
def test_files_without_weights(tree, received):
    with pytest.raises(ValueError, match=f"holds no weights.*{received}"):
        published_weights.find(tree)


# Weights that are not those of the net.


def _error(weights, name="resnet8") -> str:
    with pytest.raises(ValueError) as info:
        published_weights.net_of_state_dict(name, weights)
    assert "\n" not in str(info.value)
    return str(info.value)


@pytest.fixture
def weights(tensors):
    return published_weights.find(tensors).weights


def test_all_that_is_wrong_is_said_at_once(weights):
    del weights["layer2.0.bn1.bias"], weights["conv1.weight"]
    weights["layer9.weight"] = weights["fc.bias"]
    weights["layer1.0.conv1.weight"] = weights["layer2.0.conv1.weight"]
    message = _error(weights)
    assert "does not hold the weights of resnet8" in message
    assert "2 missing (conv1.weight, layer2.0.bn1.bias)" in message
    assert "1 unexpected (layer9.weight)" in message
    expected = "1 misshapen (layer1.0.conv1.weight (32, 16, 3, 3) instead of (16, 16, "
    assert expected + "3, 3))" in message


def test_long_lists_are_shortened(weights):
    message = _error(weights, "resnet14")
    assert "30 missing (layer1.1.conv1.weight, " in message
    assert "layer1.1.conv2.weight, and 24 more)" in message
    assert len(message) < 500


def test_axes_in_another_order_are_misshapen(weights):
    weights["fc.weight"] = weights["fc.weight"].array().T
    message = _error({**weights, "fc.bias": weights["fc.bias"].array()[:64]})
    assert "fc.weight (64, 100) instead of (64, 64)" in message


def test_weights_that_are_not_finite(weights):
    weights["bn1.running_var"] = np.full(16, np.nan)
    assert "1 not finite (bn1.running_var)" in _error(weights)


def test_a_file_without_a_head(weights):
    del weights["fc.weight"]
    assert "number of classes is unknown" in _error(weights)


def test_nets_that_nobody_published():
    with pytest.raises(ValueError, match="not known.*'mine', a MobileNetV1"):
        published_keys.of_state_dict(MobileNetV1(10, (32, 32, 3), name="mine"))
    net = nets.build("shufflenetV2-0.5", 10)
    with pytest.raises(ValueError, match="not known.*'shufflenetV2-0.5'"):
        published_keys.of_state_dict(net)


@pytest.mark.parametrize(("depth", "width"), [(10, 2), (16, 1)])
def test_mat_files_tell_depth_and_width(depth, width):
    net = nets.build(f"wrn_{depth}_{width}", 7)
    arrays = {}
    for name, variable in published_keys.of_mat(net).items():
        array = published.made_up(name, tuple(variable.shape))
        # As that repository has them, and as savemat writes what has one axis.
        ones = {1: (1, 1, 1)} if "bn" in name else {1: (1,)}
        arrays[name] = array.reshape(*ones.get(array.ndim, ()), *array.shape)
    read = published_weights.net_of_mat(arrays)
    assert (read.depth, read.width, read.num_classes) == (depth, width, 7)
    assert (read.shortcut, read.padding) == ("raw", "same")
    for name, variable in published_keys.of_mat(read).items():
        np.testing.assert_allclose(
            variable, published.made_up(name, tuple(variable.shape)), rtol=1e-6
        )


def test_other_mat_files():
    with pytest.raises(ValueError, match="Expected a WResNet.*Received: x"):
        published_weights.net_of_mat({"x": np.zeros((2, 2))})
    arrays = dict(scipy.io.loadmat(published.DATA / "WResNet-10-1.mat"))
    arrays = {k: v for k, v in arrays.items() if not k.startswith("__")}
    arrays["extra"] = arrays.pop("bn_last/beta:0")
    with pytest.raises(ValueError, match=r"1 missing \(bn_last/beta:0\); 1 unexp"):
        published_weights.net_of_mat(arrays)
