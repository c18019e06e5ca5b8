"""Every method trains real nets by the trainer, and goes on exactly where it stopped.

The pair is WResNet-10-2 -> resnet8 with unequal widths, but WResNet-10-1 -> resnet8 for
methods that need equal ones. Most of the time is tracing, so that the fast tests take
eager steps with these and run whole trainings, stopped and gone on, with tiny nets.
"""

import dataclasses
import functools
import itertools
import os
import pathlib
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import distiller
import nets
from common.interruption import Interrupted
from distiller import registry
from op_utils.boundary_attack import candidates
from tests import fakes
from tests.cases import every_case, methods
from training import step as step_lib
from training.checkpoint import Checkpoints
from training.observers.observer import Observer
from training.optimizer import SGD
from training.recipe import Recipe
from training.trainer import Trainer

WIDER, EQUAL, STUDENT, TINY = "WResNet-10-2", "WResNet-10-1", "resnet8", "tiny"
SIZE, BATCH_SIZE = 8, 4
NUM_CLASSES, IMAGE_SHAPE = fakes.NUM_CLASSES, (fakes.IMAGE_SIZE, fakes.IMAGE_SIZE, 3)
PHASE_STEPS = 4  # two epochs
STOPPED_AFTER = 3  # inside the second epoch
tiny_and_slowly_real = pytest.mark.parametrize(
    "is_tiny", [True, pytest.param(False, marks=pytest.mark.slow)]
)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (SIZE, *IMAGE_SHAPE), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32)
# No step but the first is the same in a training that starts anew: momentum, batches,
# rates and draws differ.
RATES = np.array([1e-3, 9e-4, 8e-4, 7e-4], np.float32)
RECIPE = Recipe(
    rates={"init": RATES, "train": RATES[::-1].copy()},
    batch_size=BATCH_SIZE,
    steps_per_epoch=SIZE // BATCH_SIZE,
    mean=(0.5,) * 3,
    std=(0.25,) * 3,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    scale_loss=False,
    task_weight=None,
    seed=3,
    xla=False,
    log_every=1,  # So that a call is one step.
    checkpoint_every=1,
    evaluate_every=2,
)


def evaluate(net, check):
    del check
    logits = net(tf.constant(IMAGES, tf.float32), training=False)
    assert logits.shape == (SIZE, NUM_CLASSES)
    return {"test_accuracy": 0.0}


def build_net(name, seed):
    """A net that finds class 0 likely: BSS attacks what both nets classify rightly."""
    if name == TINY:
        net = fakes.Net(seed=seed)
    else:
        net = nets.build(name, NUM_CLASSES, IMAGE_SHAPE, seed=seed)
    net.head.bias.assign([5.0] + [0.0] * (NUM_CLASSES - 1))
    return net


@functools.cache
def frozen_net(name):
    """A teacher that all trainings share."""
    return build_net(name, 70)


def build(case, student, teacher):
    name, hparams = case
    spec = distiller.resolve(name, hparams)
    data = distiller.DataSpec(SIZE, NUM_CLASSES, LABELS, BATCH_SIZE)
    taps = teacher.tap_specs if spec.uses_teacher else {}
    return spec.build(student.tap_specs, taps, data)


def make(case, is_tiny, folder, *observers, seed=0) -> Trainer:
    """A training in a folder; a seed gives it values that a restart must replace."""
    teacher_name = EQUAL if registry.method_class(case[0]).equal_widths else WIDER
    teacher_name = TINY if is_tiny else teacher_name
    student = build_net(TINY if is_tiny else STUDENT, seed)
    teacher = frozen_net(teacher_name)
    keras.utils.set_random_seed(seed)
    method = build(case, student, teacher)
    if any(phase.trains_teacher for phase in method.phases()):
        teacher = build_net(teacher_name, 70 + seed)
    return Trainer(
        student=student,
        teacher=teacher if method.uses_teacher else None,
        method=method,
        recipe=RECIPE,
        batches=functools.partial(fakes.shuffled, IMAGES, LABELS, BATCH_SIZE),
        evaluate=evaluate,
        checkpoints=Checkpoints(folder / "checkpoints", keep=100),
        observers=observers,
    )


def at(trainer, step) -> pathlib.Path:
    """The checkpoint of a step."""
    return trainer.checkpoints.directory / f"step-{step:010d}"


