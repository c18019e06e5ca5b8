"""Who is told what happens in a run: terminal, table, TensorBoard, best net."""

from collections.abc import Callable


def of_run(folder, settings, role: str, sample, save: Callable) -> tuple:
    """The observers of a run in its folder.

    Args:
        folder: the `run_folder.RunFolder`.
        settings: the `settings.Options`.
        role: what is trained, "teacher" or "student".
        sample: uint8 [B, H, W, C], images of a batch.
        save: (net, path) -> None, atomic.
    """
    # Here: reading a metrics table alone, as a report does, needs no TensorBoard.
    from training.observers.best_net import BestNet
    from training.observers.metrics_table import MetricsTable
    from training.observers.progress import Progress
    from training.observers.tensorboard import TensorBoard

    return (
        Progress(settings.batch_size, role, settings.evaluate_every),
        MetricsTable(folder.metrics),
        TensorBoard(folder.tensorboard, settings.config(), sample),
        BestNet(folder.best_student, save),
    )
