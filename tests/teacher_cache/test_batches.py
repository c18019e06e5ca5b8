import keras
import numpy as np
import pytest
import tensorflow as tf

import fakes
import nets
from tests.teacher_cache import cached_runs
from tests.training import tiny
from tests.training.test_trainer import At, Killed, kill
from training import step, teacher_outputs

TEACHER = cached_runs.teacher()


def asked(batch, teacher=TEACHER):
    """What a step gets from the teacher itself."""

    @tf.function(autograph=False)
    def forward(images):
        images = step.normalise(images, cached_runs.MEAN, cached_runs.STD)
        output = teacher(images, training=False, with_taps=True)
        return {"logits": output.logits, **output.taps}

    return forward(batch["image"])


def served(batch, teacher=TEACHER):
    """What a step makes of the batch."""

    @tf.function(autograph=False)
    def restored(kept):
        output = teacher_outputs.restored(teacher, kept)
        return {"logits": output.logits, **output.taps}

    return restored(batch[teacher_outputs.KEY])


def assert_equal_to_live(found, num_epochs, first_epoch=0, skip=0):
    batches = list(found.batches(first_epoch, num_epochs, skip))
    assert len(batches) == num_epochs * found.data.steps_per_epoch - skip
    for batch in batches:
        live = asked(batch)
        for name, array in served(batch).items():
            np.testing.assert_array_equal(array, live[name], err_msg=name)
    return batches


@pytest.mark.parametrize(
    ("batch_size", "period"), [(8, 2), pytest.param(16, None, marks=pytest.mark.slow)]
)
def test_batches_bring_what_the_teacher_would_say(batch_size, period, tmp_path):
    lines = []
    data = cached_runs.data(batch_size, period=period)
    names = ("logits", "embedding", "stage1")
    found = cached_runs.cache(
        data, tmp_path, names, of_teacher=TEACHER, log=lines.append
    )
    assert found.batches(0, 3, 0).options().autotune.enabled is False
    batches = assert_equal_to_live(found, 3)  # of which two are one version
    again = assert_equal_to_live(found, 2, first_epoch=1, skip=1)
    index = data.steps_per_epoch + 1
    np.testing.assert_array_equal(again[0]["image"], batches[index]["image"])
    spec = batches[0][teacher_outputs.KEY]
    assert {n: x.shape.as_list() for n, x in spec.items()} == {
        "embedding": [batch_size, 64],
        "stage1": [batch_size, 8, 8, 4],
    }
    [line] = lines
    assert f"42 images x {period or 3} version" in line
    assert len(list(tmp_path.glob("*/v*-logits.npy"))) == (period or 3)


def converted(kind):
    """A teacher that gets other pixels than the student."""
    net = nets.build("WResNet-10-1", fakes.NUM_CLASSES, cached_runs.SHAPE, seed=3)
    if kind == "net":  # of mean 0 and std 1
        student = nets.build(
            "WResNet-10-1",
            fakes.NUM_CLASSES,
            cached_runs.SHAPE,
            mean=cached_runs.MEAN,
            std=cached_runs.STD,
        )
        return nets.seen_by(net, student)
    images = keras.Input(cached_runs.SHAPE)
    model = keras.Model(images, net(images))
    return nets.wrap(
        model, mean=cached_runs.MEAN, std=cached_runs.STD, scaling="pixels"
    )


@pytest.mark.parametrize("kind", [pytest.param("net", marks=pytest.mark.slow), "model"])
def test_pixels_that_are_converted_for_the_teacher_change_no_bit(kind, tmp_path):
    """In a step the student takes the normalised images, too, before they are."""
    teacher = converted(kind)
    assert teacher.converts_pixels
    data = cached_runs.data()
    settings = [
        cached_runs.settings(tmp_path / "cache", teacher_cache=is_cached)
        for is_cached in (False, True)
    ]
    live, cached = (
        cached_runs.Run(each, data, tmp_path / str(each.teacher_cache), epochs=1)(
            of_teacher=teacher
        )
        for each in settings
    )
    for a, b in zip(live, cached, strict=True):
        np.testing.assert_array_equal(a, b)


def test_epochs_that_nothing_was_kept_for_ask_the_teacher(tmp_path):
    found = cached_runs.unfilled(cached_runs.data(), tmp_path, of_teacher=TEACHER)
    assert teacher_outputs.KEY not in found.batches(0, 1, 0).element_spec


