"""Modules under the names that they had before; each use gives a DeprecationWarning.

A room that modules have left takes its `__getattr__` from `keep_old_names`. An old name
is the same module as the new one, and `python -m OLD_NAME` runs the new one.
docs/api.md says how long.
"""

import importlib
import importlib.abc
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Mapping

NOTHING: Mapping[str, str] = types.MappingProxyType({})
MOVED = {
    "benchmarks.applications_taps": "docs.tables.applications_taps",
    "benchmarks.augmentation_speed": "speed.augmentation",
    "benchmarks.compatibility": "docs.tables.compatibility",
    "benchmarks.input_pipeline": "speed.input_pipeline",
    "benchmarks.method_costs": "speed.method_costs",
    "benchmarks.step_time": "speed.step_time",
    "benchmarks.teacher_cache": "speed.cached_teacher",
    "benchmarks.workload": "speed.workload",
    "comparison.accuracy_table": "comparison.report.accuracy_table",
    "comparison.block_model": "comparison.report.block_model",
    "comparison.block_seeds": "comparison.grid.block_seeds",
    "comparison.blocks": "comparison.report.parts",
    "comparison.cells": "comparison.grid.cells",
    "comparison.conditions": "comparison.report.conditions",
    "comparison.contents": "comparison.report.sections",
    "comparison.cost_plot": "comparison.report.plots.cost",
    "comparison.data_files": "comparison.report.data_files",
    "comparison.differences": "comparison.report.differences",
    "comparison.dunnett": "comparison.report.dunnett",
    "comparison.estimate": "comparison.grid.estimate",
    "comparison.figures": "comparison.report.plots.drawing",
    "comparison.grid_flags": "comparison.grid.flags",
    "comparison.heat_map": "comparison.report.plots.heat_map",
    "comparison.idle_axes": "comparison.grid.idle_axes",
    "comparison.launch": "comparison.grid.launch",
    "comparison.listing": "comparison.grid.listing",
    "comparison.markdown": "comparison.report.markdown",
    "comparison.page": "comparison.report.page",
    "comparison.plots": "comparison.report.plots.accuracy",
    "comparison.progress": "comparison.grid.progress",
    "comparison.published": "comparison.report.published",
    "comparison.published_table": "comparison.report.published_table",
    "comparison.record": "comparison.grid.record",
    "comparison.references": "comparison.report.references",
    "comparison.replication": "comparison.report.replication",
    "comparison.runner": "comparison.grid.runner",
    "comparison.search": "comparison.grid.search",
    "comparison.statistics": "comparison.report.spread",
    "comparison.summary": "comparison.report.summary",
    "comparison.tables": "comparison.report.tables",
    "dataloader.autotune": "dataloader.without_autotuning",
    "dataloader.distortion": "dataloader.strong_augmentation",
    "dataloader.kept": "dataloader.result_cache",
    "dataloader.streams": "dataloader.random_streams",
    "distiller.adjacent_levels": "distiller.framework.adjacent_levels",
    "distiller.base": "distiller.framework.base",
    "distiller.composition": "distiller.framework.composition",
    "distiller.fit_arrays": "keras_fit.arrays",
    "distiller.fit_callbacks": "keras_fit.callbacks",
    "distiller.fit_checkpoint": "keras_fit.checkpoint",
    "distiller.fit_data": "keras_fit.data",
    "distiller.fit_files": "keras_fit.files",
    "distiller.fit_history": "keras_fit.history",
    "distiller.fit_means": "keras_fit.means",
    "distiller.fit_options": "keras_fit.options",
    "distiller.fit_steps": "keras_fit.steps",
    "distiller.fit_values": "keras_fit.values",
    "distiller.fit_variables": "keras_fit.variables",
    "distiller.fit_weights": "keras_fit.weights",
    "distiller.hyperparameters": "distiller.framework.hyperparameters",
    "distiller.keras_model": "keras_fit.model",
    "distiller.registration": "distiller.framework.registration",
    "distiller.specs": "distiller.framework.specs",
    "distiller.tap_pairs": "distiller.framework.tap_pairs",
    "nets.applications": "nets.brought.applications",
    "nets.archives": "nets.brought.archives",
    "nets.before_activation": "nets.brought.before_activation",
    "nets.found_taps": "nets.brought.found_taps",
    "nets.h5_files": "nets.brought.h5_files",
    "nets.keras_errors": "nets.brought.keras_errors",
    "nets.kinds": "nets.brought.kinds",
    "nets.model_check": "nets.brought.model_check",
    "nets.model_files": "nets.brought.model_files",
    "nets.model_state": "nets.brought.model_state",
    "nets.narrowed": "nets.narrowing.narrowed",
    "nets.net_sizes": "nets.sizes",
    "nets.opened": "nets.brought.opened",
    "nets.own_classes": "nets.brought.own_classes",
    "nets.pickle_reader": "nets.published.pickle_reader",
    "nets.preprocessing": "nets.brought.preprocessing",
    "nets.profile": "nets.costs",
    "nets.published_keys": "nets.published.keys",
    "nets.published_weights": "nets.published.weights",
    "nets.scaling": "nets.brought.scaling",
    "nets.stages": "nets.brought.stages",
    "nets.torch_file": "nets.published.torch_file",
    "nets.unit_head": "nets.brought.unit_head",
    "nets.width_axes": "nets.narrowing.axes",
    "nets.width_rules": "nets.narrowing.rules",
    "nets.width_rules_of_ops": "nets.narrowing.rules_of_ops",
    "nets.width_trace": "nets.narrowing.tracing",
    "nets.widths": "nets.narrowing.widths",
    "nets.wrap_check": "nets.brought.wrap_check",
    "nets.wrapped": "nets.brought.wrapped",
    "op_utils.array_facts": "teacher_cache.array_facts",
    "op_utils.array_file": "teacher_cache.array_file",
    "op_utils.best_net": "training.observers.best_net",
    "op_utils.cache_folder": "teacher_cache.store",
    "op_utils.cache_forecast": "forecast.of_cache",
    "op_utils.cache_gap": "training.run.cache_difference",
    "op_utils.cache_key": "teacher_cache.key",
    "op_utils.cache_options": "options.table",
    "op_utils.cache_plan": "teacher_cache.plan",
    "op_utils.cached_training": "teacher_cache.of_run",
    "op_utils.checkpoint": "training.checkpoint",
    "op_utils.class_results": "training.class_results",
    "op_utils.command_line": "options.command_line",
    "op_utils.computation": "training.run.fingerprint",
    "op_utils.continuation": "training.run.continuation",
    "op_utils.curves": "comparison.report.plots.curves",
    "op_utils.data_options": "options.table",
    "op_utils.dry_run": "forecast.dry_run",
    "op_utils.environment": "common.before_tensorflow",
    "op_utils.evaluation": "training.evaluation",
    "op_utils.factors": "op_utils.factor_distance",
    "op_utils.file_digest": "common.digests",
    "op_utils.files": "common.files",
    "op_utils.forecast": "forecast.of_run",
    "op_utils.gaps": "op_utils.squared_error",
    "op_utils.interruption": "common.interruption",
    "op_utils.kept_array": "teacher_cache.stored_array",
    "op_utils.kept_output": "training.teacher_outputs",
    "op_utils.kept_test_logits": "teacher_cache.evaluation_logits",
    "op_utils.keras_optimizer": "keras_fit.optimizer",
    "op_utils.known_to_keras": "options.user_code",
    "op_utils.metrics_table": "training.observers.metrics_table",
    "op_utils.net_options": "options.settings",
    "op_utils.normalisation": "training.normalisation",
    "op_utils.observer": "training.observers.observer",
    "op_utils.optimizer": "training.optimizer",
    "op_utils.option": "options.option",
    "op_utils.option_flags": "options.flags",
    "op_utils.options": "options.settings",
    "op_utils.origin": "common.origin",
    "op_utils.outcome": "training.run.run_result",
    "op_utils.outputs_read": "teacher_cache.outputs_read",
    "op_utils.phase_run": "training.trainer",
    "op_utils.progress": "training.observers.progress",
    "op_utils.provenance": "training.run.provenance",
    "op_utils.quantities": "common.quantities",
    "op_utils.recipe": "training.recipe",
    "op_utils.replicas": "training.replicas",
    "op_utils.report": "training.report",
    "op_utils.run_files": "training.run.run_files",
    "op_utils.run_folder": "training.run.run_folder",
    "op_utils.run_inputs": "training.run.run_inputs",
    "op_utils.run_observers": "training.observers",
    "op_utils.schedule": "training.schedule",
    "op_utils.step": "training.step",
    "op_utils.teacher_cache": "teacher_cache.batches",
    "op_utils.teacher_check": "training.teacher_check",
    "op_utils.tensorboard": "training.observers.tensorboard",
    "op_utils.totals": "training.totals",
    "op_utils.trainer": "training.trainer",
    "op_utils.user_code": "options.user_code",
    "op_utils.views": "op_utils.rotated_views",
}
# What was a module and is a room: its names are those of a module in it.
NOW_ROOMS = {
    "comparison.grid": "comparison.grid.definition",
    "comparison.report": "comparison.report.report_files",
}