def saved(path) -> dict[str, np.ndarray]:
    """All numbers of a checkpoint: student, method, optimizer, sums, teacher."""
    reader = tf.train.load_checkpoint(str(path / "variables"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if not name.startswith("_CHECKPOINTABLE")
    }


class Starts(Observer):
    """Keeps the student's weights at the start of each phase, and what it asked."""

    def __init__(self):
        self.student, self.weights, self.passes = None, [], {}

    def phase_started(self, moment):
        self.weights.append(values(self.student))

    def epoch_finished(self, moment, row):
        names = "student_forward_passes", "teacher_forward_passes"
        self.passes[moment.phase] = tuple(row[n] for n in names if n in row)


def values(net) -> list[np.ndarray]:
    """The trained weights; moving statistics change by themselves."""
    return [v.numpy() for v in net.trainable_variables]


def differ(first, second) -> bool:
    return any(not np.array_equal(*pair) for pair in zip(first, second, strict=True))


class Stop(Observer):
    """SIGTERM after a step: the trainer saves and stops."""

    def __init__(self, step):
        self.step = step

    def stepped(self, moment):
        if moment.step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


@dataclasses.dataclass
class Whole:
    """A training that no one disturbs.

    Attributes:
        trainer: after the training.
        moves_student: for each phase, whether it changed the student's weights.
        moves_teacher: whether the training changed the teacher's; None without one.
        passes: for each phase, the student's and the teacher's for an image.
    """

    trainer: Trainer
    moves_student: list[bool]
    moves_teacher: bool | None
    passes: list[tuple[float, ...]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(case, whether the nets are tiny) -> its `Whole`."""

    @functools.cache
    def run(case, is_tiny=False):
        starts = Starts()
        trainer = make(case, is_tiny, tmp_path_factory.mktemp("whole"), starts)
        starts.student, teacher = trainer.student, trainer.teacher
        before = None if teacher is None else teacher.get_weights()
        trainer.run()
        weights = [*starts.weights, values(trainer.student)]
        return Whole(
            trainer,
            [differ(*pair) for pair in itertools.pairwise(weights)],
            None if teacher is None else differ(before, teacher.get_weights()),
            list(starts.passes.values()),
        )

    return run


@pytest.fixture
def eager():
    """Two steps take less time than tracing them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@every_case
def test_two_steps_on_real_nets(case, eager):
    teacher_name = EQUAL if registry.method_class(case[0]).equal_widths else WIDER
    student, teacher = build_net(STUDENT, 0), build_net(teacher_name, 70)
    method = build(case, student, teacher)
    batch = {
        "image": tf.constant(IMAGES[:BATCH_SIZE] / 255.0, tf.float32),
        "label": tf.constant(LABELS[:BATCH_SIZE]),
        "index": tf.range(BATCH_SIZE),
        "epoch": tf.constant(0.0),
        "progress": tf.constant(0.0),
        "seed": tf.constant([0, 1]),
    }
    for phase in method.phases():
        trained = step_lib.trained_variables(phase, student, teacher)
        step = step_lib.Step(
            method=method,
            phase=phase,
            student=student,
            teacher=teacher if method.uses_teacher else None,
            optimizer=SGD(trained, momentum=0.9, nesterov=False, weight_decay=0.0),
            task_weight=None,
        )
        for _ in range(2):
            before = values(student)
            assert np.isfinite(step(batch, tf.constant(1e-3))["loss"])
            assert differ(before, values(student)) == phase.trains_student


@every_case
@tiny_and_slowly_real
def test_training_changes_what_it_should(case, is_tiny, whole):
    training = whole(case, is_tiny)
    phases = training.trainer.phases
    for name, value in saved(at(training.trainer, len(phases) * PHASE_STEPS)).items():
        assert np.isfinite(value).all(), name
    expected = [phase.trains_student for phase in phases]
    assert training.moves_student == expected
    assert expected[-1], "the last phase trains the student"
    if training.moves_teacher is not None:
        trains_teacher = any(phase.trains_teacher for phase in phases)
        assert training.moves_teacher == trains_teacher


@every_case
@tiny_and_slowly_real
def test_a_restart_in_each_phase_changes_no_bit(case, is_tiny, whole, tmp_path):
    """From what a process leaves that is killed there, other objects go on.

    Each goes on to the end of its phase, where the next one takes over.
    """
    undisturbed = whole(case, is_tiny).trainer
    if is_tiny and has_no_state(undisturbed):
        pytest.skip("what it would show of the trainer, test_trainer.py shows")
    for number in range(len(undisturbed.phases)):
        end = (number + 1) * PHASE_STEPS
        last = end == len(undisturbed.phases) * PHASE_STEPS
        folder = tmp_path / str(number)
        trainer = make(case, is_tiny, folder, Stop(end), seed=1 + number)
        left = end - PHASE_STEPS + STOPPED_AFTER
        shutil.copytree(at(undisturbed, left), at(trainer, left))
        with pytest.raises(Interrupted):
            trainer.run()
        assert_same(saved(at(trainer, end)), saved(at(undisturbed, end)))
        parts = ["student", "method"] + ["teacher"] * (trainer.teacher is not None)
        for part in parts if last else ():
            found, expected = (getattr(x, part) for x in (trainer, undisturbed))
            for a, b in zip(found.variables, expected.variables, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=a.name)


def has_no_state(trainer) -> bool:
    """Whether a restart has nothing to restore but the student and its optimizer."""
    trains_teacher = any(phase.trains_teacher for phase in trainer.phases)
    return not trainer.method.variables and not trains_teacher


PASSES = {
    "none": [(1,)],
    "Soft_logits": [(1, 1)],
    "DML": [(1, 1)],
    "FitNet": [(1, 1), (1, 1)],
    "AB": [(1, 1), (1, 0)],
    "FSP": [(1, 1), (1, 0)],
    "FT": [(0, 1), (1, 1)],
    "MHGD": [(0, 1), (1, 1)],
    "MLKD": [(4, 4)],
}


@pytest.mark.parametrize(
    "case",
    [pytest.param((p.id, ()), id=p.id, marks=p.marks) for p in methods(PASSES)],
)
def test_forward_passes_are_those_that_are_run(case, whole):
    assert whole(case, True).passes == PASSES[case[0]]


def test_bss_finds_images_to_attack(whole):
    """The tests above would pass without a single attack."""
    trainer = whole(("BSS", ()), True).trainer
    images = (IMAGES / 255.0 - RECIPE.mean) / RECIPE.std
    images = tf.constant(images, tf.float32)
    logits = trainer.student(images, training=True), trainer.teacher(images)
    _, are_attacked = candidates(*logits, tf.constant(LABELS), SIZE)
    assert tf.reduce_any(are_attacked)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


NEED_EQUAL_WIDTHS = [
    name for name in distiller.names() if registry.method_class(name).equal_widths
]


@pytest.mark.parametrize("name", methods(NEED_EQUAL_WIDTHS))
def test_unequal_widths_are_refused_where_they_must_be_equal(name):
    student, teacher = build_net(STUDENT, 0), frozen_net(WIDER)
    with pytest.raises(ValueError, match="Received: "):
        build((name, ()), student, teacher)
