"""What every method of the registry has to keep; new methods are tested by it, too.

With the fast tests those methods alone that `tests/seams.py` lists, with `-m slow` all.
"""

import dataclasses
import functools
import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import distiller
from distiller import registry
from distiller.framework import hyperparameters
from tests import fakes
from tests.cases import (
    every_case,
    every_case_but_slow_to_compile,
    every_method,
    every_method_that_runs,
)


@functools.cache
def nets() -> tuple[fakes.Net, fakes.Net]:
    """Student and teacher of equal shape. Do not change their weights.

    Both classify the first image of the batch correctly: BSS attacks no others.
    """
    return fakes.Net(seed=1), fakes.Net(seed=53)


def build(case, student, teacher, batch_size=4):
    name, hparams = case
    spec = distiller.resolve(name, hparams)
    keras.utils.set_random_seed(1)
    taps = teacher.tap_specs if spec.uses_teacher else {}
    return spec.build(student.tap_specs, taps, fakes.data(batch_size))


@dataclasses.dataclass
class Step:
    """What one step of one phase gives."""

    phase: distiller.Phase
    terms: dict[str, tf.Tensor]
    own_gradients: list
    student_gradients: list
    teacher_gradients: list


def run(method, student, teacher, batch, functions=None) -> list[Step]:
    """A step of every phase, as the trainer takes it.

    Args:
        method: with variables for these nets.
        student: a net.
        teacher: a net.
        batch: without what the method draws.
        functions: `functions_of(method)`, compiled; without them the step is eager.
    """
    teacher = teacher if method.uses_teacher else None
    batch = {**batch, **method.draw(batch)}
    own = has_forwards(method)

    def forwards():
        given = method.teacher_forward(teacher, student, batch) if teacher else None
        return method.student_forward(student, teacher, batch, given), given

    # A forward of its own may need the tape; the default one need not be compiled.
    # Copies, because one map may be two taps, and each has a gradient of its own.
    outputs = (
        forwards
        if own
        else tf.nest.map_structure(
            lambda x: None if x is None else tf.identity(x), forwards()
        )
    )
    functions = functions or functions_of(method, lambda function: function)
    return [
        Step(phase, *function(batch, outputs))
        for phase, function in zip(method.phases(), functions, strict=True)
    ]


def has_forwards(method) -> bool:
    return method.overrides("student_forward") or method.overrides("teacher_forward")


def functions_of(method, compiler) -> list:
    """For each phase, (batch, outputs or what gives them) -> terms and gradients."""

    def gradients(phase, batch, outputs):
        with tf.GradientTape(persistent=True) as tape:
            if not callable(outputs):
                tape.watch(tensors(outputs))
            seen, given = outputs() if callable(outputs) else outputs
            tape.watch(tensors((seen, given)))
            terms = phase.loss(seen, given, batch)
            total = tf.add_n(list(terms.values())) if terms else tf.constant(0.0)
        sources = method.trainable_variables, tensors(seen), tensors(given)
        return (terms, *[tape.gradient(total, list(kind)) for kind in sources])

    return [compiler(functools.partial(gradients, phase)) for phase in method.phases()]


def tensors(outputs) -> list[tf.Tensor]:
    return [x for x in tf.nest.flatten(outputs) if x is not None]


@functools.cache
def compiled(case) -> tuple:
    """The method, and functions of its phases that XLA compiles only once."""
    method = build(case, *nets())
    return method, functions_of(method, tf.function(jit_compile=True, autograph=False))


@functools.cache
def step_of(case, jit=False) -> tuple:
    """The method and its step; eager, because one step takes less time than tracing."""
    method, functions = compiled(case) if jit else (build(case, *nets()), None)
    return method, run(method, *nets(), fakes.batch(), functions)


def is_finite(tensors):
    return all(np.isfinite(x).all() for x in tensors if x is not None)


@every_case
def test_terms_are_named_finite_float32_scalars(case):
    for step in step_of(case)[1]:
        for name, term in step.terms.items():
            assert isinstance(name, str) and name
            assert (term.shape, term.dtype) == ((), tf.float32), name
            assert np.isfinite(term), name


@every_case
def test_gradients_reach_the_student_and_the_own_variables_alone(case):
    method, steps = step_of(case)
    for step in steps:
        phase, own = step.phase, {id(v) for v in step.phase.own}
        for variable, gradient in zip(
            method.trainable_variables, step.own_gradients, strict=True
        ):
            where = f"{phase.name}: {variable.name} {variable.shape}"
            assert (gradient is not None) == (id(variable) in own), where
            # A bias in front of a batch norm has an exactly vanishing gradient.
            if gradient is not None and "bias" not in variable.name:
                assert np.any(gradient), where
        reached = any(np.any(g) for g in step.student_gradients if g is not None)
        assert reached == bool(step.terms and phase.trains_student), phase.name
        if not phase.trains_teacher:
            assert all(g is None for g in step.teacher_gradients), phase.name


