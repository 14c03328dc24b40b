"""`deepsport serve`: an OpenAI-compatible server whose every answer comes from the whole agent loop."""

from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.ask import open_actor
from deepsport.cli.plain import plain, plain_errors


def serve(
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings, as key=value.", show_default=False)] = None,
    *,
    model: Annotated[str | None, typer.Option(help="nano (the default), a checkpoint folder, a hub id, a served name.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Address of the OpenAI-compatible server that the model is on.")] = None,
    native_tools: Annotated[bool, typer.Option("--native-tools", help="Offer the tool as a function of that endpoint.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen at; one that others can reach wants a key.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="8000 unless told otherwise; 0 takes one that is free.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called by clients.")] = None,
    folder: Annotated[list[Path] | None, typer.Option(help="A folder whose videos requests may name; may be repeated.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="A host that videos may be fetched from; may be repeated.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests answered at once.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A TOML file of settings; options and key=value come before it.")] = None,
) -> None:
    """Answer questions about videos over the OpenAI API: the answer is that of an agent which has looked, its trace beside it.

    \b
    deepsport serve
    deepsport serve --model Qwen/Qwen2.5-VL-7B-Instruct --folder footage --port 9000
    deepsport serve --endpoint http://localhost:8000/v1 --model my-model --port 9000 --allow-host videos.example.org
    deepsport serve queue=8 ceilings.max_turns=4 media.max_bytes=50000000

    \b
    The key that requests must carry is read from DEEPSPORT_API_KEY. Videos come in the request itself; local folders and
    other hosts are off unless allowed. SIGTERM lets what runs come to its end; a second one ends at once.
    """
    options: dict[str, object] = {"host": host, "port": port, "model": name, "concurrency": concurrency}
    options |= {"media.folders": [str(each.resolve()) for each in folder or ()] or None, "media.hosts": allow_host or None}
    with plain_errors():
        from deepsport.bench.recipe import as_settings
        from deepsport.config import load
        from deepsport.serve.chat.settings import ServeConfig
        from deepsport.serve.guard import require_bindable

        config = load(ServeConfig, recipe, [*(overrides or []), *as_settings(options)])
        require_bindable(config.host, config.key, f"Export {config.key_env or 'DEEPSPORT_API_KEY'}")
        from deepsport.serve.chat.serving import serve_chat

        actor = open_actor(model, endpoint, native_tools)
        shown = config.shown_name(actor.policy.name)
        serve_chat(config, actor, on_ready=lambda url: typer.echo(plain(f"{shown} at {url}   (stop with Ctrl-C)")))
