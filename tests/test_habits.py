"""The files that outsiders look for: whole, valid, and true of this repository."""

import ast
import hashlib
import pathlib
import re

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
# Of the text that the Apache Software Foundation publishes, LICENSE-2.0.txt.
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
CONTRIBUTORS = "the contributors of this repository"
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def text(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_licence_is_the_standard_text():
    first, rest = text("LICENSE").split("\n\n", maxsplit=1)
    assert re.fullmatch(rf"Copyright \d{{4}} {CONTRIBUTORS}\.", first)
    assert hashlib.sha256(rest.encode()).hexdigest() == APACHE_2


def versions() -> list[tuple[str, str]]:
    """(version, date) of the changelog, "" of what has none yet."""
    return re.findall(r"^## \[(.+?)\](?: - (\S+))?$", text("CHANGELOG.md"), re.M)


def test_the_changelog_can_be_tagged():
    (head, date), *released = versions()
    assert (head, date) == ("Unreleased", "")
    assert released and all(re.fullmatch(r"\d+\.\d+\.\d+", v) for v, _ in released)
    numbers = [tuple(map(int, v.split("."))) for v, _ in released]
    dates = [date for _, date in released]
    assert numbers == sorted(set(numbers), reverse=True)
    assert dates == sorted(dates, reverse=True) and all(
        re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in dates
    )
    for part in re.split(r"^## ", text("CHANGELOG.md"), flags=re.M)[1:]:
        kinds = re.findall(r"^### (.+)$", part, re.M)
        assert kinds and len(kinds) == len(set(kinds)) and set(kinds) <= KINDS


def test_the_citation_names_nobody_who_is_not():
    cited = yaml.safe_load(text("CITATION.cff"))
    assert cited["cff-version"] == "1.2.0" and cited["license"] == "Apache-2.0"
    assert cited["authors"] == [{"name": CONTRIBUTORS}]
    assert cited["version"] == versions()[1][0]
    assert not re.search(r"https?:|doi|orcid|@", text("CITATION.cff"), re.I)


def test_each_commit_is_linted_by_make_lint():
    (repo,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    (hook,) = repo["hooks"]
    assert (repo["repo"], hook["entry"], hook["language"]) == (
        "local",
        "make lint",
        "system",
    )
    (needs,) = re.findall(r"^lint: (.+)$", MAKEFILE, re.M)
    assert "typecheck" in needs.split() and "make lint" in text(".ci/run")


def test_the_workflow_calls_ci_run_on_every_python():
    (job,) = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"].values()
    assert [s["run"] for s in job["steps"] if "run" in s] == [".ci/run"]
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", u) for u in used)
    ((least, most),) = re.findall(r"\(3, (\d+)\) <= v <= \(3, (\d+)\)", MAKEFILE)
    expected = [f"3.{minor}" for minor in range(int(least), int(most) + 1)]
    assert job["strategy"]["matrix"]["python"] == expected


def requirements(name: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in text(name).splitlines())
    return [Requirement(x) for x in lines if x and not x.startswith("-r")]


def test_the_tested_versions_are_in_range():
    pins = {}
    for pin in requirements("constraints.txt"):
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin
        pins[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")
    wanted = requirements("requirements.txt") + requirements("requirements-dev.txt")
    for one in wanted:
        assert one.specifier.contains(pins[canonicalize_name(one.name)]), one


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_lead_to_files(name):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text(name))
    assert links or name == "SECURITY.md"
    assert not [link for link in links if not (ROOT / link).exists()]
    assert f"({name})" in text("README.md")


def test_contributing_has_the_commands_that_make_knows():
    targets = set(re.findall(r"^([\w-]+):", MAKEFILE, re.M))
    command = re.compile(r"(?:^|`|=\S+ )make ([a-z-]+)", re.M)
    named = set(command.findall(text("CONTRIBUTING.md")))
    assert named and named <= targets
    paths = re.findall(r"\btests/\w+/test_[a-z_]+\.py", text("CONTRIBUTING.md"))
    assert paths and all((ROOT / path).exists() for path in paths)


def unsafe(tree: ast.AST) -> list[str]:
    """What SECURITY.md says that no code of ours does."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names]
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & {*modules}
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func) in ("eval", "exec", "os.system"):
                found.append(ast.unparse(node))
            for keyword in node.keywords:
                value = ast.unparse(keyword.value)
                if keyword.arg in ("safe_mode", "allow_pickle", "shell"):
                    is_safe = value == str(keyword.arg == "safe_mode")
                    found += [] if is_safe else [f"{keyword.arg}={value}"]
            if ast.unparse(node.func).endswith("enable_unsafe_deserialization"):
                found.append(ast.unparse(node))
    return found


def test_what_is_unsafe_is_found():
    for line in (
        "import pickle",
        "from pickle import loads",
        "np.load(path, allow_pickle=True)",
        "keras.saving.load_model(path, safe_mode=False)",
        "keras.config.enable_unsafe_deserialization()",
        "subprocess.run(command, shell=True)",
        "eval(text)",
    ):
        assert unsafe(ast.parse(line)), line
    assert not unsafe(ast.parse("np.load(path, allow_pickle=False)"))


def test_no_code_does_what_security_rules_out():
    rooms = (path for path in ROOT.glob("[!.]*/") if path.name != "tests")
    files = [
        *ROOT.glob("*.py"),
        *(path for room in rooms for path in room.rglob("*.py")),
    ]
    assert len(files) > 100
    found = {str(path): unsafe(ast.parse(path.read_text())) for path in files}
    assert not {path: what for path, what in found.items() if what}
