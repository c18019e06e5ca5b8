import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams import plugin_data_pb2

from training.observers import tensorboard
from training.observers.observer import Moment
from training.observers.tensorboard import TensorBoard

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 2, 3, 1), np.uint8)
SETTINGS = {
    "student": "resnet8",
    "epochs": 3,
    "xla": True,
    "hparam": ["a=1", "taps=stage1,stage2"],
    "x": None,
}
ROW = {
    "phase": "hint",
    "epoch": 2,
    "step": 20,
    "loss": 1.5,
    "train_accuracy": 0.25,
    "test_accuracy": 0.5,
    "gradient_norm": 3.0,
    "weight_norm": 4.0,
    "skipped_steps": 5,
    "seconds": 9.0,
    "images_per_second": 1000.0,
}


def moment(step):
    return Moment("hint", step, 40, 100 + step, 2, 0.05)


def events(directory):
    """(tag, step, value as an array or plugin content) of all event files."""
    for path in sorted(directory.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                content = value.metadata.plugin_data.content
                yield value.tag, event.step, tf.make_ndarray(value.tensor), content


def write(directory):
    board = TensorBoard(directory, SETTINGS, IMAGES)
    board.phase_started(moment(0))
    board.logged(moment(7), {"loss": 2.0, "loss/hint": 1.25})
    board.epoch_finished(moment(10), ROW)
    board.finished()


def test_what_is_written(tmp_path):
    write(tmp_path)
    found = list(events(tmp_path))
    scalars = {
        (tag, step): float(value)
        for tag, step, value, _ in found
        if tag != "augmented_inputs" and not tag.startswith("_hparams_")
    }
    assert scalars == {
        ("hint/loss", 107): 2.0,
        ("hint/loss/hint", 107): 1.25,
        ("learning_rate", 107): np.float32(0.05),
        ("accuracy/train", 110): 0.25,
        ("accuracy/test", 110): 0.5,
        ("gradient_norm", 110): 3.0,
        ("weight_norm", 110): 4.0,
        ("skipped_steps", 110): 5.0,
        ("images_per_second", 110): 1000.0,
    }


def test_the_inputs_are_shown(tmp_path):
    write(tmp_path)
    ((step, image),) = [
        (s, v) for tag, s, v, _ in events(tmp_path) if tag == "augmented_inputs"
    ]
    assert step == 0
    width, height, encoded = image
    assert (int(width), int(height)) == (8 * 65 - 2, 2 * 44 - 2)  # 3 x 2, by 21
    np.testing.assert_array_equal(
        tf.io.decode_png(encoded), tensorboard.image_grid(IMAGES)
    )


def test_the_settings_are_hyperparameters(tmp_path):
    write(tmp_path)
    (content,) = [
        content
        for tag, _, _, content in events(tmp_path)
        if tag == "_hparams_/session_start_info"
    ]
    hparams = plugin_data_pb2.HParamsPluginData.FromString(content)
    found = {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in hparams.session_start_info.hparams.items()
    }
    assert found == {
        "student": "resnet8",
        "epochs": 3.0,
        "xla": True,
        "hparam.a": 1.0,
        "hparam.taps": "stage1,stage2",
        "x": "None",
    }


def test_tensorboard_itself_can_read_it(tmp_path):
    from tensorboard.backend.event_processing import event_accumulator

    write(tmp_path)
    reader = event_accumulator.EventAccumulator(str(tmp_path))
    reader.Reload()
    assert "hint/loss/hint" in reader.Tags()["tensors"]
    (event,) = reader.Tensors("accuracy/test")
    assert (event.step, float(tf.make_ndarray(event.tensor_proto))) == (110, 0.5)


def test_an_epoch_is_on_the_disk_at_once(tmp_path):
    """A killed run keeps its curves up to the last epoch."""
    board = TensorBoard(tmp_path, SETTINGS, IMAGES)
    board.epoch_finished(moment(10), ROW)
    assert "accuracy/test" in {tag for tag, *_ in events(tmp_path)}
    board.finished()


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (8, 1), (11, 2), (32, 4), (99, 4)])
@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [(2, 3, 21), (8, 8, 8), (32, 32, 2), (20, 33, 1), (64, 70, 1)],
)
def test_the_grid_has_the_images_in_order(height, width, factor, count, rows):
    images = np.random.default_rng(0).integers(0, 255, (count, height, width, 3))
    images = images.astype(np.uint8)  # no pixel is white, as gaps are
    grid = tensorboard.image_grid(images)
    high, wide = factor * height, factor * width
    assert grid.shape == (rows * (high + 2) - 2, 8 * (wide + 2) - 2, 3)
    left = grid.copy()
    for i, image in enumerate(images[:32]):
        y, x = (high + 2) * (i // 8), (wide + 2) * (i % 8)
        cell = left[y : y + high, x : x + wide]
        np.testing.assert_array_equal(
            cell, np.kron(image, np.ones((factor, factor, 1)))
        )
        cell[:] = 255
    np.testing.assert_array_equal(left, 255)


def test_a_pixel_is_a_square_of_the_grid():
    grid = tensorboard.image_grid(np.uint8([[[[0], [7]]], [[[9], [5]]]]))  # 1 x 2
    assert grid.shape == (32, 8 * 66 - 2, 1)
    row = [0] * 32 + [7] * 32 + [255] * 2 + [9] * 32 + [5] * 32 + [255] * 396
    np.testing.assert_array_equal(grid[..., 0], [row] * 32)
