import dataclasses
import functools
import itertools
import os
import shutil
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.errors import NonFiniteLoss
from common.interruption import Interrupted
from distiller.framework import base
from tests import fakes
from tests.training import tiny
from training import trainer as trainer_lib
from training.checkpoint import Checkpoints
from training.observers import metrics_table
from training.observers.best_net import BestNet
from training.observers.metrics_table import MetricsTable
from training.observers.observer import Observer
from training.recipe import Recipe
from training.totals import SKIPPED
from training.trainer import Trainer

SIZE, BATCH_SIZE, PER_EPOCH = 20, 4, 5
INIT_STEPS, TRAIN_STEPS = 2 * PER_EPOCH, 3 * PER_EPOCH
TOTAL = INIT_STEPS + TRAIN_STEPS
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (SIZE, *tiny.IMAGE_SHAPE), np.uint8)
LABELS = RNG.integers(0, 3, SIZE).astype(np.int32)
TIMINGS = ("seconds", "images_per_second")
SUMS = {f"progress/{i}/.ATTRIBUTES/VARIABLE_VALUE" for i in (1, 2)}


class TwoPhases(base.Distiller):
    """Uses all that a restart could lose: own state, draws, indices, progress."""

    def __init__(self, seed=0):
        super().__init__({}, {}, tiny.DATA)
        self.layer = keras.layers.Dense(
            6, kernel_initializer=keras.initializers.HeNormal(seed + 3)
        )
        self.layer.build((None, 6))
        self.scale = tf.Variable(1.0 + seed)
        self.bank = tf.Variable(tf.fill([SIZE, 6], float(seed)), trainable=False)

    def phases(self):
        own = self.trainable_variables
        return (
            base.Phase("hint", self.hint, own=own, length="init", task_weight=0.0),
            base.Phase("distill", self.loss, own=own),
        )

    def draw(self, batch):
        noise = tf.random.stateless_normal([BATCH_SIZE, 6], batch["seed"])
        return {"noise": 0.1 * noise}

    def hint(self, student, teacher, batch):
        mapped = self.scale * self.layer(student.taps["stage1"] + batch["noise"])
        gap = tf.square(mapped - teacher.taps["stage1"])
        return {"hint": (1.0 + batch["epoch"]) * tf.reduce_mean(gap)}

    def loss(self, student, teacher, batch):
        tap, index = student.taps["stage1"], batch["index"]
        remembered = tf.gather(self.bank, index)
        self.bank.scatter_nd_update(index[:, tf.newaxis], tf.stop_gradient(tap))
        memory = tf.reduce_mean(tf.square(tap - remembered))
        terms = self.hint(student, teacher, batch)
        return {**terms, "memory": (1.0 - batch["progress"]) * memory}


class Witness(Observer):
    """Keeps everything it is told."""

    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if name in ("events", "of") or name.startswith("__"):
            return object.__getattribute__(self, name)
        return lambda *arguments: self.events.append((name, *arguments))

    def of(self, name):
        return [event[1:] for event in self.events if event[0] == name]


