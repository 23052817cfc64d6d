"""The docstring under each field of a model, read from its source: for errors, the JSON Schema and the docs."""

from __future__ import annotations

import ast
import inspect
import sys
from functools import lru_cache

from pydantic import BaseModel


def field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Field -> what stands under it, on one line; a description given to pydantic where there is nothing."""
    found = {name: info.description or "" for name, info in model.model_fields.items()}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found.update(_of_module(base.__module__).get(base.__name__, {}))
    return {name: found[name] for name in model.model_fields}


@lru_cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError):  # shipped without its source: the descriptions are then all there is
        return {}
    return {node.name: _of_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> dict[str, str]:
    found = {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            value = after.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field.target.id] = " ".join(value.value.split())
    return found
