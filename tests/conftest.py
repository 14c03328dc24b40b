"""What every test may ask for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# CI repeats itself: the same examples every time, and no clock. At a desk every run looks somewhere new.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a fixture of their module stay on one worker, so that it is made once and not by every worker."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("xdist_group") is None:
            made = item._fixtureinfo.name2fixturedefs.values()  # pytest has no public way to ask
            if any(definition.scope == "module" for definitions in made for definition in definitions):
                item.add_marker(pytest.mark.xdist_group(item.path.relative_to(ROOT).as_posix()))


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """`shared/` beside the project: published annotation samples and tokenizer files that are not ours to ship."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder shared/ is not beside the project, so what it holds cannot be compared with")
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation site, built once as `make docs` builds it: a warning is an error. (Under --quiet it would be none.)"""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
