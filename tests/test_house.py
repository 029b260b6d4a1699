"""How the code is written, where no tool looks."""

import ast
from pathlib import Path

import deblur

EMPTY = {"found", "known", "there"}


def test_variables_are_called_what_they_hold():
    for file in Path(deblur.__file__).parent.rglob("*.py"):
        nodes = [*ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
        names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        names |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar)}
        assert not names & EMPTY, file
