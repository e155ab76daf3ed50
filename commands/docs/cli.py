"""docs/cli.md: the help of every command."""

from collections.abc import Iterator

import click

WIDTH = 100  # of the help, whatever terminal this runs in


def describe_commands() -> str:
    """The document."""
    from mailscope import cli  # the front door imports this room

    lines = ["# Commands", "", "What `mailscope COMMAND --help` says."]
    for path, help_text in every_command(cli):
        lines += ["", f"{'#' * min(len(path) + 1, 4)} {' '.join(path)}", "", "```text", *help_text.splitlines(), "```"]
    return "\n".join(lines) + "\n"


def every_command(command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[tuple[str, ...], str]]:
    """(the words that are typed, the help) of a command and of all below it, in the order of their names."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH, "color": False}
    context = click.Context(command, parent, info_name=command.name if parent else "mailscope", **settings)
    yield tuple(context.command_path.split()), command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from every_command(below, context)
