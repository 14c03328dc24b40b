"""What must hold of the source itself. The layers are checked by `make layers`, the types by `make types`."""

import ast
import re
import resource
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import deepsport

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "deepsport"
MODULES = sorted(PACKAGE.rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked() -> Iterator[tuple[str, str]]:
    """Name and text of every text file under version control."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of tracked files")
    for file in filter(None, listed.stdout.split("\0")):
        try:
            yield file, (ROOT / file).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """Functions and methods with their dotted name; what is nested in a function belongs to it."""
    waiting: list[tuple[str, ast.AST]] = [("", ast.parse(path.read_text(encoding="utf-8")))]
    while waiting:
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield f"{name(path)}:{child.lineno} {prefix}{child.name}", child
            elif isinstance(child, ast.ClassDef | ast.If | ast.Try | ast.With):
                waiting.append((f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix, child))


def n_lines(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_the_house_has_functions_to_look_at() -> None:
    assert sum(1 for path in MODULES for _ in functions(path)) > 50


def test_no_function_is_longer_than_a_screen() -> None:
    sizes = sorted(n_lines(function) for path in MODULES for _, function in functions(path))
    print(f"\n{len(sizes)} functions: median {statistics.median(sizes):.0f} lines, nine in ten <= {sizes[len(sizes) * 9 // 10]}")
    assert [where for path in MODULES for where, function in functions(path) if n_lines(function) > 60] == []


def test_no_file_is_longer_than_350_lines() -> None:
    sizes = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    written = [size for size in sizes.values() if size > 3]
    print(f"\n{len(written)} files: median {statistics.median(written):.0f} lines, longest {max(written)}")
    assert [(file, size) for file, size in sizes.items() if size > 350] == []


def test_every_public_function_says_what_it_does() -> None:
    def public(where: str) -> bool:
        return not any(part.startswith("_") for part in where.split(" ")[1].split("."))

    silent = [
        where for path in MODULES for where, function in functions(path) if public(where) and not ast.get_docstring(function)
    ]
    assert silent == []


def test_every_file_begins_with_its_decision() -> None:
    heads = {name(path): ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES}
    empty = {name(path) for path in MODULES if not path.read_text(encoding="utf-8").strip()}
    assert [file for file, head in heads.items() if file not in empty and not 1 <= len((head or "").splitlines()) <= 12] == []


def runs_code_from_files(node: ast.AST) -> bool:
    """Unpickling, eval and exec, remote code: anything by which a data file becomes a program."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        return any(module.split(".")[0] in {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"} for module in modules)
    if isinstance(node, ast.keyword):
        return node.arg in {"trust_remote_code", "allow_pickle"}
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"eval", "exec", "compile", "torch.load", "yaml.load"}
    return False


def test_the_package_runs_no_code_from_files() -> None:
    trees = {name(path): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    guilty = [
        f"{file}:{getattr(node, 'lineno', 0)}"
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if runs_code_from_files(node)
    ]
    assert guilty == []


@pytest.mark.parametrize(
    "code", ["import pickle", "from joblib import load", "eval(x)", "f(trust_remote_code=True)", "torch.load(p)"]
)
def test_code_from_files_is_recognised_where_it_is_run(code: str) -> None:
    assert any(runs_code_from_files(node) for node in ast.walk(ast.parse(code)))


VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def test_no_file_is_called_something_vague() -> None:
    assert [name(path) for path in MODULES if path.stem in VAGUE or path.parent.name in VAGUE] == []


# Spelt in two halves, so that this file does not contain what it forbids.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "download" + ".pytorch.org",
    "npm" + "js.org",
    "deb" + ".debian.org",
    "ana" + "conda.org",
]
MACHINE = ["/wo" + "rk/", "/ro" + "ot/", "/opt/" + "wheels"]


@pytest.mark.parametrize("forbidden", [*REGISTRIES, *MACHINE])
def test_no_tracked_file_names_a_registry_host_or_a_path_of_one_machine(forbidden: str) -> None:
    assert [file for file, text in tracked() if forbidden in text] == []


def test_the_lock_holds_names_and_versions_only_and_every_direct_dependency() -> None:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", line)] == []
    locked = {canonical(line.split("==")[0]) for line in lines}
    apart = "".join((ROOT / "engines" / file).read_text() for file in ("Makefile", "verl.txt"))  # not to be had beside the rest
    assert [need for need in direct_dependencies() if need not in locked and f"{need}==" not in apart] == []


def canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def direct_dependencies() -> list[str]:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(need for extra in project["optional-dependencies"].values() for need in extra)]
    return [canonical(re.split(r"[<>=\[ ]", need)[0]) for need in wanted]


def imported_packages() -> set[str]:
    found: set[str] = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


def test_the_package_imports_nothing_that_it_does_not_depend_on() -> None:
    known = {"PIL": "pillow"}
    foreign = imported_packages() - set(sys.stdlib_module_names) - {"deepsport"}
    parts = {"pydantic-core", "markupsafe", "starlette", "anyio"}  # of pydantic, jinja2, and the last two of fastapi
    provided = {*direct_dependencies(), *parts}
    assert [package for package in sorted(foreign) if canonical(known.get(package, package)) not in provided] == []


def cpu_seconds(*command: str) -> float:
    """User and system time of a child, the best of three."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))


HELP = "import sys; sys.argv = ['deepsport', '--help']\nfrom deepsport.cli.main import app\ntry: app()\nexcept SystemExit: pass"


@pytest.mark.parametrize("code", ["import deepsport", HELP], ids=["import deepsport", "deepsport --help"])
def test_starting_takes_under_half_a_second_of_cpu_and_loads_neither_torch_nor_transformers(code: str) -> None:
    check = f"{code}\nimport sys; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    seconds = cpu_seconds(sys.executable, "-c", check)
    print(f"\n{seconds:.2f} s of CPU")
    assert seconds < 0.5


def test_the_wheel_holds_the_package_the_type_marker_the_licence_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"deepsport-{deepsport.__version__}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    assert {"deepsport/py.typed", f"deepsport-{deepsport.__version__}.dist-info/licenses/LICENSE"} <= set(names)
    assert {entry.split("/")[0] for entry in names} == {"deepsport", f"deepsport-{deepsport.__version__}.dist-info"}
    shipped = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {entry for entry in names if entry.startswith("deepsport/")} == shipped
