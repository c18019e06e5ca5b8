"""Who may import whom, so that packages stay usable and testable by themselves."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = {"nets", "distiller", "op_utils", "dataloader", "comparison"}

# Parts of op_utils that methods use: pure, so they know nothing of the training.
PURE = (
    "attention",
    "boundary_attack",
    "channel_products",
    "class_sampling",
    "class_weights",
    "connectors",
    "contrastive",
    "divergence",
    "embeddings",
    "factors",
    "forward_count",
    "gaps",
    "gradient_clipping",
    "graph_attention",
    "image_weights",
    "input_gradients",
    "level_weights",
    "margins",
    "memory_bank",
    "norms",
    "pairwise",
    "pooling",
    "singular_vectors",
    "vector_relations",
    "views",
)

# Package -> beginnings of the project's modules that it may import, but its own.
ALLOWED = {
    # The one writer of files, which knows nothing but files.
    "nets": ("common.files",),
    "dataloader": ("common.files",),
    "op_utils": (),
    "distiller": ("nets.taps", *(f"op_utils.{name}" for name in PURE)),
    # Of all packages the last: none of the others may know it.
    "comparison": ("nets", "distiller", "op_utils", "dataloader"),
}

# Command-line modules report wrong input as the scripts do, and nothing imports them.
COMMANDS = {
    "nets/import_weights.py": ("options.command_line", "common.before_tensorflow")
}
EXCEPTIONS = {
    **COMMANDS,
    # Where all come together for `fit`, as they do in the scripts.
    "keras_fit/model.py": (
        "nets.brought.wrapped",
        "keras_fit.optimizer",
        "training.replicas",
        "training.step",
    ),
    "keras_fit/checkpoint.py": ("common.files",),
    "keras_fit/means.py": ("training.totals",),
    "keras_fit/options.py": ("nets.base", "op_utils.mixed_labels"),
    "keras_fit/steps.py": ("op_utils.mixed_labels",),
    "keras_fit/values.py": ("nets.base",),
    # What is registered is the user's.
    "distiller/registry.py": ("common.origin",),
    "nets/registration.py": ("common.origin",),
}


def imported(path: pathlib.Path) -> set[str]:
    """Modules of the project that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_keep_their_distance(package):
    allowed = (f"{package}.", *ALLOWED[package])
    files = sorted((ROOT / package).glob("**/*.py"))
    assert files
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        known = (package, *allowed, *EXCEPTIONS.get(name, ()))
        strangers = [n for n in imported(path) if not n.startswith(known)]
        assert not strangers, f"{name} imports {strangers}"


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_imports_a_command_line_module(name):
    module = name.removesuffix(".py").replace("/", ".")
    for package in PACKAGES:
        for path in (ROOT / package).glob("**/*.py"):
            assert module not in imported(path), path


@pytest.mark.parametrize("name", (*PURE, "metrics"))
def test_shared_mathematics_knows_nothing_of_the_training(name):
    found = imported(ROOT / f"op_utils/{name}.py")
    assert found <= {n for n in found if n.split(".")[1] in PURE}


def test_op_utils_init_is_empty():
    assert (ROOT / "op_utils/__init__.py").read_text() == ""


def test_only_scripts_and_flag_modules_know_flags():
    known = {"command_line.py", "option_flags.py", "curves.py", "import_weights.py"}
    known |= {"grid_flags.py"}
    users = {
        path.name
        for package in PACKAGES
        for path in (ROOT / package).glob("**/*.py")
        if "import flags" in path.read_text() or "absl import app" in path.read_text()
    }
    assert users == known


def test_scripts_stay_short():
    for script in ("train_w_distill.py", "test.py"):
        assert len((ROOT / script).read_text().splitlines()) <= 150