def keep_old_names(room: str, lazy: Mapping[str, str] = NOTHING) -> Callable:
    """Lets Python find the modules that have left a room by their old names.

    Args:
        room: the package's name.
        lazy: attribute of it -> the module that has it, imported when it is asked for.

    Returns:
        Its `__getattr__`: `import distiller` gave `distiller.base`, too.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())  # the last: it costs nothing what is there

    def get(name: str):
        old = f"{room}.{name}"
        if name in lazy:
            return getattr(importlib.import_module(lazy[name]), name)
        if old not in MOVED:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        _warn(old, MOVED[old])
        module = sys.modules.setdefault(old, importlib.import_module(MOVED[old]))
        setattr(sys.modules[room], name, module)  # as an import does; it warns once
        return module

    return get


def names_of(room: str) -> Callable:
    """The `__getattr__` of a room of `NOW_ROOMS`."""

    def get(name: str):
        # `from ROOM import MODULE` asks the room first.
        is_own = name[0] == "_" or importlib.util.find_spec(f"{room}.{name}")
        module = None if is_own else importlib.import_module(NOW_ROOMS[room])
        if is_own or not hasattr(module, name):
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        _warn(f"{room}.{name}", f"{NOW_ROOMS[room]}.{name}")
        return getattr(module, name)

    return get


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname not in MOVED:
            return None
        new = MOVED[fullname]
        origin = importlib.util.find_spec(new).origin  # what runpy takes for the script
        return importlib.util.spec_from_loader(fullname, _Loader(new), origin=origin)


class _Loader(importlib.abc.InspectLoader):
    """Gives the module of the new name.

    Args:
        name: the new name.
    """

    def __init__(self, name: str):
        self._name = name
        self._own = None

    def create_module(self, spec):
        _warn(spec.name, self._name)
        module = importlib.import_module(self._name)
        self._own = module.__spec__, module.__loader__
        return module

    def exec_module(self, module):
        # It has run; Python has meanwhile written the old name's spec into it.
        module.__spec__, module.__loader__ = self._own

    def get_source(self, fullname):
        return self._loader().get_source(self._name)

    def get_code(self, fullname):
        # runpy asks for it, that is `python -m`: as the command's own, it is shown.
        text = _text(fullname, self._name)
        warnings.warn_explicit(text, DeprecationWarning, fullname, 1, "__main__")
        return self._loader().get_code(self._name)

    def _loader(self):
        return importlib.util.find_spec(self._name).loader


def _warn(old: str, new: str) -> None:
    warnings.warn(_text(old, new), DeprecationWarning, stacklevel=3)


def _text(old: str, new: str) -> str:
    return f"{old} has moved to {new}; the old name goes after a year"