class At(Observer):
    """Does something when a step is reached."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def stepped(self, moment):
        if moment.step == self.step:
            self.action()


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


class Killed(BaseException):
    """The process ends here and saves nothing."""


def kill():
    raise Killed


def batches(*position, images=IMAGES):
    return fakes.shuffled(images, LABELS, BATCH_SIZE, *position)


def evaluate(net, check=lambda: None):
    pixels = (IMAGES / 255.0 - 0.5) / 0.25
    hits = net(tf.constant(pixels, tf.float32)).numpy().argmax(1) == LABELS
    return {
        "validation_accuracy": float(hits[:10].mean()),
        "test_accuracy": float(hits[10:].mean()),
    }


RECIPE = Recipe(
    rates={
        "init": np.full(INIT_STEPS, 0.01, np.float32),
        "train": np.linspace(0.02, 0.001, TRAIN_STEPS, dtype=np.float32),
    },
    batch_size=BATCH_SIZE,
    steps_per_epoch=PER_EPOCH,
    mean=(0.5,),
    std=(0.25,),
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-3,
    scale_loss=False,
    task_weight=1.0,
    seed=11,
    xla=False,
    log_every=100,
    checkpoint_every=100,
    evaluate_every=1,
)


@dataclasses.dataclass
class Run:
    """A training in a folder, with its observers."""

    trainer: Trainer
    seen: Witness
    table: MetricsTable

    def __call__(self):
        self.trainer.run()
        return self

    @property
    def rows(self):
        return [
            {name: v for name, v in row.items() if name not in TIMINGS}
            for row in self.table.rows
        ]

    @property
    def saved(self):
        """All numbers in the newest checkpoint: student, method, optimizer, sums."""
        return read(self.trainer.checkpoints.newest(print)[0])


def read(path):
    reader = tf.train.load_checkpoint(str(path / "variables"))
    return Checkpoints(path.parent).position(path), {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if not name.startswith("_CHECKPOINTABLE")
    }


def make(
    folder,
    *observers,
    seed=0,
    method=None,
    data=batches,
    with_teacher=True,
    keep=2,
    evaluation=evaluate,
    **changes,
):
    """A training in a folder; a seed gives it values that a restart must replace."""
    folder.mkdir(exist_ok=True)
    seen, table = Witness(), MetricsTable(folder / "metrics.csv")
    trainer = Trainer(
        student=tiny.Net(seed),
        teacher=tiny.Net(70) if with_teacher else None,
        method=method or TwoPhases(seed),
        recipe=dataclasses.replace(RECIPE, **changes),
        batches=data,
        evaluate=evaluation,
        checkpoints=Checkpoints(folder / "checkpoints", keep),
        observers=(seen, table, *observers),
    )
    return Run(trainer, seen, table)


@pytest.fixture(scope="module", autouse=True)
def steady_clock():
    """A busy machine must not decide how many steps a call runs."""
    ticks = itertools.count()
    clock = types.SimpleNamespace(perf_counter=lambda: 1e-3 * next(ticks))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_lib, "time", clock)
        yield


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The training that no one disturbs."""
    return make(tmp_path_factory.mktemp("straight"))()


@pytest.fixture(scope="module")
def step_by_step(tmp_path_factory):
    """The same training, which logs and saves every step and keeps all of that."""
    folder = tmp_path_factory.mktemp("step_by_step")
    return make(folder, keep=100, log_every=1, checkpoint_every=1)()


def checkpoint_of(run, step):
    return run.trainer.checkpoints.directory / f"step-{step:010d}"


def copy_killed(run, folder, *steps):
    """What a run killed now would leave: the checkpoints of these steps, all rows."""
    for step in steps:
        path = checkpoint_of(run, step)
        shutil.copytree(path, folder / "checkpoints" / path.name)
    shutil.copy(run.table.path, folder)


def assert_same(run, other):
    """Weights, state, optimizer and metrics, to the last bit.

    The sums of losses are left out: those since the last log differ where runs log at
    different steps, and those of the epoch are in the rows.
    """
    for part in ("student", "method", "teacher"):
        first = tiny.values(getattr(run.trainer, part).variables)
        tiny.assert_equal(first, tiny.values(getattr(other.trainer, part).variables))
    (position, saved), (other_position, other_saved) = run.saved, other.saved
    assert position == other_position
    assert_same_values(saved, other_saved)
    assert run.rows == other.rows


def assert_same_values(saved, other):
    assert saved.keys() == other.keys()
    # The student; the method; slots, counts and rate; step and sums; the teacher.
    assert len(saved) in (8 + 4 + (9 + 3) + 3, 8 + 0 + (12 + 3) + 3 + 8)
    for name in saved.keys() - SUMS:
        np.testing.assert_array_equal(saved[name], other[name], err_msg=name)


# What a training does


def test_rows_say_what_happened(straight):
    rows = straight.rows
    assert [row["phase"] for row in rows] == ["hint"] * 2 + ["distill"] * 3
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["step"] for row in rows] == ["5", "10", "15", "20", "25"]
    rates = [RECIPE.rates["init"][[4, 9]], RECIPE.rates["train"][[4, 9, 14]]]
    assert [float(row["learning_rate"]) for row in rows] == [*rates[0], *rates[1]]
    for row in rows:
        terms = {name for name in row if name.startswith("loss/")}
        expected = {"loss/hint"}
        if row["phase"] == "distill":
            expected |= {"loss/task", "loss/memory"}
        assert terms == expected
        total = sum(float(row[name]) for name in terms)
        np.testing.assert_allclose(float(row["loss"]), total, rtol=1e-5)
        assert {"train_accuracy", "weight_norm", "gradient_norm"} <= row.keys()
        assert ("test_accuracy" in row) == (row["phase"] == "distill")
        asked = [row[f"{role}_forward_passes"] for role in ("student", "teacher")]
        assert asked == ["1.0", "1.0"]
    accuracies = evaluate(straight.trainer.student)
    assert float(rows[-1]["test_accuracy"]) == accuracies["test_accuracy"]


