"""What a number depends on besides its configuration: Python, the platform and the installed packages."""

import platform
from importlib import metadata

PACKAGES = (
    "deepsport", "av", "numpy", "pillow", "pydantic", "openai", "torch", "transformers", "tokenizers", "safetensors", "peft",
)  # fmt: skip
"""The packages that can move a figure."""


def versions() -> dict[str, str]:
    """Python, platform and the installed packages that determine a number."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
