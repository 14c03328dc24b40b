"""Files of the repository that pages link to, each as it is on a page of the site: recipes, examples."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def recipes_page() -> str:
    """Every recipe under a heading of its own."""
    return _page("recipes/*.toml", "toml")


def examples_page() -> str:
    """Every example under a heading of its own."""
    return _page("examples/*.py", "python")


def anchor(path: str) -> str:
    """Where a file stands on its page."""
    return Path(path).name.replace(".", "-")


def _page(pattern: str, language: str) -> str:
    files = sorted(ROOT.glob(pattern))
    return "\n\n".join(
        f"## {path.name} {{ #{anchor(path.name)} }}\n\n```{language}\n{path.read_text('utf-8').strip()}\n```" for path in files
    )