def test_a_teacher_that_no_term_reads_is_not_asked(tmp_path):
    method = base.Distiller({}, {}, tiny.DATA)
    method.loss = lambda *_: {}
    (row, *_) = make(tmp_path, method=method)().rows
    asked = [row[f"{role}_forward_passes"] for role in ("student", "teacher")]
    assert asked == ["1.0", "0.0"]


def test_everything_was_trained_but_the_teacher(straight):
    fresh = make(straight.table.path.parent / "fresh").trainer
    for part, expected in {"student": True, "method": True, "teacher": False}.items():
        pairs = zip(
            tiny.values(getattr(fresh, part).variables),
            tiny.values(getattr(straight.trainer, part).variables),
            strict=True,
        )
        assert {not np.array_equal(*pair) for pair in pairs} == {expected}, part


def test_observers_hear_of_phases_and_the_end(straight):
    started = straight.seen.of("phase_started")
    assert [(m.phase, m.phase_step, m.step) for (m,) in started] == [
        ("hint", 0, 0),
        ("distill", 0, INIT_STEPS),
    ]
    assert straight.seen.of("finished") == [()]
    assert straight.seen.events[-1] == ("finished",)


def test_the_best_epochs_are_told(straight):
    best, expected = -1.0, []
    for row in straight.rows:
        if float(row.get("validation_accuracy", -1)) > best:
            best = float(row["validation_accuracy"])
            expected.append(int(row["epoch"]))
    told = straight.seen.of("improved")
    assert [epoch for _, epoch in told] == expected
    assert all(net is straight.trainer.student for net, _ in told)
    assert straight.saved[0] == {
        "phase": 1,
        "step": TRAIN_STEPS,
        "epoch_is_open": False,
        "best": best,
    }


def test_a_finished_training_stays_as_it_is(straight):
    again = make(straight.table.path.parent, seed=5)()
    assert again.seen.of("stepped") == []
    assert_same(again, straight)


def test_calls_end_where_something_is_due(tmp_path, straight):
    run = make(tmp_path, log_every=3, checkpoint_every=4)()
    ends = [0] + [moment.step for (moment,) in run.seen.of("stepped")]
    assert ends[-1] == TOTAL
    for begin, end in zip(ends, ends[1:], strict=False):
        inside = range(begin + 1, end)
        assert not [s for s in inside for every in (PER_EPOCH, 3, 4) if s % every == 0]
    assert max(np.diff(ends)) == 3, "or else there is nothing to see here"
    logged = [moment.step for moment, _ in run.seen.of("logged")]
    assert logged == list(range(3, TOTAL + 1, 3))
    # How the steps are cut into calls changes no number.
    assert_same(run, straight)


def test_seldom_interruptions_allow_long_calls(straight):
    ends = [0] + [moment.step for (moment,) in straight.seen.of("stepped")]
    assert list(np.diff(ends)) == [1, 1, 3, 5, 1, 1, 3, 5, 5]


@pytest.mark.parametrize("evaluate_every, epochs", [(2, [2, 3]), (9, [3])])
def test_evaluation_is_regular_and_at_the_end(tmp_path, evaluate_every, epochs):
    run = make(tmp_path, method=tiny.Method(), evaluate_every=evaluate_every)()
    rows = [row for row in run.rows if "test_accuracy" in row]
    assert [int(row["epoch"]) for row in rows] == epochs


def test_a_call_lasts_a_second_and_a_half_at_most(tmp_path, monkeypatch):
    """With steps of 0.4 s three fit."""
    method = TwoPhases()
    steps = tf.Variable(0, trainable=False)
    loss = method.loss

    def counted(*arguments):
        steps.assign_add(1)
        return loss(*arguments)

    method.loss = counted
    method.phases = lambda: (base.Phase("distill", method.loss),)
    clock = types.SimpleNamespace(perf_counter=lambda: 0.4 * int(steps))
    monkeypatch.setattr(trainer_lib, "time", clock)
    run = make(
        tmp_path,
        method=method,
        steps_per_epoch=15,
        data=lambda *_: batches(0, 3, 0),
    )()
    ends = [0] + [moment.step for (moment,) in run.seen.of("stepped")]
    assert list(np.diff(ends)) == [1, 1, 3, 3, 3, 3, 1]


