"""What of a piece of code can change a number: the rest is left out of the digests that name runs and recorded rows."""

import ast


def deciding(tree: ast.AST) -> ast.AST:
    """The tree itself, left with what can change a number that is returned.

    Docstrings go; so do checks, which let a number pass or raise: `if`s that hold a `raise` and nothing else, and
    functions called `check_…` or `_check_…`, with their calls and imports.
    """
    return _Deciding().visit(tree)


class _Deciding(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        return super().generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        raises = len(node.body) == 1 and isinstance(node.body[0], ast.Raise)
        return None if raises and not node.orelse else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_call = isinstance(node.value, ast.Call)
        return None if is_call and _is_check(ast.unparse(node.value.func)) else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        return None if _is_check(node.name) else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        node.names = [alias for alias in node.names if not _is_check(alias.name)]
        return node if node.names else None


def _is_check(name: str) -> bool:
    return name.rpartition(".")[2].removeprefix("_").startswith("check_")
