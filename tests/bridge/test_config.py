"""Settings: every field explains itself, and `--help` shows what it says."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re

import pytest

from bridge import config
from bridge.__main__ import main

COMMANDS = {
    "serve": config.ServeConfig,
    "models": config.ModelsConfig,
    "call": config.CallConfig,
    "top": config.TopConfig,
    "doctor": config.DoctorConfig,
}


def docstrings(kind):
    """Return the string that stands under each field of a dataclass."""
    body = ast.parse(inspect.getsource(kind)).body[0].body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def said(capsys, *arguments):
    """Return what `--help` prints, without frames and line breaks."""
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    return re.sub(r"[\s│╭╮╰╯─]+", "", re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out))


@pytest.mark.parametrize("kind", [*COMMANDS.values(), config.Limits])
def test_every_field_has_a_docstring(kind):
    assert set(docstrings(kind)) == {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_prints_every_fields_docstring(capsys, command):
    text = said(capsys, command)
    kinds = [COMMANDS[command], *([config.Limits] if command == "serve" else [])]
    for kind in kinds:
        assert "".join(kind.__doc__.split()) in text
        for name, docstring in docstrings(kind).items():
            if name != "limits":
                assert "".join(docstring.split()) in text, name


def test_help_lists_the_commands(capsys):
    text = said(capsys)
    for command, kind in COMMANDS.items():
        assert command in text
        assert "".join(kind.__doc__.split()) in text


@pytest.mark.parametrize("arguments", [[], ["fly"], ["serve", "--colour", "red"], ["serve", "--port", "many"], ["call"]])
def test_unusable_arguments_end_with_code_2_and_a_reason(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.strip()