def test_methods_see_where_the_training_stands(tmp_path):
    class Seeing(tiny.Method):
        def draw(self, batch):
            return {"noise": tf.random.stateless_normal([], batch["seed"])}

        def phases(self):
            return (
                base.Phase("one", self.see, length="init", task_weight=0.0),
                base.Phase("two", self.see, task_weight=0.0),
            )

        def see(self, student, teacher, batch):
            del student, teacher
            scalars = {name: batch[name] for name in ("epoch", "progress", "noise")}
            scalars["seed"], scalars["step"] = tf.unstack(batch["seed"])
            for name in ("image", "label", "index"):
                scalars[name] = tf.reduce_mean(tf.cast(batch[name], tf.float32))
            return {name: tf.cast(v, tf.float32) for name, v in scalars.items()}

    run = make(tmp_path, method=Seeing(), log_every=1)()
    data = iter(batches(0, TOTAL // PER_EPOCH, 0))
    for step, (moment, means) in enumerate(run.seen.of("logged")):
        second = step >= INIT_STEPS
        phase_step = step - INIT_STEPS * second
        batch = {name: value.numpy() for name, value in next(data).items()}
        expected = {
            "epoch": phase_step // PER_EPOCH,
            "progress": phase_step / (TRAIN_STEPS if second else INIT_STEPS),
            "noise": tf.random.stateless_normal([], [RECIPE.seed, step]),
            "seed": RECIPE.seed,
            "step": step,
            "image": ((batch["image"] / 255.0 - 0.5) / 0.25).mean(),
            "label": batch["label"].mean(),
            "index": batch["index"].mean(),
        }
        assert moment.step == step + 1
        assert moment.phase == ("two" if second else "one")
        rate = RECIPE.rates["train" if second else "init"][phase_step]
        assert moment.learning_rate == rate
        for name, value in expected.items():
            found = means[f"loss/{name}"]
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_every_step_has_the_rate_of_its_place(tmp_path):
    """Without momentum the weights move by rate times gradient, here 1."""
    weight = tf.Variable(0.0)

    def loss(student, teacher, batch):
        del student, teacher, batch
        return {"weight": tf.identity(weight)}

    method = tiny.Method(loss, own=(weight,), task_weight=0.0)
    changes = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    run = make(tmp_path, method=method, log_every=1, **changes)()
    places = [means["loss/weight"] for _, means in run.seen.of("logged")]
    rates = RECIPE.rates["train"]
    expected = -np.cumsum(rates, dtype=np.float32)
    np.testing.assert_allclose([*places[1:], weight.numpy()], expected, rtol=1e-5)


# Restarts


def test_saving_every_step_changes_no_number(straight, step_by_step):
    assert_same(step_by_step, straight)
    path = step_by_step.trainer.checkpoints.directory
    assert len(list(path.iterdir())) == TOTAL


def test_the_end_of_a_phase_is_saved_in_any_case(straight):
    found = sorted(p.name for p in straight.trainer.checkpoints.directory.iterdir())
    assert found == ["step-0000000010", "step-0000000025"]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(0, id="before the first checkpoint"),
        pytest.param(3, id="first phase, inside an epoch"),
        pytest.param(5, id="first phase, end of an epoch"),
        pytest.param(INIT_STEPS, id="between the phases"),
        pytest.param(13, id="second phase, inside an epoch"),
        pytest.param(20, id="second phase, end of an epoch"),
        pytest.param(TOTAL, id="last step"),
    ],
)
def test_a_killed_training_goes_on_as_if_nothing_had_been(
    tmp_path, straight, step_by_step, step
):
    """Its nets start from other values, which the checkpoint has to replace."""
    copy_killed(step_by_step, tmp_path, *([step] if step else []))
    run = make(tmp_path, seed=5 if step else 0)()
    moment = run.seen.of("phase_started")[0][0]
    assert moment.step == step
    assert_same(run, straight)
    told = [epoch for _, epoch in run.seen.of("improved")]
    epochs = [epoch for _, epoch in straight.seen.of("improved")]
    assert told == [epoch for epoch in epochs if epoch * PER_EPOCH > step]


def test_some_improvements_come_early_and_some_late(straight):
    """Or else the test above does not see whether the best is restored."""
    accuracies = [float(row.get("validation_accuracy", 0)) for row in straight.rows]
    assert max(accuracies[2:4]) >= accuracies[4] > 0


