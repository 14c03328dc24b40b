"""How pages are made: Jinja templates that escape everything, one style sheet inlined, nothing fetched and no script.

Model text, questions and file names are hostile until shown otherwise. Escaping makes them inert, and the page's own content
policy forbids scripts, requests and forms besides, should an escape ever be missed.
"""

from functools import cache
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

Template = Literal["card.html", "comparison.html", "diagnosis.html", "distill.html", "episode.html", "report.html"]


def render(template: Template, **values: object) -> Markup:
    """A filled-in template, safe to put into another one. Encodes to UTF-8 whatever text it was given."""
    text = _environment().get_template(template).render(values)
    return Markup(text.encode("utf-8", "replace").decode("utf-8"))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("deepsport.bench.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
