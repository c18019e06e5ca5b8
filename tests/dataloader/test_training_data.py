import numpy as np
import pytest

import dataloader


def prepare(**changes):
    return dataloader.prepare("digits", batch_size=32, **changes)


def test_validation_is_cut_before_the_fraction():
    full = prepare(validation=0.2)
    part = prepare(validation=0.2, fraction=0.25)
    np.testing.assert_array_equal(full.validation.images, part.validation.images)
    assert set(part.indices) < set(full.indices)
    published = full.dataset.train
    assert len(full.train) + len(full.validation) == len(published)
    np.testing.assert_array_equal(part.train.labels, published.labels[part.indices])


def test_the_validation_split_has_a_seed_of_its_own():
    default, other = prepare(validation=0.2, seed=3), prepare(validation=0.2, seed=4)
    held = prepare(validation=0.2, fraction=0.5, seed=4, validation_seed=3)
    np.testing.assert_array_equal(held.validation.images, default.validation.images)
    assert not np.array_equal(other.validation.images, default.validation.images)
    assert set(held.indices) < set(default.indices)
    # What else the seed decides is its own's.
    orders = [
        next(iter(data.batches(0, 1, 0)))["index"].numpy() for data in (other, default)
    ]
    own = prepare(validation=0.2, seed=4, validation_seed=3)
    np.testing.assert_array_equal(
        next(iter(own.batches(0, 1, 0)))["index"].numpy(), orders[0]
    )
    assert (orders[0] != orders[1]).any()


def test_split_names():
    assert list(prepare().splits) == ["test"]
    assert list(prepare(validation=0.1).splits) == ["validation", "test"]


def test_batches_follow_the_seed():
    def first(seed):
        data = prepare(fraction=0.5)  # cut by seed 0 for both
        data = type(data)(**{**vars(data), "seed": seed})
        return next(iter(data.batches(0, 1, 0)))["index"].numpy()

    np.testing.assert_array_equal(first(0), first(0))
    assert (first(0) != first(1)).any()


@pytest.mark.parametrize("batch_size", [0, -1, 150])
def test_batch_size_out_of_range(batch_size):
    with pytest.raises(ValueError, match=f"from 1 to 14[0-9].*={batch_size}"):
        dataloader.prepare("digits", batch_size=batch_size, fraction=0.1)


def test_the_pipeline_gets_what_is_asked_for():
    wanted = dict(randaugment=2, randaugment_magnitude=4.0, cutout=3)
    wanted |= dict(mixup=0.2, cutmix=1.0, pad_mode="reflect", period=5)
    data = prepare(**wanted)
    found = data.augmentation
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert found.mean == data.dataset.mean
    assert not found.crops and not found.flips  # which would change digits' meaning
    batch = next(iter(data.batches(0, 1, 0)))
    assert batch["image"].dtype == "uint8" and "other_label" in batch