@pytest.mark.parametrize(
    ("step", "signum"),
    [
        pytest.param(3, signal.SIGTERM, id="first phase"),
        pytest.param(INIT_STEPS, signal.SIGINT, id="between the phases"),
        pytest.param(14, signal.SIGTERM, id="second phase"),
    ],
)
def test_a_signal_saves_and_stops(tmp_path, step_by_step, step, signum):
    action = functools.partial(os.kill, os.getpid(), signum)
    run = make(tmp_path, At(step, action), log_every=1)
    with pytest.raises(Interrupted) as stop:
        run()
    assert stop.value.signum == signum
    assert [moment.step for (moment,) in run.seen.of("stepped")][-1] == step
    assert run.seen.events[-1] == ("finished",)
    position, saved = run.saved
    expected_position, expected = read(checkpoint_of(step_by_step, step))
    assert position == expected_position
    assert_same_values(saved, expected)


@pytest.mark.parametrize("phase", [0, 1])
def test_a_signal_stops_a_phase_while_it_is_traced(tmp_path, monkeypatch, phase):
    """Tracing a large net takes long; nothing is lost, because nothing has run."""

    class Method(TwoPhases):
        def phases(self):
            phases = list(super().phases())
            phases[phase] = dataclasses.replace(phases[phase], loss=self.interrupted)
            return tuple(phases)

        def interrupted(self, student, teacher, batch):
            os.kill(os.getpid(), signal.SIGTERM)
            return self.hint(student, teacher, batch)

    run = make(tmp_path, method=Method())
    with pytest.raises(Interrupted):
        run()
    steps = [moment.step for (moment,) in run.seen.of("stepped")]
    assert (steps[-1:] or [0])[0] == phase * INIT_STEPS


def test_logs_go_on_where_they_stopped(tmp_path, step_by_step):
    """Over the ends of epochs, and over a restart inside an interval."""
    first = make(tmp_path, At(16, terminate), log_every=3, checkpoint_every=4)
    with pytest.raises(Interrupted):
        first()
    second = make(tmp_path, seed=5, log_every=3)()
    losses = [means["loss/hint"] for _, means in step_by_step.seen.of("logged")]
    logged = first.seen.of("logged") + second.seen.of("logged")
    assert [moment.step for moment, _ in logged] == list(range(3, TOTAL + 1, 3))
    for moment, means in logged:
        begin = moment.step - 3
        if begin < INIT_STEPS < moment.step:
            begin = INIT_STEPS  # another phase has other terms
        np.testing.assert_allclose(
            means["loss/hint"], np.mean(losses[begin : moment.step]), rtol=1e-12
        )


def test_a_teacher_that_is_trained_is_restored(tmp_path):
    def mutual(student, teacher, batch):
        del batch
        gap = student.logits - tf.stop_gradient(teacher.logits)
        return {"mutual": tf.reduce_mean(tf.square(gap))}

    def started(folder, *observers, **changes):
        method = tiny.Method(mutual, trains_teacher=True)
        rates = {"train": RECIPE.rates["train"][:10]}
        run = make(tmp_path / folder, *observers, method=method, rates=rates, **changes)
        if "seed" in changes:
            run.trainer.teacher.set_weights(tiny.Net(90).get_weights())
        return run

    whole = started("whole")()
    assert not np.array_equal(
        whole.trainer.teacher.get_weights()[0], tiny.Net(70).get_weights()[0]
    )
    with pytest.raises(Interrupted):
        started("cut", At(4, terminate), log_every=1)()
    assert_same(started("cut", seed=5)(), whole)


def test_a_signal_after_the_last_look_is_answered_when_all_is_saved(tmp_path):
    """It may come while a checkpoint that was due anyway is written."""

    class Late(Checkpoints):
        def save(self, step, *arguments):
            super().save(step, *arguments)
            if step == 4:
                terminate()

    run = make(tmp_path, checkpoint_every=4)
    run.trainer.checkpoints = Late(tmp_path / "checkpoints")
    with pytest.raises(Interrupted):
        run()
    assert run.saved[0]["step"] == 4