@every_case
def test_phases_cover_all_variables(case):
    method, steps = step_of(case)
    names = [step.phase.name for step in steps]
    assert len(set(names)) == len(names)
    assert steps[-1].phase.length == "train"
    has_init_phase = any(step.phase.length == "init" for step in steps)
    # A variant may lack the phase that the method has.
    assert has_init_phase == method.has_init_phase or case[1] and not has_init_phase
    trained = {id(v) for step in steps for v in step.phase.own}
    assert trained == {id(v) for v in method.trainable_variables}
    for step in steps:
        assert len({id(v) for v in step.phase.own}) == len(step.phase.own)


@every_case_but_slow_to_compile
def test_xla_changes_nothing(case):
    for plain, compiled in zip(step_of(case)[1], step_of(case, True)[1], strict=True):
        assert list(plain.terms) == list(compiled.terms)
        for name, term in plain.terms.items():
            np.testing.assert_allclose(compiled.terms[name], term, rtol=1e-4)
        for kind in ("own_gradients", "student_gradients"):
            expected, found = getattr(plain, kind), getattr(compiled, kind)
            largest = max(
                (np.max(np.abs(g)) for g in expected if g is not None), default=0
            )
            for a, b in zip(expected, found, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    # The largest's share is for gradients that vanish up to rounding.
                    bound = 1e-3 * np.max(np.abs(a)) + 1e-5 * largest
                    np.testing.assert_allclose(b, a, rtol=0, atol=bound)


@every_case
def test_the_method_has_variables_of_its_own_only(case):
    method = step_of(case)[0]
    for variable in method.variables:
        assert variable.dtype in ("float32", "int32", "int64", "uint32"), variable.name
    student, teacher = nets()
    theirs = {id(v) for net in (student, teacher) for v in net.variables}
    assert not theirs & {id(v) for v in build(case, student, teacher).variables}


OTHER_NETS = {
    "wider": {"widths": (5, 7, 9)},
    "smaller maps": {"strides": (2, 2, 2)},
    "one stage more": {"widths": (4, 6, 8, 8), "strides": (1, 2, 2, 1)},
}


@functools.cache
def other_net(other) -> fakes.Net:
    return fakes.Net(**OTHER_NETS[other], seed=50)


@every_case
@pytest.mark.parametrize("other", OTHER_NETS)
@pytest.mark.parametrize("swap", [False, True])
def test_unequal_nets_work_or_are_refused(case, other, swap):
    pair = nets()[0], other_net(other)
    student, teacher = reversed(pair) if swap else pair
    may_refuse = registry.method_class(case[0]).equal_widths or other != "wider"
    try:
        method = build(case, student, teacher)
    except ValueError as error:
        assert may_refuse, error
        assert "Received: " in str(error)
        return
    # Of the method itself, since a variant may bring connectors.
    assert other != "wider" or not method.equal_widths, "nothing was refused"
    for step in run(method, student, teacher, fakes.batch()):
        assert is_finite(step.terms.values())


@every_case
def test_a_checkpoint_brings_all_variables_back(case, tmp_path):
    student, teacher = nets()
    method = build(case, student, teacher)
    kept = [scrambled(v) for v in method.variables]
    path = tf.train.Checkpoint(method=method).write(str(tmp_path / "c"))
    saved = [key for key, _ in tf.train.list_variables(path) if "OBJECT" not in key]
    counter = [key for key in saved if key.startswith("save_counter")]
    assert len(saved) - len(counter) == len(method.variables)
    for target in (method, build(case, student, teacher)):
        for variable in target.variables:
            variable.assign(tf.zeros_like(variable))
        tf.train.Checkpoint(method=target).read(path).assert_consumed()
        for variable, value in zip(target.variables, kept, strict=True):
            np.testing.assert_array_equal(variable, value)


def scrambled(variable) -> np.ndarray:
    """Gives the variable new values, none of them 0."""
    rng = np.random.default_rng(len(variable.shape))
    value = rng.integers(1, 9, size=variable.shape).astype(variable.numpy().dtype)
    variable.assign(value)
    return value


@every_case
def test_losses_stay_float32_under_mixed_precision(case):
    student, teacher = nets()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        method = build(case, student, teacher)
        steps = run(method, student, teacher, fakes.batch())
    finally:
        keras.config.set_dtype_policy("float32")
    for mixed, plain in zip(steps, step_of(case)[1], strict=True):
        for name, term in mixed.terms.items():
            assert term.dtype == tf.float32
            np.testing.assert_allclose(term, plain.terms[name], rtol=1e-4)


# Which channels of the student's and the teacher's stages are dead.
DEGENERATE = {
    "none": ([], []),
    "student's": (slice(None), []),
    "teacher's": ([], slice(None)),
    "all": (slice(None), slice(None)),
    "some": ([0, 2], [0, 1]),
}


@functools.cache
def degenerate_nets(dead) -> tuple[fakes.Net, fakes.Net]:
    of_student, of_teacher = DEGENERATE[dead]
    return fakes.Net(seed=1).kill(of_student), fakes.Net(seed=50).kill(of_teacher)


@every_case
@pytest.mark.parametrize(
    "dead",
    [
        "all",
        "some",
        "equal nets",
        *(pytest.param(d, marks=pytest.mark.slow) for d in ("student's", "teacher's")),
    ],
)
def test_degenerate_maps_in_a_batch_of_two_stay_finite(case, dead):
    student, teacher = (
        (nets()[0],) * 2 if dead == "equal nets" else degenerate_nets(dead)
    )
    method = build(case, student, teacher, batch_size=2)
    assert_finite(run(method, student, teacher, fakes.batch(2)))


@pytest.mark.slow
@every_case
def test_degenerate_maps_stay_finite_under_xla(case):
    """XLA's roots and powers have other gradients at 0."""
    step_of(case, jit=True)  # which needs the variables as they are at the start
    method, functions = compiled(case)
    if has_forwards(method):
        pytest.skip("the step is compiled for the nets of its forward")
    for dead in DEGENERATE:
        pair = degenerate_nets(dead)
        assert_finite(run(method, *pair, fakes.batch(), functions))


def assert_finite(steps):
    for step in steps:
        assert is_finite(step.terms.values()), step.terms
        assert is_finite(step.own_gradients), step.phase.name
        assert is_finite(step.student_gradients), step.phase.name


@every_method
def test_hyperparameters_are_annotated_and_documented(name):
    method = registry.method_class(name)
    docstring = inspect.getdoc(method)
    assert "https://" in docstring, "a link to the paper"
    found = hyperparameters.of(method)
    for one in found.values():
        assert one.description, f"{one.name} is not in the docstring's Args"
        assert one.default is not inspect.Parameter.empty, one.name
        assert one.annotation is not None, one.name
    # Each default, written as on the command line, is read as itself.
    written = [str(one) for one in found.values()]
    assert hyperparameters.read(name, method, written) == {
        key: one.default for key, one in found.items()
    }
    positional = [
        p.name
        for p in inspect.signature(method).parameters.values()
        if p.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert positional == ["student_taps", "teacher_taps", "data"]


@every_method
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused_at_once(name, bad):
    net, _ = nets()
    method = registry.method_class(name)
    for one in hyperparameters.of(method).values():
        if one.annotation is float:
            with pytest.raises(ValueError, match=f"{one.name}={bad}"):
                arguments = net.tap_specs, net.tap_specs, fakes.data()
                method(*arguments, **{one.name: bad})


@every_method_that_runs
def test_sums_with_other_methods_work(name):
    other = "AT" if name == "Soft_logits" else "Soft_logits"
    student, teacher = nets()
    method = build((f"{name}+{other}", ()), student, teacher)
    alone = build((name, ()), student, teacher)
    assert len(method.phases()) == len(alone.phases())
    assert len(method.variables) == len(alone.variables)
    *_, last = run(method, student, teacher, fakes.batch())
    prefixes = {term.split("/")[0] for term in last.terms}
    assert other.lower() in prefixes <= {name.lower(), other.lower()}


@every_case
def test_a_method_reads_labels_if_and_only_if_it_says_so(case):
    """Mixed images have two labels: only methods that say so can be kept from them."""
    method = compiled(case)[0]
    first = numbers_under(method, fakes.LABELS[[0, 3, 6, 9]])
    second = numbers_under(method, np.array([1, 1, 0, 0], np.int32))
    assert first.keys() == second.keys()
    differ = [key for key in first if not np.array_equal(first[key], second[key])]
    reads = bool(differ) or method.data.labels_were_read
    assert reads == registry.method_class(case[0]).needs_labels, differ


def numbers_under(method, labels) -> dict[str, np.ndarray]:
    """What a method draws, and its terms, if the batch has these labels."""
    kept = [v.numpy() for v in method.variables]
    student, teacher = nets()
    batch = {**fakes.batch(), "label": tf.constant(labels)}
    found = method.draw(batch)
    batch |= found
    given = method.teacher_forward(teacher, student, batch)
    seen = method.student_forward(student, teacher, batch, given)
    for phase in method.phases():
        terms = phase.loss(seen, given, batch)
        found |= {f"{phase.name}/{name}": term for name, term in terms.items()}
    for variable, value in zip(method.variables, kept, strict=True):
        variable.assign(value)
    return {name: np.asarray(value) for name, value in found.items()}
