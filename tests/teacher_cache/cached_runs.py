"""Small trainings with and without a teacher cache."""

import dataclasses
import pathlib

import numpy as np

import dataloader
import distiller
import fakes
from options.settings import Options
from teacher_cache import plan as cache_plan
from teacher_cache.batches import TeacherCache
from teacher_cache.of_run import open_cache, run_with
from tests.training import tiny
from training.evaluation import Evaluator
from training.recipe import Recipe
from training.run import cache_difference
from training.run.run_folder import RunFolder
from training.trainer import Trainer

SIZE, SHAPE = 42, (fakes.IMAGE_SIZE, fakes.IMAGE_SIZE, 3)
LABELS = fakes.LABELS[np.arange(SIZE) % 40]
IMAGES = np.random.default_rng(0).integers(0, 256, (SIZE, *SHAPE), np.uint8)
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


def data(batch_size=8, images=IMAGES, indices=None, seed=0, **augmentation):
    """Training data, by default with crops and flips in two versions."""
    indices = np.arange(SIZE) if indices is None else np.asarray(indices)
    split = dataloader.Split(images, LABELS)
    dataset = dataloader.Dataset("fake", split, split, fakes.NUM_CLASSES, MEAN, STD)
    options = {"period": 2, **augmentation}
    return dataloader.TrainingData(
        dataset=dataset,
        indices=indices,
        train=split.take(indices),
        validation=split.take(np.arange(0)),
        augmentation=dataloader.Augmentation(**options),
        seed=seed,
        batch_size=batch_size,
    )


def teacher(seed=9, **options):
    """So wide that the head's rounding depends on the place in the batch."""
    return fakes.Net(widths=(4, 6, 64), seed=seed, **options)


def settings(folder, name="Soft_logits", **changes):
    options = {"teacher_cache": True, "teacher_cache_dir": str(folder)}
    return Options(distiller=name, **options | changes)


def method(name, of_data, student, of_teacher):
    spec = distiller.DataSpec(
        SIZE, fakes.NUM_CLASSES, of_data.train.labels, of_data.batch_size
    )
    teacher_taps = {} if of_teacher is None else of_teacher.tap_specs
    return distiller.build(name, student.tap_specs, teacher_taps, spec)


def unfilled(of_data, folder, names=("logits",), epochs=3, of_teacher=None, **changes):
    """The cache of one phase that reads these outputs."""
    plan = cache_plan.CachePlan((frozenset(names),), ("train",))
    options = {"precision": "float32", "mean": MEAN, "std": STD, "log": lambda _: None}
    return TeacherCache(
        plan,
        [epochs],
        of_data,
        of_teacher or teacher(),
        directory=str(folder),
        **options | changes,
    )


def cache(*arguments, **options):
    """The same, filled."""
    found = unfilled(*arguments, **options)
    found.fill()
    return found


def recipe(of_data, epochs, init_epochs=1):
    steps = of_data.steps_per_epoch
    rates = {
        "init": np.full(init_epochs * steps, 0.01, np.float32),
        "train": np.full(epochs * steps, 0.05, np.float32),
    }
    return Recipe(
        rates=rates,
        batch_size=of_data.batch_size,
        steps_per_epoch=steps,
        mean=MEAN,
        std=STD,
        momentum=0.9,
        nesterov=False,
        weight_decay=1e-3,
        scale_loss=False,
        task_weight=1.0,
        seed=3,
        xla=False,
        log_every=100,
        checkpoint_every=3,
        evaluate_every=100,
    )


@dataclasses.dataclass
class Run:
    """A training in a folder that can be run in parts."""

    settings: Options
    data: dataloader.TrainingData
    folder: pathlib.Path
    epochs: int = 2

    def __call__(self, observers=(), of_teacher=None):
        """Trains from where it is; the student's weights at the end."""
        of_teacher = of_teacher or teacher()
        student = fakes.Net(seed=1)
        a_method = method(self.settings.distiller, self.data, student, of_teacher)
        plan = cache_plan.plan(self.settings, self.data, a_method, student, of_teacher)
        how = recipe(self.data, self.epochs)
        evaluator = Evaluator(self.data.splits, dataloader.eval_batches, MEAN, STD)
        with self.run_folder.open({"seed": how.seed}) as run_folder:
            parts = self.data, of_teacher, how, run_folder, evaluator
            source = open_cache(plan, self.settings, *parts)
            trainer = Trainer(
                student=student,
                teacher=of_teacher,
                method=a_method,
                recipe=how,
                batches=source.batches,
                evaluate=lambda *_: {},
                checkpoints=run_folder.checkpoints,
                observers=observers,
            )
            run_with(source, trainer)
        return tiny.values(student.variables)

    @property
    def run_folder(self) -> RunFolder:
        return RunFolder(self.folder)

    @property
    def gap(self) -> dict | None:
        """What config.json says of it."""
        return self.run_folder.read_config().get(cache_difference.KEY)
