"""A net where it meets data."""

import types

import pytest

from nets import for_data


def dataset(shape=(32, 32, 3), num_classes=10):
    return types.SimpleNamespace(input_shape=shape, num_classes=num_classes)


def test_images_and_number_of_classes_must_fit():
    net = types.SimpleNamespace(image_shape=(32, 32, 3), num_classes=10)
    for_data.check_fits(net, dataset([32, 32, 3]), "a.keras")
    for classes, shape in ((11, (32, 32, 3)), (10, (8, 8, 1))):
        message = rf"in a\.keras does not fit.*{classes} classes\. Rec.* and 10 classes"
        with pytest.raises(ValueError, match=message):
            for_data.check_fits(net, dataset(shape, classes), "a.keras")
