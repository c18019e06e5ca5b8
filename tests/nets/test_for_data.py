"""A net where it meets data."""

import types

import pytest

import nets
from nets import for_data
from nets.given import Given

NAMES = ("cat", "dog", "eel")


def dataset(shape=(32, 32, 3), num_classes=10, class_names=None):
    found = {"input_shape": shape, "num_classes": num_classes, "mean": (0.5,)}
    return types.SimpleNamespace(**found, std=(0.25,), class_names=class_names)


def test_images_and_number_of_classes_must_fit():
    shape = {"image_shape": (32, 32, 3), "num_classes": 10}
    net = types.SimpleNamespace(**shape, class_names=None)
    for_data.check_fits(net, dataset([32, 32, 3]), "a.keras")
    for classes, shape in ((11, (32, 32, 3)), (10, (8, 8, 1))):
        message = rf"in a\.keras does not fit.*{classes} classes\. Rec.* and 10 classes"
        with pytest.raises(ValueError, match=message):
            for_data.check_fits(net, dataset(shape, classes), "a.keras")


@pytest.fixture
def file(tmp_path):
    """Of a net with names in another order than the data's."""
    net = nets.build("resnet8", 3, (8, 8, 1), seed=0)
    net.class_names = NAMES[::-1]
    nets.save(net, tmp_path / "net.keras")
    return str(tmp_path / "net.keras")


def test_a_net_that_is_built_knows_the_datas_classes():
    for role in ("student", "teacher"):
        net = for_data.build(Given(role, "resnet8"), dataset((8, 8, 1), 3, NAMES))
        assert net.class_names == NAMES
        assert (net.mean, net.std) == ((0.5,), (0.25,))


@pytest.mark.parametrize("role", ["student", "teacher", ""])
def test_a_file_with_classes_in_another_order_is_refused(file, role):
    """ "" is test.py, for the checkpoint."""
    message = r"net\.keras stand in another order.*cat, dog, eel\..*eel, dog, cat\."
    with pytest.raises(ValueError, match=message):
        for_data.build(Given(role, file=file), dataset((8, 8, 1), 3, NAMES))


def test_a_student_from_a_file_is_one_of_the_data_afterwards(file):
    unnamed, named = dataset((8, 8, 1), 3), dataset((8, 8, 1), 3, ("EEL", "dog", "cat"))
    assert for_data.build(Given("student", file), named).class_names[0] == "EEL"
    assert for_data.build(Given("student", file), unnamed).class_names is None
    for role in ("teacher", ""):
        for data in (named, unnamed):
            assert for_data.build(Given(role, file=file), data).class_names[0] == "eel"
