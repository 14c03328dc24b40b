"""The Python API, as `import deepsport as ds` offers it: `ask`, `evaluate`, `load_run`, `Video`, and their async twins.

Sync calls work anywhere, inside the running event loop of a notebook too. In IPython, episodes show themselves as pages.
"""

from deepsport.api.notebook import show_in_notebooks

show_in_notebooks()