def test_without_a_head_the_kept_logits_are_taken(tmp_path):
    """And the run says that its bits are not those of the teacher, if so it is."""
    teacher, lines = cached_runs.teacher(), []
    teacher.head_of_another_name, teacher.head = teacher.head, None
    # On some machines rounding depends on the place in the batch, here on all.
    rounding = 1 + 2.0**-22 * np.arange(8, dtype=np.float32)[:, None]

    def call(images, training=False, with_taps=False):
        teacher.head = teacher.head_of_another_name
        try:
            output = fakes.Net.call(teacher, images, training, with_taps)
        finally:
            teacher.head = None
        return output._replace(logits=output.logits * rounding)

    teacher.call = call
    found = cached_runs.cache(
        cached_runs.data(8), tmp_path, of_teacher=teacher, epochs=1, log=lines.append
    )
    assert "not equal to one without it to the last bit" in lines[-1]
    assert "logits by up to" in lines[-1]
    for batch in found.batches(0, 1, 0):
        assert batch[teacher_outputs.KEY].keys() == {"logits"}
        np.testing.assert_allclose(
            served(batch, teacher)["logits"], asked(batch, teacher)["logits"], atol=1e-5
        )


def test_the_error_of_sixteen_bits_is_stated_and_true(tmp_path):
    lines, names = [], ("logits", "embedding")
    options = {"epochs": 1, "precision": "float16", "log": lines.append}
    data = cached_runs.data(20)
    found = cached_runs.cache(data, tmp_path, names, of_teacher=TEACHER, **options)
    stated = found.folder.errors({0: frozenset(names)})
    for batch in found.batches(0, 1, 0):
        live = asked(batch)
        for name, array in served(batch).items():
            # Logits round by their place in the batch, too.
            gap = np.abs(array - live[name]).max()
            assert 0 < gap <= stated[name][0] + 1e-6
    for name in names:
        text = f"{name} as float16 is wrong by at most {stated[name][0]:.2g}"
        assert any(text in line for line in lines)
    assert "not equal" in lines[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache that the trainings below share."""
    return tmp_path_factory.mktemp("cache")


OF_DATA = {
    "Soft_logits": {"batch_size": 20, "period": None},
    "AT": {"batch_size": 8, "period": 1},
}


def run(name, folder, parent, is_cached):
    data = cached_runs.data(**OF_DATA[name])
    options = {"teacher_cache": is_cached, "teacher_cache_taps": is_cached}
    settings = cached_runs.settings(folder, name, **options)
    return cached_runs.Run(settings, data, parent / f"cached-{is_cached}")


@pytest.mark.parametrize(
    "name", ["Soft_logits", pytest.param("AT", marks=pytest.mark.slow)]
)
def test_a_cached_training_ends_at_the_same_bits(name, folder, tmp_path, monkeypatch):
    live = run(name, folder, tmp_path, is_cached=False)()
    cached = run(name, folder, tmp_path, is_cached=True)
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "distiller.framework.base.Distiller.teacher_forward",
            lambda *_: asked.append(1),
        )
        tiny.assert_equal(cached(), live)
    assert not asked, "a step asked the teacher"


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_DATA)
def test_a_killed_training_goes_on_without_the_cache(name, folder, tmp_path):
    live = run(name, folder, tmp_path, is_cached=False)()
    half = run(name, folder, tmp_path / "half", is_cached=True)
    last = 2 * half.data.steps_per_epoch
    with pytest.raises(Killed):
        half(observers=[At(last, kill)])
    assert half.run_folder.checkpoints.newest(print)[1]["step"] == last - 1
    half.settings = run(name, folder, tmp_path, is_cached=False).settings
    tiny.assert_equal(half(), live)


def test_a_resumed_run_needs_only_what_is_left(tmp_path):
    data = cached_runs.data(period=None)
    cached_runs.cache(data, tmp_path, epochs=1, of_teacher=TEACHER)
    assert len(list(tmp_path.glob("*/v*-logits.npy"))) == 1
    [array] = tmp_path.glob("*/v00000-logits.npy")
    array.unlink()
    again = cached_runs.unfilled(data, tmp_path, epochs=2, of_teacher=TEACHER)
    again.fill(phase=0, epochs_done=1)
    assert sorted(p.name for p in tmp_path.glob("*/v*-logits.npy")) == [
        "v00001-logits.npy"
    ]
    assert_equal_to_live(again, 1, first_epoch=1)


@pytest.mark.slow
def test_a_run_goes_on_where_one_phase_ends(tmp_path):
    """The phase that is done is built again, of the teacher's own outputs."""
    data = cached_runs.data()
    live = cached_runs.settings(tmp_path, "FitNet", teacher_cache=False)
    keras.utils.set_random_seed(0)  # of FitNet's own layers
    expected = cached_runs.Run(live, data, tmp_path / "live")()
    cached = cached_runs.settings(tmp_path / "cache", "FitNet")
    run = cached_runs.Run(cached, data, tmp_path / "cached")
    first_of_second_phase = data.steps_per_epoch + 1
    keras.utils.set_random_seed(0)
    with pytest.raises(Killed):
        run([At(first_of_second_phase, kill)])
    position = run.run_folder.checkpoints.newest(print)[1]
    assert (position["phase"], position["step"]) == (0, data.steps_per_epoch)
    tiny.assert_equal(run(), expected)
