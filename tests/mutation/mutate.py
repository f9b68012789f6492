"""Mutation testing of the pure core: change the code a little, and see whether a test fails.

    python -m tests.mutation.mutate sync/delivery.py tests/unit/test_delivery_*.py …

Every mutant is one change of one place in the syntax tree. It is put into `sys.modules` of a
child process, never into a file, and the given tests run against it until the first fails. A
mutant that no test notices has survived; it is printed as a line of code before and after.
`MUTANTS=60` in the environment takes a random sample of so many.
"""

from __future__ import annotations

import ast
import copy
import importlib
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Loaded once, before the children are made; of the package under test nothing is.
import hypothesis.strategies  # noqa: F401
import pydantic  # noqa: F401
import pytest

SECONDS = 60  # of the processor, of one mutant; one that hangs is noticed too
PATIENCE = (
    1200  # seconds by the clock: on a busy machine a good mutant must not look like a hung one
)
COMPARE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
BINARY = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Pow: ast.Mult}


@dataclass(frozen=True)
class Mutant:
    """One change: the whole tree with it, and how its line reads before and after."""

    source: str
    line: int
    before: str
    after: str


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """What could stand in the place of a node."""
    yield from _operators(node)
    match node:
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float() as number):
            yield ast.Constant(number + 1)
        case ast.Constant(value=str(text)) if text:
            yield ast.Constant(f"{text}?")
        case ast.Constant(value=None):
            yield ast.Constant(0)
        case ast.IfExp():
            yield node.body
            yield node.orelse
        case ast.Set() | ast.Tuple() | ast.Dict() | ast.Call():
            yield from _shorter(node)
        case ast.comprehension() if node.ifs:
            yield from (_with(node, ifs=[c for c in node.ifs if c is not d]) for d in node.ifs)


def _operators(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARE:
            yield _with(node, ops=[COMPARE[type(operator)]()])
        case ast.BoolOp(op=operator):
            yield _with(node, op=ast.And() if isinstance(operator, ast.Or) else ast.Or())
            for i in range(len(node.values)):
                rest = [v for k, v in enumerate(node.values) if k != i]
                yield rest[0] if len(rest) == 1 else _with(node, values=rest)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp(op=operator) if type(operator) in BINARY:
            yield _with(node, op=BINARY[type(operator)]())


def _shorter(node: ast.Set | ast.Tuple | ast.Dict | ast.Call) -> Iterator[ast.AST]:
    """Leave an element, an entry or a named argument out."""
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            yield _with(node, keywords=[k for k in node.keywords if k is not keyword])
    elif isinstance(node, ast.Dict):
        for i in range(len(node.keys)):
            keys = [k for n, k in enumerate(node.keys) if n != i]
            yield _with(node, keys=keys, values=[v for n, v in enumerate(node.values) if n != i])
    elif isinstance(getattr(node, "ctx", ast.Load()), ast.Load) and len(node.elts) > 1:
        for element in node.elts:
            yield _with(node, elts=[e for e in node.elts if e is not element])


def _with[N: ast.AST](node: N, **changes: object) -> N:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def mutants(source: str) -> Iterator[Mutant]:
    """All of them. Annotations, docstrings and imports do nothing; words of enumerations
    could be any."""
    tree = ast.parse(source)
    lines = source.splitlines()
    for parent, name, index, node in list(_places(tree)):
        for variant in variants(node):
            _put(parent, name, index, ast.fix_missing_locations(ast.copy_location(variant, node)))
            changed = ast.unparse(tree)
            line = getattr(node, "lineno", 0)
            was, now = ast.unparse(node), ast.unparse(variant)
            yield Mutant(changed, line, lines[line - 1].strip() if line else was, f"{was} => {now}")
            _put(parent, name, index, node)


def _put(parent: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def _places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "type_comment"):
            continue
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or _is_docstring(child):
                continue
            if isinstance(child, (ast.Import, ast.ImportFrom, ast.TypeAlias, ast.JoinedStr)):
                continue
            if isinstance(node, ast.ClassDef) and _is_word(child):
                continue
            yield node, name, index, child
            yield from _places(child)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_word(node: ast.AST) -> bool:
    """A member of an enumeration, whose text is compared with nothing but itself."""
    value = node.value if isinstance(node, ast.Assign) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def run_tests(path: str, source: str, tests: list[str]) -> int:
    """Run the tests in this process against `source`; pytest's exit code."""
    name = path.removesuffix(".py").replace("/", ".")
    package, _, leaf = name.rpartition(".")
    importlib.import_module(package)
    module = type(sys)(name)
    module.__file__ = path
    sys.modules[name] = module
    exec(compile(source, path, "exec"), module.__dict__)
    setattr(sys.modules[package], leaf, module)
    # The pure core needs no fixture, and without them a run is five times as fast.
    quiet = [
        "-x",
        "-q",
        "--noconftest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--no-header",
    ]
    return int(pytest.main([*quiet, "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests]))


def noticed(path: str, source: str, tests: list[str]) -> bool:
    """Whether a test fails, in a process of its own."""
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(PATIENCE)
        code = 3
        try:
            code = run_tests(path, source, tests)
        finally:
            os._exit(min(code, 100))
    _, status = os.waitpid(child, 0)
    return status != 0


def _judge(work: tuple[str, Mutant, list[str]]) -> tuple[Mutant, bool]:
    path, mutant, tests = work
    return mutant, noticed(path, mutant.source, tests)


def main(path: str, *tests: str) -> int:
    """Print the survivors and the share that was noticed; 1 if that is below nine of ten."""
    source = Path(path).read_text("utf-8")
    if noticed(path, ast.unparse(ast.parse(source)), list(tests)):
        sys.stdout.write("the tests fail without any change\n")
        return 2
    found = [(path, mutant, list(tests)) for mutant in mutants(source)]
    some = int(os.environ.get("MUTANTS", "0"))
    if some:
        found = random.Random(1).sample(found, min(some, len(found)))
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        results = list(pool.imap_unordered(_judge, found))
    survivors = [mutant for mutant, dead in results if not dead]
    for mutant in survivors:
        sys.stdout.write(f"{path}:{mutant.line}: {mutant.before}\n    {mutant.after}\n")
    killed = len(results) - len(survivors)
    share = 100 * killed / len(results)
    sys.stdout.write(f"{path}: {killed} of {len(results)} noticed, {share:.1f} %\n")
    return int(10 * killed < 9 * len(results))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
