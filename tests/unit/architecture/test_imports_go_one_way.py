"""Imports go one way, and the core imports nothing that touches the world."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PACKAGES = ("schemas", "recsys", "consumers", "producers", "storefront", "deploy", "training", "benchmarks", "cli")

MAY_IMPORT: dict[str, set[str]] = {
    "schemas": set(),
    "recsys": {"schemas"},
    "consumers": {"schemas", "recsys"},
    "producers": {"schemas"},
    "storefront": {"schemas", "recsys", "consumers", "producers"},
    "deploy": {"schemas"},
    "training": {"schemas", "recsys", "consumers", "producers"},
    "benchmarks": {"schemas", "recsys", "consumers", "producers", "storefront", "deploy", "training"},
    "cli": {"schemas", "recsys", "consumers", "producers", "storefront", "deploy", "training", "benchmarks"},
}

CORE_LIBRARIES = {"schemas", "recsys", "numba", "numpy", "scipy", "sklearn", "faiss"}
CORE_STANDARD_LIBRARY = {
    "__future__", "abc", "array", "bisect", "collections", "collections.abc", "dataclasses", "enum", "functools",
    "hashlib", "heapq", "itertools", "json", "math", "operator", "random", "re", "struct", "types", "typing",
}  # fmt: skip
"""What a pure core can want: no clock, no environment, no files, no network, no threads."""

TRAINING_ONLY = {"tensorflow", "keras", "matplotlib"}
"""Libraries of the train group, which no stage has: ``training`` alone may import them."""


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; name the package"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _allowed(name: str, package: str) -> bool:
    own = {package, *MAY_IMPORT[package]}
    return any(name == prefix or name.startswith(prefix + ".") for prefix in own)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_the_layers_below_it(package: str) -> None:
    for path in _files(package):
        for name in _imports(path):
            if name.split(".")[0] in PACKAGES:
                # ``from consumers import runtime`` names the package first, and then what is allowed of it.
                parents = any(allowed.startswith(name + ".") for allowed in MAY_IMPORT[package])
                assert parents or _allowed(name, package), f"{path.relative_to(ROOT)} imports {name}"


def test_the_core_imports_nothing_that_touches_the_world() -> None:
    for path in _files("recsys"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                known = name in CORE_STANDARD_LIBRARY if name.split(".")[0] in sys.stdlib_module_names else False
                assert known or name.split(".")[0] in CORE_LIBRARIES, f"{path.relative_to(ROOT)} imports {name}"


def test_tensorflow_is_imported_only_where_a_network_is_made() -> None:
    for package in set(PACKAGES) - {"training"}:
        for path in _files(package):
            if "model" in path.relative_to(ROOT).parts:
                continue
            for name in _imports(path):
                assert name.split(".")[0] not in TRAINING_ONLY, f"{path.relative_to(ROOT)} imports {name}"


def test_every_package_is_covered() -> None:
    here = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert here == set(PACKAGES)


def test_the_command_line_looks_at_training_only_where_it_trains() -> None:
    for path in _files("cli"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] != "training", (
                    f"{path.relative_to(ROOT)}: within a function"
                )