def test_a_signal_between_two_looks_is_not_lost_nor_answered_unsaved(
    tmp_path, monkeypatch
):
    """It comes after the trainer has looked whether to save, and before it stops."""

    class Signals(trainer_lib.StopSignals):
        looks = 0

        @property
        def received(self):
            self.looks += 1
            return signal.SIGTERM if self.looks > 4 else None

        @received.setter
        def received(self, value):
            pass

    monkeypatch.setattr(trainer_lib, "StopSignals", Signals)
    run = make(tmp_path, method=tiny.Method(), log_every=1)
    with pytest.raises(Interrupted):
        run()
    last = [moment.step for (moment,) in run.seen.of("stepped")][-1]
    assert run.saved[0]["step"] == last


def test_a_damaged_checkpoint_costs_only_time(tmp_path, straight, step_by_step):
    copy_killed(step_by_step, tmp_path, 12, 13)
    newest = tmp_path / "checkpoints" / "step-0000000013"
    os.truncate(newest / "variables.data-00000-of-00001", 100)
    run = make(tmp_path, seed=5)()
    ((message,),) = run.seen.of("message")
    assert f"damaged checkpoint {newest}" in message
    assert run.seen.of("phase_started")[0][0].step == 12
    assert_same(run, straight)


TABLE_DAMAGES = {
    "cut in half": lambda content: content[: len(content) // 2],
    "another row": lambda content: content.replace(b"distill,3,15,", b"distill,3,17,"),
}


@pytest.mark.parametrize(
    ("how", "step"), [("cut in half", 20), ("cut in half", TOTAL), ("another row", 20)]
)
def test_the_metrics_are_restored_whatever_became_of_their_file(
    tmp_path, straight, step_by_step, how, step
):
    copy_killed(step_by_step, tmp_path, step)
    path = tmp_path / "metrics.csv"
    damaged = TABLE_DAMAGES[how](path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert_same(make(tmp_path, seed=5)(), straight)
    rows = [
        {name: v for name, v in row.items() if name not in TIMINGS}
        for row in metrics_table.read(path)
    ]
    assert rows == straight.rows


def save_a_weight(net, path):
    """Stands for saving the net."""
    np.save(path, net.variables[0].numpy())


@pytest.mark.parametrize("damage", ["gone", "of a later epoch"])
def test_the_best_net_is_of_the_epochs_up_to_the_checkpoint(tmp_path, damage):
    """Killed after epoch 4, the best, which goes on after epoch 3."""
    path, weights = tmp_path / "best.npy", []

    def evaluation(net, check):
        weights.append(net.variables[0].numpy())
        return {"validation_accuracy": [0.1, 0.3, 0.2, 0.4][len(weights) - 1]}

    def started(*observers, **changes):
        return make(
            tmp_path,
            BestNet(path, save_a_weight),
            *observers,
            method=tiny.Method(),
            rates={"train": np.full(5 * PER_EPOCH, 0.01, np.float32)},
            checkpoint_every=3 * PER_EPOCH,
            **changes,
        )

    with pytest.raises(Killed):
        started(At(4 * PER_EPOCH + 1, kill), evaluation=evaluation, log_every=1)()
    np.testing.assert_array_equal(np.load(path), weights[3])
    if damage == "gone":
        path.unlink()
    # How often is evaluated may change; epoch 4 is not any more.
    run = started(
        evaluation=lambda *_: {"validation_accuracy": 0.25}, evaluate_every=9
    )()
    assert run.seen.of("improved") == []
    np.testing.assert_array_equal(np.load(path), weights[1])


def test_if_no_checkpoint_is_left_nothing_is_trained(tmp_path, step_by_step):
    copy_killed(step_by_step, tmp_path, 12, 13)
    for path in (tmp_path / "checkpoints").iterdir():
        (path / "manifest.json").unlink()
    run = make(tmp_path)
    with pytest.raises(ValueError, match="no checkpoint in .* can be read"):
        run()
    assert run.seen.of("stepped") == []


def test_another_methods_checkpoint_is_refused(tmp_path, step_by_step):
    copy_killed(step_by_step, tmp_path, 13)
    method = TwoPhases()
    method.more = tf.Variable(1.0)
    with pytest.raises(ValueError, match="belongs to another training"):
        make(tmp_path, method=method)()


# Divergence


def diverging(term):
    """A method whose term "bad" is not finite in global step 13 (the 14th)."""

    def loss(student, teacher, batch):
        del student, teacher
        is_due = batch["seed"][1] == 13
        return {"fine": tf.constant(1.0), "bad": tf.where(is_due, term, 0.5)}

    method = tiny.Method(loss)
    plain = base.Phase("warm", lambda *_: {}, length="init")
    method.phases = lambda: (plain, method.phase)
    return method


def test_a_term_that_is_not_finite_stops_the_training(tmp_path):
    run = make(tmp_path, method=diverging(-np.inf), checkpoint_every=6)
    message = r"in step 4 of phase 'distill'.*Received: loss=-inf, loss/bad=-inf\."
    with pytest.raises(NonFiniteLoss, match=message):
        run()
    assert run.saved[0]["step"] == 2, "global step 12"
    assert run.seen.events[-1] == ("finished",)


@pytest.mark.parametrize("checkpoint_every", [1, 6])
def test_bad_values_are_never_saved(tmp_path, checkpoint_every):
    """One poisoned batch, the 14th; the steps behind it are all bad."""

    def data(first_epoch, num_epochs, skip_batches):
        dataset = batches(first_epoch, num_epochs, skip_batches)

        def poison(step, batch):
            bad = tf.where(step == 13, np.float32(np.nan), 0.0)
            return {**batch, "image": tf.cast(batch["image"], tf.float32) + bad}

        return dataset.enumerate().map(poison)

    method = tiny.Method()
    run = make(tmp_path, method=method, data=data, checkpoint_every=checkpoint_every)
    with pytest.raises(NonFiniteLoss, match=r"step 14 of phase 'distill'.*/task=nan"):
        run()
    position, saved = run.saved
    assert position["step"] == {1: 13, 6: 12}[checkpoint_every]
    assert all(np.isfinite(v).all() for v in saved.values() if v.dtype.kind == "f")
    assert len(run.rows) == 2, "the third epoch is not told as if it had ended"


def test_weights_that_overflow_are_not_saved_although_the_losses_are_finite(tmp_path):
    def loss(student, teacher, batch):
        del teacher, batch
        return {"large": 1e6 * tf.reduce_mean(tf.square(student.logits))}

    rates = {"train": np.full(5, 3e38, np.float32)}
    run = make(tmp_path, method=tiny.Method(loss), rates=rates, checkpoint_every=1)
    message = r"after step 1 of phase 'distill', expected finite weights\. Rec.*kernel"
    with pytest.raises(NonFiniteLoss, match=message):
        run()
    assert run.trainer.checkpoints.newest(print) is None


def test_a_batch_norm_that_overflows_is_noticed(tmp_path):
    """Its batch variance is infinite, the normalised batch 0 and the loss finite."""
    images = 1e21 * IMAGES.astype(np.float64)
    data = functools.partial(batches, images=images.astype(np.float32))
    run = make(tmp_path, method=tiny.Method(), data=data, with_teacher=False)
    with pytest.raises(NonFiniteLoss, match=r"step 1 of phase 'distill'.*variance"):
        run()


def test_too_many_overflows_stop_the_training(tmp_path):
    """Under loss scaling a gradient may overflow now and then, but not for ever."""

    @tf.custom_gradient
    def broken(x):
        return x, lambda upstream: upstream * np.inf

    def loss(student, teacher, batch):
        del teacher, batch
        return {"broken": tf.reduce_mean(broken(student.logits))}

    run = make(
        tmp_path,
        method=tiny.Method(loss),
        rates={"train": np.full(60, 0.1, np.float32)},
        steps_per_epoch=60,
        data=lambda *_: batches(0, 12, 0),
        scale_loss=True,
    )
    before = tiny.values(run.trainer.student.trainable_variables)
    with pytest.raises(NonFiniteLoss, match="steps in a row"):
        run()
    after = tiny.values(run.trainer.student.trainable_variables)
    tiny.assert_equal(before, after)
    assert run.rows == []


def overflowing():
    """A method whose gradient is not finite in the steps 1, 2 and 4 of 15."""

    def loss(student, teacher, batch):
        del teacher
        step = tf.round(batch["progress"] * TRAIN_STEPS)
        is_bad = (step < 2) | tf.equal(step, 3)
        square = tf.reduce_mean(tf.square(student.logits))
        return {"root": tf.sqrt(tf.where(is_bad, 0.0, 1.0) * square)}

    return tiny.Method(loss)


def test_steps_that_a_loss_scaler_skips_are_counted_and_in_no_norm(tmp_path):
    settings = {"method": overflowing(), "scale_loss": True}
    settings |= {"log_every": 1, "checkpoint_every": 1, "keep": 100}
    run = make(tmp_path / "run", **settings)()
    assert [row["skipped_steps"] for row in run.rows] == ["3", "0", "0"]
    steps = [means for _, means in run.seen.of("logged")]
    skipped = [means["skipped_steps"] for means in steps]
    assert skipped == [1, 1, 0, 1] + [0] * 11
    assert ["gradient_norm" in means for means in steps] == [not s for s in skipped]
    norms = [means["gradient_norm"] for means in (steps[2], steps[4])]
    found = float(run.rows[0]["gradient_norm"])
    np.testing.assert_allclose(found, np.mean(norms), rtol=1e-12)
    # A run that is killed in that epoch knows of those before.
    (tmp_path / "again").mkdir()
    copy_killed(run, tmp_path / "again", 3)
    again = make(tmp_path / "again", seed=5, **settings)()
    assert again.rows == run.rows


def test_a_run_with_a_loss_scaler_of_before_they_were_counted_goes_on(
    tmp_path, monkeypatch
):
    settings = {"method": overflowing(), "scale_loss": True}
    settings |= {"checkpoint_every": 1, "keep": 100}
    with monkeypatch.context() as earlier:
        earlier.setattr(trainer_lib.PhaseRun, "groups", groups_of_before)
        run = make(tmp_path / "run", **settings)()
    (tmp_path / "again").mkdir()
    copy_killed(run, tmp_path / "again", 3)
    again = make(tmp_path / "again", seed=5, **settings)()
    assert [row["skipped_steps"] for row in again.rows] == ["1", "0", "0"]
    run_end, end = (tiny.values(r.trainer.student.variables) for r in (run, again))
    tiny.assert_equal(run_end, end)


def groups_of_before(run, groups=trainer_lib.PhaseRun.groups):
    """The groups of a checkpoint that knew of no skipped steps."""
    return {name: group for name, group in groups(run).items() if name != SKIPPED}


def test_without_a_loss_scaler_there_is_no_such_column(straight):
    assert not any("skipped_steps" in row for row in straight.rows)


def test_signal_during_an_evaluation_stops_it(tmp_path, straight):
    """The epoch is saved as trained but not evaluated; the restart catches up."""

    def slow_evaluation(net, check):
        terminate()
        check()
        raise AssertionError("the evaluation went on")

    step = INIT_STEPS + PER_EPOCH
    for _ in range(2):  # The second one is stopped in the same evaluation.
        run = make(tmp_path, evaluation=slow_evaluation)
        with pytest.raises(Interrupted):
            run()
        position, _ = run.saved
        assert position["step"] == PER_EPOCH and position["epoch_is_open"]
        assert len(run.rows) == 2
    # One that is killed after it has caught up has to do so again.
    with pytest.raises(Killed):
        make(tmp_path, At(step + 1, kill), seed=5, log_every=1)()
    run = make(tmp_path, seed=5)()
    assert [m.step for (m,) in run.seen.of("phase_started")] == [step]
    assert_same(run, straight)


def test_signal_during_the_last_evaluation_stops_it(tmp_path):
    """Then there is no later step that could save the epoch as evaluated."""

    def slow_evaluation(net, check):
        terminate()
        check()

    def started(evaluation):
        settings = {"evaluate_every": 3, "method": tiny.Method()}
        return make(tmp_path, evaluation=evaluation, **settings)

    with pytest.raises(Interrupted):
        started(slow_evaluation)()
    for _ in range(2):
        run = started(evaluate)()
        assert run.seen.of("stepped") == []
        steps = [(row["step"], "test_accuracy" in row) for row in run.rows]
        assert steps == [("5", False), ("10", False), ("15", True)]


def test_weights_of_classes_weigh_the_label_loss_and_no_accuracy(tmp_path):
    """Nothing is learned, so that both trainings see the same losses."""
    still = {name: np.zeros_like(rates) for name, rates in RECIPE.rates.items()}
    plain = make(tmp_path / "plain", rates=still)().rows
    twice = {"rates": still, "class_weights": np.full(3, 2.0, np.float32)}
    doubled = make(tmp_path / "doubled", **twice)().rows
    rows = [r for r in zip(plain, doubled, strict=True) if r[0]["phase"] == "distill"]
    assert len(rows) == 3
    for one, double in rows:
        task = float(one["loss/task"])
        assert float(double["loss/task"]) == pytest.approx(2 * task, rel=1e-5)
        for name in ("validation_accuracy", "train_accuracy", "loss/hint"):
            assert one[name] == double[name]
