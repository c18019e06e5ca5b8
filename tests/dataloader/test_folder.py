import dataclasses
import io
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import dataloader
from dataloader import folder, image_check
from dataloader.augmentation import Augmentation
from tests.dataloader.same import assert_same

CLASSES = ("ant", "bee", "cat", "dog", "eel")


def noise(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write(path, image):
    """Writes uint8 [H, W, C] as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_png(image).numpy())


def write_set(root, shape=(48, 48, 3), classes=CLASSES, **sizes):
    """Writes so many images a class; returns them by split, class by class."""
    written = {}
    for seed, (split, size) in enumerate((sizes or {"train": 4, "test": 2}).items()):
        images = noise(seed, (len(classes) * size, *shape))
        for i, image in enumerate(images):
            write(root / split / classes[i // size] / f"{i}.png", image)
        written[split] = images
    return written


def load(root, **options):
    return dataloader.load(f"folder:{root}", **options)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A folder of five classes, its images, and the data set."""
    root = tmp_path_factory.mktemp("five")
    return root, write_set(root), load(root)


def test_five_classes(five):
    root, written, dataset = five
    assert (dataset.name, dataset.num_classes) == (f"folder:{root}", 5)
    assert dataset.class_names == CLASSES
    assert dataset.input_shape == (48, 48, 3)
    for split, each in (("train", 4), ("test", 2)):
        found = getattr(dataset, split)
        # Files are ordered by name, as text: 10 comes before 9.
        order = sorted(range(5 * each), key=lambda i: (i // each, str(i)))  # noqa: B023
        np.testing.assert_array_equal(found.images, written[split][order])
        np.testing.assert_array_equal(found.labels, np.repeat(np.arange(5), each))
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int32)
    scaled = written["train"] / 255
    np.testing.assert_allclose(dataset.mean, scaled.mean((0, 1, 2)))
    np.testing.assert_allclose(dataset.std, scaled.std((0, 1, 2)))
    assert dataset.crops and dataset.flips
    assert dataset.validation is None and dataset.notes == ()


def batches(dataset, **changes):
    arguments = dict(
        batch_size=3, first_epoch=0, num_epochs=2, seed=1, augmentation=Augmentation()
    )
    found = dataloader.train_batches(dataset.train, **arguments | changes)
    assert found.element_spec["image"].shape == [3, *dataset.input_shape]
    return list(found.as_numpy_iterator())


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """JPEG files: decoded in part, they differ a little from the whole."""
    root = tmp_path_factory.mktemp("photos")
    for name in ("train/a", "test/a"):
        (root / name).mkdir(parents=True)
        for i in range(20 if name == "train/a" else 6):
            content = tf.io.encode_jpeg(noise(i, (30, 40, 3)), chroma_downsampling=True)
            (root / name / f"{i}.jpg").write_bytes(content.numpy())
    return (root,)


@pytest.mark.parametrize(("data", "image_size"), [("five", 0), ("photos", 20)])
def test_streamed_batches_are_those_of_images_in_memory(data, image_size, request):
    root = request.getfixturevalue(data)[0]
    held, streamed = (
        load(root, image_size=image_size, cache_gib=gib) for gib in (1, 0)
    )
    assert isinstance(held.train.images, np.ndarray)
    assert not isinstance(streamed.train.images, np.ndarray)
    assert (held.mean, held.std, held.digest) == (
        streamed.mean,
        streamed.std,
        streamed.digest,
    )
    some = np.array([7, 2, 3, 11, 12, 19, 4])
    held, streamed = (
        dataclasses.replace(x, train=x.train.take(some)) for x in (held, streamed)
    )
    whole = batches(held)
    assert_same(whole, batches(streamed))
    resumed = batches(streamed, first_epoch=1, num_epochs=1, skip_batches=1)
    assert_same(whole[2 + 1 :], resumed)
    evaluated = [
        list(dataloader.eval_batches(x.test, 4).as_numpy_iterator())
        for x in (held, streamed)
    ]
    assert_same(*evaluated)


def test_the_limit_is_that_of_all_decoded_images(tmp_path):
    write_set(tmp_path, (16, 16, 3), train=1, test=1)
    size = 10 * 16 * 16 * 3 / 2**30
    assert isinstance(load(tmp_path, cache_gib=size).train.images, np.ndarray)
    streamed = load(tmp_path, cache_gib=size * 0.999)
    assert not isinstance(streamed.train.images, np.ndarray)


def test_the_digest_is_that_of_the_content(five, tmp_path):
    root, _, dataset = five
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    assert load(copy).digest == dataset.digest
    # The same images in the same order, one of another class.
    (copy / "train/ant/3.png").rename(copy / "train/bee/3.png")
    moved = load(copy).digest
    write(copy / "test/ant/0.png", noise(9, (48, 48, 3)))
    assert len({dataset.digest, moved, load(copy).digest}) == 3


def test_grey_images_have_one_channel_if_all_have(tmp_path):
    written = write_set(tmp_path, (8, 8, 1))
    images = load(tmp_path).train.images
    np.testing.assert_array_equal(images[0], written["train"][0])
    assert load(tmp_path).input_shape == (8, 8, 1)
    assert len(load(tmp_path).mean) == 1
    write(tmp_path / "test/ant/0.png", noise(0, (8, 8, 3)))
    mixed = load(tmp_path)
    assert mixed.input_shape == (8, 8, 3)
    np.testing.assert_array_equal(mixed.train.images, images.repeat(3, axis=-1))


def encoded(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_other_kinds_of_png_and_jpeg_become_rgb(tmp_path):
    smooth = np.tile(np.arange(0, 240, 5, dtype=np.uint8)[:, None, None], (1, 48, 3))
    rgb = PIL.Image.fromarray(smooth)
    files = {
        "a.png": tf.io.encode_png(np.uint16(smooth) * 257).numpy(),
        "b.PNG": encoded(rgb.convert("RGBA"), "PNG"),
        "c.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "d.JPEG": encoded(rgb.convert("L"), "JPEG"),
        "e.png": encoded(rgb.convert("P", palette=PIL.Image.ADAPTIVE), "PNG"),
        "f.png": encoded(rgb.convert("LA"), "PNG"),
    }
    write_set(tmp_path, classes=("a",), train=1, test=1)
    for name, content in files.items():
        (tmp_path / "train/a" / name).write_bytes(content)
    images = load(tmp_path).train.images[1:].astype(int)
    assert images.shape == (6, 48, 48, 3)
    assert np.abs(images - smooth).max() <= 3  # JPEG's loss


BAD = {
    "1.png": (b"", "empty"),
    "2.png": (b"GIF89a", "neither PNG nor JPEG"),
    "3.png": (tf.io.encode_png(noise(0, (48, 48, 3))).numpy()[:-900], "damaged"),
    "4.jpg": (tf.io.encode_jpeg(noise(0, (48, 48, 3))).numpy()[:-900], "damaged"),
}


@pytest.fixture
def damaged(five, tmp_path):
    root = tmp_path / "damaged"
    shutil.copytree(five[0], root)
    for name, (content, _) in BAD.items():
        (root / "train/bee" / name).write_bytes(content)
    return root


def test_bad_files_are_named(damaged):
    names = ", ".join(f"train/bee/{n} ({BAD[n][1]})" for n in sorted(BAD)[:3])
    message = rf"4 image files.*{names} and 1 more.*--skip_bad_images.*folder:"
    with pytest.raises(
        ValueError, match=message.replace("(", r"\(").replace(")", r"\)")
    ):
        load(damaged)


def test_bad_files_can_be_skipped(damaged, five):
    dataset = load(damaged, skip_bad_images=True)
    assert len(dataset.train) == 20
    assert dataset.digest == five[2].digest
    (note,) = dataset.notes
    assert note.startswith("4 bad image files are left out: train/bee/1.png (empty), ")


def test_a_class_of_bad_files_only(damaged):
    shutil.rmtree(damaged / "test/eel")
    (damaged / "test/eel").mkdir()
    (damaged / "test/eel/1.png").write_bytes(b"")
    with pytest.raises(ValueError, match="no good image.*class eel of test"):
        load(damaged, skip_bad_images=True)


def test_the_check_is_kept_until_a_file_changes(five, monkeypatch):
    root, _, dataset = five
    checked = []

    def count(paths, label):
        checked.append(label)
        return original(paths, label)

    original = image_check.check
    monkeypatch.setattr(image_check, "check", count)
    assert load(root).digest == dataset.digest
    assert not checked
    (root / "test/ant/0.png").touch()
    assert load(root).digest == dataset.digest
    assert checked == ["train", "test"]
    (root / folder.KEPT).write_bytes(b"damaged")
    assert load(root).digest == dataset.digest
    assert len(checked) == 4


def test_images_of_several_sizes(tmp_path):
    write_set(tmp_path)
    write(tmp_path / "train/bee/9.png", noise(0, (40, 60, 3)))
    message = r"--image_size=N.*train/ant/0.png is 48x48 and train/bee/9.png is 40x60"
    with pytest.raises(ValueError, match=message):
        load(tmp_path)
    dataset = load(tmp_path, image_size=24)
    assert dataset.train.images.shape == (21, None, None, 3)
    assert dataset.input_shape == (24, 24, 3)
    assert len(batches(dataset)) == 14


def remove(name):
    return lambda root: shutil.rmtree(root / name)


def make(name):
    return lambda root: (root / name).mkdir(parents=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove(""), "no such data folder.*dataset=folder:"),
        (remove("train"), "Expected train, and test or one.*with test"),
        (remove("test"), "Expected train, and test or one.*with train"),
        (lambda root: [make(x)(root) for x in ("val", "valid")], "test, train, val"),
        (make("train/fly"), "no images.*png.*Received: train/fly in"),
        (make("test/cat/more"), None),
        (lambda root: [f("test/cat")(root) for f in (remove, make)], "test/cat in"),
        (remove("test/cat"), None),
        (lambda root: write(root / "test/gnu/1.png", noise(0, (48, 48, 3))),
         "test has a class that train lacks.*5 classes.*Received: test/gnu"),
        (lambda root: [shutil.rmtree(x) for x in (root / "train").iterdir()],
         "no class folders.*train/CLASS/"),
        (lambda root: [shutil.rmtree(x) for x in (root / "test").iterdir()],
         "no class folders.*test/CLASS/"),
    ],
)  # fmt: skip
def test_folders(five, tmp_path, change, message):
    root = tmp_path / "root"
    shutil.copytree(five[0], root)
    change(root)
    if message is None:
        assert load(root).num_classes == 5
        return
    with pytest.raises(ValueError, match=message):
        load(root)


def test_what_is_no_image_is_ignored(five, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(five[0], root)
    for name in (".DS_Store", "train/.DS_Store", "train/cat/._1.png", ".git/x"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    assert load(root).notes == ()
    for name in ("train/cat/Thumbs.db", "train/cat/x.webp", "test/stray.png"):
        (root / name).write_text("x")
    dataset = load(root)
    assert dataset.digest == five[2].digest
    (note,) = dataset.notes
    assert note.endswith("train/cat/Thumbs.db, train/cat/x.webp, test/stray.png")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """As CINIC-10 is published."""
    root = tmp_path_factory.mktemp("three")
    return root, write_set(root, (8, 8, 3), train=4, valid=3, test=2)


def prepare(root, **options):
    return dataloader.prepare(f"folder:{root}", batch_size=3, **options)


def test_a_published_validation_split(three):
    root, written = three
    data = prepare(root)
    assert (len(data.train), len(data.validation), len(data.dataset.test)) == (
        20,
        15,
        10,
    )
    np.testing.assert_array_equal(data.validation.images[0], written["valid"][0])
    assert list(data.splits) == ["validation", "test"]
    assert len(prepare(root, fraction=0.5).validation) == 15


def test_a_validation_share_takes_the_place_of_the_published_split(three):
    data = prepare(three[0], validation=0.25)
    assert (len(data.train), len(data.validation)) == (15, 5)
    np.testing.assert_array_equal(
        data.dataset.train.images[data.indices], data.train.images
    )
    (note,) = data.dataset.notes
    assert note.startswith("validation=0.25 holds out training data; the 15 images")


def test_the_validation_folder_can_be_merged(three):
    root, written = three
    data = prepare(root, merge_valid=True)
    assert (len(data.train), len(data.validation)) == (35, 0)
    np.testing.assert_array_equal(data.train.images[20], written["valid"][0])
    scaled = np.concatenate([written["train"], written["valid"]]) / 255
    np.testing.assert_allclose(data.dataset.mean, scaled.mean((0, 1, 2)))
    assert len(prepare(root, merge_valid=True, validation=0.2).validation) == 5
    assert data.digest != prepare(root).digest


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_without_a_test_split_validation_is_it(name, tmp_path):
    written = write_set(tmp_path, (8, 8, 3), **{"train": 1, name: 1})
    data = prepare(tmp_path)
    np.testing.assert_array_equal(data.dataset.test.images, written[name])
    assert list(data.splits) == ["test"]
    with pytest.raises(ValueError, match="no validation folder to merge"):
        prepare(tmp_path, merge_valid=True)


def test_names_of_any_bytes(tmp_path):
    write_set(tmp_path, (8, 8, 3), train=1, test=1)
    (tmp_path / "train/ant/ä ö.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"train/ant/ä ö\.png \(empty\)"):
        load(tmp_path)
    dataset = load(tmp_path, skip_bad_images=True, cache_gib=0)
    assert len(dataset.train) == 5
