"""`python -m deepsport.cli`, where the command is not on the path."""

from deepsport.cli.main import app

app(prog_name="deepsport")
