import pathlib

import numpy as np
import pytest
import tensorflow as tf

import dataloader
from dataloader import tfds_records
from dataloader.augmentation import Augmentation
from tests.dataloader.same import assert_same
from tests.dataloader.toy_tfds import write_set

PREPARED = pathlib.Path(__file__).parents[3] / "shared" / "tfds"


def load(data_dir, **options):
    return dataloader.load("toy", data_dir=data_dir, **options)


def batches(split, **changes):
    arguments = dict(
        batch_size=8, first_epoch=0, num_epochs=1, seed=1, augmentation=Augmentation()
    )
    found = dataloader.train_batches(split, **arguments | changes)
    return list(found.as_numpy_iterator())


def test_streamed_batches_are_those_of_images_in_memory(tmp_path):
    write_set(tmp_path, shape=(10, 12, 3), train=50, test=12)  # 4 files, 1 file
    held, streamed = (load(tmp_path, cache_gib=gib) for gib in (1, 0))
    assert not isinstance(streamed.train.images, np.ndarray)
    np.testing.assert_array_equal(held.train.labels, streamed.train.labels)
    assert (held.mean, held.std) == (streamed.mean, streamed.std)
    whole = batches(held.train, num_epochs=2)
    assert_same(whole, batches(streamed.train, num_epochs=2))
    resumed = batches(streamed.train, first_epoch=1, skip_batches=4)
    assert_same(whole[6 + 4 :], resumed)
    assert_same(*(list(dataloader.eval_batches(x.test, 5)) for x in (held, streamed)))


def test_the_digest_does_not_tell_memory_from_files(tmp_path):
    write_set(tmp_path, train=50, test=12)
    held, streamed = (
        dataloader.prepare("toy", tmp_path, batch_size=8, cache_gib=gib)
        for gib in (1, 0)
    )
    assert held.dataset.digest == "" != streamed.dataset.digest
    assert held.digest == streamed.digest


def test_images_of_several_sizes(tmp_path):
    written = write_set(tmp_path, shape=(None, None, 3), train=20, test=8)
    dataset = load(tmp_path, image_size=6)
    assert dataset.train.images.shape == (20, None, None, 3)
    assert dataset.input_shape == (6, 6, 3)
    np.testing.assert_allclose(dataset.mean, (written["train"] / 255).mean((0, 1, 2)))
    held = dataloader.Split(written["train"], dataset.train.labels, image_size=6)
    assert_same(batches(held), batches(dataset.train))


def test_the_first_look_is_kept_and_holds_for_these_files(tmp_path, monkeypatch):
    write_set(tmp_path, shape=(None, None, 3), train=20, test=8)
    looked = []
    original = tfds_records._find_in_file

    def count(path, label_key):
        looked.append(path)
        return original(path, label_key)

    monkeypatch.setattr(tfds_records, "_find_in_file", count)
    digests = [load(tmp_path, image_size=6).digest for _ in range(2)]
    assert len(looked) == 3
    (file,) = tmp_path.glob("toy/1.0.0/toy-test.tfrecord-*")
    records = list(tf.data.TFRecordDataset(str(file)))
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records[:7]:
            writer.write(record.numpy())
    with pytest.raises(ValueError, match="'test'.*Expected 8.*with 7 images"):
        load(tmp_path, image_size=6)
    assert len(looked) == 6
    assert digests[0] == digests[1]


def test_a_flipped_bit_is_found_at_the_first_look(tmp_path):
    write_set(tmp_path, shape=(None, None, 3), train=20, test=8)
    (file,) = tmp_path.glob("toy/1.0.0/toy-test.tfrecord-*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        load(tmp_path, image_size=6)


@pytest.mark.parametrize(("secret", "size"), [("test", 4), ("validation", 3)])
def test_a_test_split_of_secret_labels_gives_way(tmp_path, secret, size):
    write_set(tmp_path, secret=secret, train=5, validation=4, test=3)
    assert len(load(tmp_path).test) == size  # imagenet2012 is of the first kind


def test_what_must_be_downloaded_by_hand_says_so(tmp_path):
    message = r"'imagenet2012'.*by hand.*Manual directory.*ILSVRC2012_img_train\.tar"
    with pytest.raises(ValueError, match=message) as info:
        dataloader.load("imagenet2012", tmp_path, image_size=8)
    assert "\n" not in str(info.value)


@pytest.mark.slow
@pytest.mark.skipif(not (PREPARED / "cifar10").exists(), reason="no prepared CIFAR-10")
def test_cifar10_streams(tmp_path):
    (tmp_path / "cifar10/3.0.2").mkdir(parents=True)
    for file in (PREPARED / "cifar10/3.0.2").iterdir():
        (tmp_path / "cifar10/3.0.2" / file.name).symlink_to(file)
    held, streamed = (
        dataloader.prepare("cifar10", str(tmp_path), batch_size=64, cache_gib=gib)
        for gib in (1, 0)
    )
    assert held.digest == streamed.digest
    a, b = (list(x.batches(0, 1, 700).as_numpy_iterator()) for x in (held, streamed))
    assert_same(a, b)
