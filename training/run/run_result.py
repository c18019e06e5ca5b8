"""The end of a run: nets, result.json, final table."""

from collections.abc import Callable, Mapping

from common import files
from training import report
from training.observers import metrics_table
from training.run import (
    cache_difference,
    continuation,
    fingerprint,
    run_files,
    run_inputs,
)


def measure(trainer, evaluator, sizes: Callable) -> dict[str, dict]:
    """Accuracy on the test split, size and weights' digest of teacher and student.

    Args:
        trainer: the `trainer.Trainer` that ran.
        evaluator: an `evaluation.Evaluator` with a split named test.
        sizes: net -> dict with `parameters` and `multiply_accumulates`.
    """
    nets = {"teacher": trainer.teacher, "student": trainer.deployed}
    labels = evaluator.splits["test"].labels
    return {
        role: {
            "net": net.name,
            **report.quality(evaluator.logits(net), labels),
            **sizes(net),
            "weights_sha256": fingerprint.net_digest(net),
        }
        for role, net in nets.items()
        if net is not None
    }


def confirmed(folder, role: str, load: Callable):
    """The folder of a finished run, after a look at what it wrote; tells the user.

    Args:
        folder: the `run_folder.RunFolder`.
        role: "teacher" or "student".
        load: path -> net.

    Raises:
        ValueError: a file is not the one that the run wrote.
    """
    run_files.check_all(folder, load)
    print(f"{role}: {folder.path} is finished, there is nothing to train.")
    for name in run_inputs.changed_code(files.read_json(folder.result)):
        print(
            f"note: {folder.path} was made with another {name}, and is of that one; "
            "another --train_dir trains anew"
        )
    return folder


def save(folder, settings, trainer, entries: Mapping, save_net: Callable) -> None:
    """Saves the trained nets and the result, and prints the final table.

    `result.json` is written last: it marks the run as finished.

    Args:
        folder: the `run_folder.RunFolder`.
        settings: the `settings.Options`.
        trainer: the `trainer.Trainer` that ran.
        entries: what `measure` returned.
        save_net: (net, path) -> None.
    """
    save_net(trainer.deployed, folder.student)
    if any(phase.trains_teacher for phase in trainer.phases):
        save_net(trainer.teacher, folder.teacher)
    result = {
        **entries,
        "best_on_validation": metrics_table.best_epoch(folder.metrics),
        "forward_passes": metrics_table.forward_passes(folder.metrics),
        "epochs": len(metrics_table.read(folder.metrics)),  # all phases'
        # Of any session, whatever the last one's flag; it changes no number.
        "teacher_cache": metrics_table.reads_cache(folder.metrics),
        cache_difference.KEY: folder.read_config().get(cache_difference.KEY),
        "wall_seconds": trainer.wall_seconds,
        **continuation.record(settings),
        "settings": settings.config(),
        **folder.records(),
        "files": run_files.digests(folder.path),
    }
    files.write_json(folder.result, result)
    print(report.table(entries))
    if "continues" in result:
        before = result["continues"]
        total = before["epochs"] + result["epochs"]
        print(f"continues {before['run']}: {total} epochs in all")
    print(f"saved {folder.student}")
