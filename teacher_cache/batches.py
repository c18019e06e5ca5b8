"""Training batches that bring the teacher's outputs along, computed once for all runs.

What a training image looks like is a function of (data seed, version, index), so the
teacher's outputs for a version are arrays; every run that shares teacher and images
shares them.
"""

import contextlib
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tqdm

from teacher_cache import key as cache_key
from teacher_cache.plan import CachePlan
from teacher_cache.store import CacheFolder, SetAside, Wanted
from training import step as step_lib
from training import teacher_outputs
from training.run import cache_difference
from training.teacher_outputs import EMBEDDING, LOGITS

_IMAGES = "normalised images"  # an output that is no array of the cache
_PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}


class TeacherCache:
    """The kept outputs that one run needs.

    Args:
        plan: what each phase takes.
        lengths: epochs of each phase.
        data: a `dataloader.TrainingData`.
        teacher: the net.
        mean, std: per channel, what the run normalises images by.
        directory: where all caches are.
        precision: how outputs are kept, see `array_file`.
        log: told what is found and done, a line each.

    Attributes:
        forward: the teacher's outputs for the images of a batch, by name.
        folder: the `CacheFolder`.
        gap: see `cache_difference.measured`, after `fill`; None where nothing is left
            to take.
    """

    def __init__(
        self,
        plan: CachePlan,
        lengths: Sequence[int],
        data,
        teacher,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        directory: str,
        precision: str,
        log: Callable[[str], None] = print,
    ):
        self.plan, self.data, self.teacher, self.log = plan, data, teacher, log
        ends = np.cumsum(lengths).tolist()
        self._phases = [
            range(end - length, end) for end, length in zip(ends, lengths, strict=True)
        ]
        self.forward = forward_function(teacher, mean, std, data)
        shapes = {
            name: tuple(output.shape[1:])
            for name, output in self.forward.structured_outputs.items()
            if name != _IMAGES
        }
        self._facts = cache_key.facts(data, teacher, self.forward, mean, std, precision)
        self.folder = CacheFolder(
            pathlib.Path(directory) / cache_key.of(self._facts),
            shapes,
            len(data.train),
            precision,
            log,
        )
        self._fed: dict[int, tuple[str, ...]] = {}  # phase -> names
        self.gap: dict[str, float] | None = None

    def fill(self, phase: int = 0, epochs_done: int = 0) -> None:
        """Computes what is missing for the rest of the run.

        Args:
            phase: the index of the phase that the run is in.
            epochs_done: whole epochs of it that lie behind.

        Raises:
            ValueError: it does not fit on the disk, or is not what the teacher says.
            OSError: the disk cannot be written.
        """
        left = self._left(phase, epochs_done)
        wanted = self.wanted(phase, epochs_done)
        if not wanted:
            return
        told: set[str] = set()
        while True:
            try:
                with self.damage_told():
                    self._open(wanted, left)
                return
            except SetAside as error:
                if str(error) in told:  # a disk that does not keep what is written
                    raise
                told.add(str(error))
                self.log(f"teacher cache: {error}; computed again")
                self.folder.set_aside = None

    def _open(self, wanted: Wanted, left: Mapping[int, range]) -> None:
        """Computes what is missing, and compares."""
        missing = self.folder.missing(wanted)
        if missing:
            steps = -(-len(self.data.train) // self.data.batch_size)
            with _bar(steps * len(missing)) as bar:
                compute = functools.partial(self._compute, bar)
                self.folder.fill(missing, self._facts, compute)
            self._tell_errors(wanted)
        else:
            self.log(f"teacher cache: all that is needed is in {self.folder.path}")
        head = self._head_gives_logits(next(iter(wanted)))
        self._fed = {i: self._fed_names(i, head) for i in left}
        restored = _restored(self.teacher)
        self.gap = cache_difference.measured(self, restored, tuple(left.values()))
        if cache_difference.is_gap(self.gap):
            self.log(
                "teacher cache: a run with it is not equal to one without it to the "
                f"last bit, because outputs differ: {cache_difference.words(self.gap)}"
            )

    @contextlib.contextmanager
    def damage_told(self):
        """Context in which batches are read: says what TensorFlow tells of damage.

        Raises:
            SetAside: an array was damaged.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.folder.set_aside is None:
                raise
            raise self.folder.set_aside from error

    def wanted(self, phase: int = 0, epochs_done: int = 0) -> Wanted:
        """What the rest of the run takes, see `fill`."""
        wanted: Wanted = {}
        for i, epochs in self._left(phase, epochs_done).items():
            names = self._kept_names(i)
            for version in map(self.data.augmentation.version, epochs):
                wanted[version] = wanted.get(version, frozenset()) | names
        return wanted

    def _left(self, phase: int, epochs_done: int) -> dict[int, range]:
        """Phase -> the epochs that are left of it, of phases that take something."""
        left = {
            i: epochs[epochs_done if i == phase else 0 :]
            for i, epochs in enumerate(self._phases)
            if i >= phase and self.plan.outputs[i]
        }
        return {i: epochs for i, epochs in left.items() if epochs}

    def batches(
        self, first_epoch: int, num_epochs: int, skip_batches: int
    ) -> tf.data.Dataset:
        """`data.batches`, with `teacher_outputs.KEY` where a phase takes that."""
        batches = self.data.batches(first_epoch, num_epochs, skip_batches)
        # A phase that is done is built again, over no epoch, when the run is resumed.
        epoch = first_epoch if num_epochs else first_epoch - 1
        phases = [i for i, epochs in enumerate(self._phases) if epoch in epochs]
        names = self._fed.get(phases[0], ()) if phases else ()
        if not names:
            return batches
        per_epoch = self.data.steps_per_epoch

        def add(number, batch):
            epoch = first_epoch + (skip_batches + number) // per_epoch
            version = self.data.augmentation.version(epoch)
            rows = tf.numpy_function(
                functools.partial(self._rows, names),
                [version, batch["index"]],
                [tf.float32] * len(names),
                stateful=False,
            )
            kept = {
                name: tf.ensure_shape(
                    array, [self.data.batch_size, *self.folder.shapes[name]]
                )
                for name, array in zip(names, rows, strict=True)
            }
            return {**batch, teacher_outputs.KEY: kept}

        batches = batches.enumerate().map(add, **_PARALLEL)
        return batches.prefetch(tf.data.AUTOTUNE)

    def _kept_names(self, phase: int) -> frozenset[str]:
        """What is written: logits and embedding always."""
        always = {LOGITS, EMBEDDING} & self.folder.shapes.keys()
        return self.plan.outputs[phase] | always

    def _fed_names(self, phase: int, head: bool) -> tuple[str, ...]:
        """What batches bring along: taps, and what gives the logits."""
        taps = self.plan.outputs[phase] - {LOGITS}
        return tuple(sorted(taps | {EMBEDDING if head else LOGITS}))

    def _rows(self, names, version, index):
        return [self.folder.rows(int(version), name, index) for name in names]

    def _compute(self, bar, version: int, names: frozenset):
        """The outputs of all images of a version, batch by batch."""
        outputs = self._outputs(names)
        for batch in self.data.version(version):
            yield {n: x.numpy() for n, x in outputs(batch["image"]).items()}
            bar.update()

    @functools.cache  # noqa: B019, a run has one cache
    def _outputs(self, names: frozenset):
        """The forward function, without what is not asked for."""

        def outputs(images):
            found = self.forward(images)
            return {name: found[name] for name in sorted(names)}

        if _IMAGES in self.forward.structured_outputs:  # which must not be left out
            return outputs
        return tf.function(outputs, autograph=False)

    def _head_gives_logits(self, version: int) -> bool:
        """Whether the head makes the kept logits of the kept embedding, to the bit.

        The first batch tells. It does not where the net has no such head, or the
        embedding lost bits when it was kept.
        """
        head = getattr(self.teacher, "head", None)
        if head is None or EMBEDDING not in self.folder.shapes:
            return False
        index = np.arange(self.data.batch_size)
        kept = {EMBEDDING: tf.constant(self.folder.rows(version, EMBEDDING, index))}
        try:
            logits = _restored(self.teacher)(kept)[LOGITS]
        except ValueError:  # a tap of another size that a user calls the embedding
            return False
        return np.array_equal(logits, self.folder.rows(version, LOGITS, index))

    def _tell_errors(self, wanted: Wanted) -> None:
        if self.folder.precision == "float32":
            return
        for name, (absolute, relative) in self.folder.errors(wanted).items():
            self.log(
                f"teacher cache: {name} as {self.folder.precision} is wrong by at most "
                f"{absolute:.2g}, or {100 * relative:.2g} % of a number"
            )


def forward_function(teacher, mean, std, data):
    """The teacher's outputs for uint8 images, by name; as `step.Step` asks for them.

    In a step the student takes the normalised images, too. If the teacher converts them
    and nobody else takes them, TensorFlow folds both computations into one, which
    rounds otherwise: then they are an output, too.
    """

    @tf.function(autograph=False)
    def forward(images):
        images = step_lib.normalise(images, mean, std)
        output = step_lib.cast_output(teacher(images, training=False, with_taps=True))
        others = {_IMAGES: images} if teacher.converts_pixels else {}
        return {LOGITS: output.logits, **output.taps, **others}

    shape = [data.batch_size, *data.train.image_shape]
    return forward.get_concrete_function(tf.TensorSpec(shape, tf.uint8))


def _restored(teacher):
    """Kept outputs, with the logits, by name; compiled, as in a step."""

    @tf.function(autograph=False)
    def restored(kept):
        output = step_lib.cast_output(teacher_outputs.restored(teacher, kept))
        return {LOGITS: output.logits, **output.taps}

    return restored


def _bar(total: int):
    return tqdm.tqdm(
        total=total,
        desc="teacher cache",
        unit="batches",
        disable=None,  # unless there is a terminal
        dynamic_ncols=True,
    )
