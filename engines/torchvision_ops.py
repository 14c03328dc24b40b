"""Lets torchvision's GPU build be imported beside a CPU build of torch: names the two operators that it expects to find.

Copied into an environment's site-packages with a `.pth` file that imports it at every start; it does nothing until torchvision is
imported.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

KEPT = "torchvision_ops.kept"


class BeforeTorchvision(MetaPathFinder):
    """Finds no module; is asked for all of them first."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """None: whoever comes next finds it."""
        if fullname == "torchvision" and KEPT not in sys.modules:
            sys.modules[KEPT] = sys  # importing torch asks for modules too
            import torch

            operators = torch.library.Library("torchvision", "FRAGMENT")
            for name in ("nms", "qnms"):
                operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            sys.modules[__name__].operators = operators  # they live as long as this does
        return None


sys.meta_path.insert(0, BeforeTorchvision())
