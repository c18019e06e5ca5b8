"""The table of nets by size, and the choice of one."""

import os

import keras
import pytest

import nets
from nets import auto_student, registry
from nets import sizes as net_sizes
from nets.sizes import Data

FEW = ("resnet8", "wrn_10_1", "MobileNetV2", "vgg8", "MobileNetV1-ImageNet")
SMALL = Data(10, (32, 32, 3))


@pytest.fixture
def few(monkeypatch):
    """Fewer nets, to be quick."""
    monkeypatch.setattr(registry, "names", lambda: FEW)


@pytest.mark.parametrize("name", ["resnet8", "MobileNetV2"])
def test_sizes_are_those_of_the_built_and_saved_net(name, tmp_path):
    scale = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.3)}
    names = tuple(f"class {i}" for i in range(7))
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")  # which must not count
    try:
        data = Data(7, (16, 32, 3), **scale, class_names=names)
        (found,), refused = net_sizes.measure(data, [name])
    finally:
        keras.config.set_dtype_policy(policy)
    net = nets.build(name, 7, (16, 32, 3), **scale)
    net.class_names = names
    nets.save(net, tmp_path / "net.keras")
    assert not refused and found.name == name
    assert found.parameters == nets.count_parameters(net)
    assert found.multiply_accumulates == nets.multiply_accumulates(net)
    # A seed of an initialiser, and the date, have more or fewer digits.
    assert abs(found.file - os.path.getsize(tmp_path / "net.keras")) < 500


def test_a_measurement_leaves_nothing_to_initialise(monkeypatch):
    """Weights that Keras would draw at the next chance would fill the memory."""
    drawn = []

    def draw(variable):
        drawn.append(variable)

    monkeypatch.setattr(keras.Variable, "_deferred_initialize", draw)
    net_sizes.measure(SMALL, ["resnet8"])
    with keras.StatelessScope():  # at its end Keras draws what was put off
        keras.Variable("zeros", shape=(2,), dtype="float32")
    assert len(drawn) == 1


def test_the_table_is_sorted_and_says_what_cannot_be_built(few):
    head, *rows, last = net_sizes.table(Data(10, (8, 8, 1)))
    assert head.split() == ["net", "parameters", "mult.-acc.", "file", "MB"]
    assert [row.split()[0] for row in rows[:3]] == ["wrn_10_1", "resnet8", "vgg8"]
    assert rows[1].split()[1:] == ["77,754", "763,520", "0.40"]
    assert rows[3].startswith("not for 8x8x1 (a height and width that 16 divides): ")
    assert rows[3].endswith(": MobileNetV2") and last.endswith(": MobileNetV1-ImageNet")


def test_the_table_tells_the_whole_error_of_a_users_own_net(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})

    @nets.register("mine")
    def mine(num_classes, input_shape):
        return keras.Sequential([keras.layers.Dense(units)])  # noqa: F821

    monkeypatch.setattr(registry, "names", lambda: ("wrn_10_1", "mine"))
    _, _, last = net_sizes.table(SMALL)
    assert "NameError: name 'units' is not defined" in last
    assert last.endswith(": mine") and "\n" not in last


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto-1MB", 1e6),
        ("AUTO-500kb", 5e5),
        ("auto-0.3mb", 3e5),
        ("auto-.5GB", 5e8),
        ("auto-1.5MiB", 1.5 * 2**20),
        ("auto-2KiB", 2048),
        ("auto-80000B", 80000),
    ],
)
def test_a_size_is_read(name, expected):
    assert auto_student.is_automatic(name)
    assert auto_student.limit(name) == expected


@pytest.mark.parametrize(
    "name",
    ["auto-", "auto-MB", "auto-1", "auto-0MB", "auto--1MB", "auto-1.MB", "auto-1e3kB"],
)
def test_a_size_that_is_none_raises(name):
    with pytest.raises(ValueError, match=f"such as auto-500kB.*Received: {name}"):
        auto_student.limit(name)


def test_the_most_multiply_accumulates_under_the_bound_are_chosen(few):
    # MobileNetV2 has more parameters and a larger file, resnet8 equal ones in a larger.
    name, reason = auto_student.choose("auto-4MB", SMALL)
    assert name == "wrn_10_1"
    assert reason == (
        "auto-4MB is wrn_10_1 with 0.388 MB: the most multiply-accumulates, "
        "12,501,632, of 3 nets of at most 4 MB at 32x32x3"
    )
    assert auto_student.choose("auto-16MB", SMALL).name == "vgg8"
    large = Data(10, (128, 128, 3))
    # vgg8 would be 16 MB and spend more.
    assert auto_student.choose("auto-20MB", large).name == "MobileNetV1-ImageNet"


def test_a_bound_below_every_net_names_the_smallest(few):
    with pytest.raises(ValueError, match=r"0.388 MB \(wrn_10_1\) at 32x32x3.*auto-9kB"):
        auto_student.choose("auto-9kB", SMALL)
    with pytest.raises(ValueError, match="Expected at least no net at 7x7x3"):
        auto_student.choose("auto-9MB", Data(10, (7, 7, 3)))


def test_the_bound_is_what_the_file_has(few):
    (sizes,), _ = net_sizes.measure(SMALL, ["wrn_10_1"])
    assert auto_student.choose("auto-390kB", SMALL).name == "wrn_10_1"
    # The weights alone would fit.
    assert 4 * sizes.parameters < 350e3 < sizes.file
    with pytest.raises(ValueError, match="0.388 MB"):
        auto_student.choose("auto-350kB", SMALL)
