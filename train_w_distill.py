"""Trains a teacher if there is none, then distils a student from it.

The bare command does so on scikit-learn's digits. See --helpshort, --list, README.md.
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import dataclasses

import keras
from absl import flags

import dataloader
import distiller
from comparison import catalogue
from forecast.dry_run import DryRun
from nets import costs, for_data, given, saving
from nets.brought.wrapped import is_converted, seen_by
from options import command_line
from options import flags as option_flags
from options.settings import Options
from teacher_cache import plan as cache_plan
from teacher_cache.of_run import open_cache, run_with
from training import normalisation, observers, teacher_check
from training.evaluation import evaluator_of
from training.recipe import learning_rates, recipe_of
from training.run import run_inputs, run_result
from training.run.continuation import inherited, record, taken_on
from training.run.run_folder import RunFolder
from training.trainer import Trainer

option_flags.define()
flags.DEFINE_bool("list", False, "Show methods with hyperparameters, nets, data sets.")
flags.DEFINE_bool("list_nets", False, "Show the nets' sizes for the data's images.")
flags.DEFINE_bool("dry_run", False, "Tell what would run and how long; write nothing.")


def canonical(settings: Options) -> Options:
    """The settings with one spelling of every name, so that equal runs are equal."""
    method = distiller.resolve(settings.distiller, settings.hparam)
    settings.check_labels_of(method)
    settings.check_loss_of(method)
    student = given.canonical_name(catalogue.student(settings.student, settings))
    names = {"distiller": method.name, "hparam": method.settings, "student": student}
    if settings.task_weight is None:
        names["task_weight"] = method.task_weight
    if method.uses_teacher and not settings.teacher_checkpoint:
        names["teacher"] = given.canonical_name(settings.teacher)
    return dataclasses.replace(settings.used_by(method), **names)


def build_net(source: dict, settings: Options, data, seed: int, scale_of=None):
    """A net for these data, with the scale of what `scale_of` is, by default theirs."""
    how = {"dtype": settings.precision, "seed": seed, "scale_of": scale_of}
    return for_data.build(given.Given(**source), data.dataset, **how)


def build_pair(settings: Options, data, teacher):
    """The student, the teacher as it sees the student's images, and their method."""
    scale_of = normalisation.source(settings, data.dataset, teacher)
    source = settings.net("student")
    student = build_net(source, settings, data, settings.seed, scale_of)
    if teacher is not None:
        teacher = seen_by(teacher, student)
    keras.utils.set_random_seed(settings.seed)  # for the method's own layers
    method = distiller.resolve(settings.distiller, settings.hparam)
    labels, num_classes = data.train.labels, data.dataset.num_classes
    spec = distiller.DataSpec(len(labels), num_classes, labels, settings.batch_size)
    teacher_taps = {} if teacher is None else teacher.tap_specs
    method = method.build(student.tap_specs, teacher_taps, spec)
    return student, teacher, taken_on(settings, data, student, teacher, method)


def trained_first(settings: Options, data, nets_and_method, **how):
    """`build_pair` with the teacher when it is trained, which a dry run leaves."""
    folder = train(settings.for_teacher(), role="teacher", **how)
    if not folder.is_finished:
        return nets_and_method
    source, seed = given.of_file(folder.student), settings.fresh_teacher_seed
    return build_pair(settings, data, build_net(source, settings, data, seed))


def train(settings, *, role="student", wait=False, dry_run=None) -> RunFolder:
    """Trains what the settings say and returns the run's folder; see `DryRun`."""
    data = dataloader.prepare(**settings.data())
    teacher, seed = None, settings.fresh_teacher_seed
    if settings.uses_teacher:
        teacher = build_net(settings.net("teacher"), settings, data, seed)
    # What is wrong shows here, before anything is written or trained for hours.
    student, teacher, method = pair = build_pair(settings, data, teacher)
    if is_teacher_first := settings.trains_teacher_first(method):
        learning_rates(settings.for_teacher(), data.steps_per_epoch)
    phases = method.phases()
    plan = cache_plan.plan(settings, data, method, student, teacher)
    if role == "student":
        told = data.dataset.notes + given.notes(teacher=teacher, student=student)
        option_flags.print_notes(settings, phases, data.augmentation, told + plan.notes)
    earlier = normalisation.of_earlier_versions(settings, is_converted(teacher))
    settings = settings.without_unused(phases, data.augmentation, plan.is_used)
    recipe = recipe_of(settings, data, student, phases)
    sample = next(iter(data.batches(0, 1, 0)))["image"].numpy()
    folder = RunFolder(settings.train_dir or settings.default_train_dir())
    config = {**settings.config(), **record(settings), "data_sha256": data.digest}
    defaults = Options().config() | earlier
    if dry_run:  # Nothing is written; its measured steps change the nets.
        if is_teacher_first and not folder.is_finished:
            pair = trained_first(settings, data, pair, dry_run=dry_run)
        parts = *pair, recipe, data, plan, settings
        return dry_run.tell(role, folder, config, defaults, *parts)
    rules = {"wait": wait, "allow_other_code": settings.allow_other_code}
    with folder.open(config, defaults=defaults, **rules):
        if folder.is_finished:
            return run_result.confirmed(folder, role, saving.load)
        folder.write_indices(data.indices)
        if is_teacher_first:
            student, teacher, method = trained_first(settings, data, pair, wait=True)
        folder.check_inputs(run_inputs.digests(settings, method, teacher, student))
        evaluator = evaluator_of(student, data, dataloader.eval_batches)
        teacher_check.before_training(settings, folder, teacher, evaluator, data)
        cache = open_cache(plan, settings, data, teacher, recipe, folder, evaluator)
        trainer = Trainer(
            student=student,
            teacher=teacher,
            method=method,
            recipe=recipe,
            batches=cache.batches,
            evaluate=evaluator.accuracies,
            checkpoints=folder.checkpoints,
            observers=observers.of_run(folder, settings, role, sample, saving.save),
        )
        run_with(cache, trainer)
        entries = run_result.measure(trainer, evaluator, costs.facts)
        run_result.save(folder, settings, trainer, entries, saving.save)
    return folder


def main() -> None:
    """Runs what the flags say."""
    if flags.FLAGS.list:
        return catalogue.show()
    settings = inherited(option_flags.read(), option_flags.given())
    if flags.FLAGS.list_nets:
        return catalogue.show_nets(settings)
    train(canonical(settings), dry_run=flags.FLAGS.dry_run and DryRun())


if __name__ == "__main__":
    command_line.run(main)
