"""The code that digests leave out only lets numbers pass or raises."""

import ast
from pathlib import Path

import pytest

import vaelib
from vaelib.deciding import _is_check, deciding

MODULES = sorted(Path(vaelib.__file__).parent.rglob("*.py"))

CODE = '''
"""Words."""
from elsewhere import check_shape, other


def check_sign(x):
    if x < 0:
        raise ValueError(x)


def f(x):
    """Words."""
    check_shape(x)
    numpy.check_sign(x)
    if x is None:
        raise ValueError("no x")
    for each in x:
        if each:
            raise ValueError(each)
        x = other(each)
    if x > 1:
        raise ValueError
    elif x > 0:
        return 1
    return check(x)
'''

LEFT = """
from elsewhere import other


def f(x):
    for each in x:
        x = other(each)
    if x > 1:
        raise ValueError
    elif x > 0:
        return 1
    return check(x)
"""


def test_what_only_raises_and_words_are_left_out():
    assert ast.dump(deciding(ast.parse(CODE))) == ast.dump(ast.parse(LEFT))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_functions_called_check_return_nothing_and_write_nowhere(path):
    """Else a number could hang on one, and its row would not know."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _is_check(node.name):
            inside = list(ast.walk(node))
            assert not [each for each in inside if isinstance(each, ast.Return) and each.value], node.name
            assert not [
                each for each in inside if isinstance(each, ast.Yield | ast.YieldFrom | ast.Global | ast.Nonlocal)
            ]
            targets = [t for each in inside if isinstance(each, ast.Assign) for t in each.targets]
            assert not [t for t in targets if isinstance(t, ast.Attribute | ast.Subscript)], node.name
        if isinstance(node, ast.Call) and _is_check(ast.unparse(node.func)):
            assert id(node) in statements, f"{path.name}:{node.lineno} takes what a check returns"
