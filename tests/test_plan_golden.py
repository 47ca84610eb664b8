"""What plans look like is held in files: a change of them is seen, and has to be meant.

After a change that is meant, ``.venv/bin/python tests/test_plan_golden.py`` writes the files
anew; the difference that git shows is then part of what is reviewed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plan_zoo import ZOO, Program

from chainrule import nn
from chainrule.compile import explain, plan
from chainrule.execute.native.ability import able
from chainrule.graph import Spec, trace

FOLDER = Path(__file__).parent / "golden" / "plans"
COUNTS = FOLDER / "counts.txt"
RENEW = "If that is meant: .venv/bin/python tests/test_plan_golden.py writes the files anew."
KINDS = ("loop", "product", "placed", "scatter", "host")
WIDTH = 100


def text(program: Program) -> str:
    return explain(program.plan(), lines=program.lines) + "\n"


def counts(program: Program) -> str:
    made = program.plan()
    kinds = [f"{sum(step.kind == kind for step in made.steps)} {kind}" for kind in KINDS]
    return f"{', '.join(kinds)}, {made.work} bytes of work"


def held_counts() -> dict[str, str]:
    lines = COUNTS.read_text("utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines)


def renew() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    programs = {name: make() for name, make in sorted(ZOO.items())}
    for name, program in programs.items():
        (FOLDER / f"{name}.txt").write_text(text(program), "utf-8")
    lines = [f"{name}: {counts(program)}\n" for name, program in programs.items()]
    COUNTS.write_text("".join(lines), "utf-8")


@pytest.fixture(scope="module", params=sorted(ZOO))
def named(request):
    return request.param, ZOO[request.param]()


def test_the_plan_reads_as_the_file_says(named):
    name, program = named
    held = (FOLDER / f"{name}.txt").read_text("utf-8")
    assert text(program).splitlines() == held.splitlines(), f"The plan has changed. {RENEW}"


def test_the_plan_has_as_many_steps_and_bytes_as_the_file_says(named):
    name, program = named
    assert counts(program) == held_counts()[name], (
        f"More or fewer steps or bytes than before. {RENEW}"
    )


def test_each_file_has_its_program():
    assert {path.stem for path in FOLDER.glob("*.txt")} == {*ZOO, COUNTS.stem}


def test_the_listing_fits_a_terminal(named):
    _, program = named
    long = [line for line in text(program).splitlines() if len(line) > WIDTH]
    assert not long


def test_the_listing_names_every_step_and_every_result(named):
    _, program = named
    made = program.plan()
    said = text(program)
    for k in range(1, len(made.steps) + 1):
        assert f"\n{k:>2}  " in said
    for k in range(made.results):
        assert f"output {k}\n" in said or f"(output {k})" in said


def _explained(function, *specs):
    return explain(plan(trace(function, *specs), able=able), lines=False)


def test_a_step_without_a_form_says_so():
    said = _explained(lambda A: np.linalg.inv(A + 1.0), Spec((3, 3)))
    assert "by NumPy: inv has no form for machine code" in said


def test_a_product_of_whole_numbers_says_so():
    said = _explained(np.matmul, Spec((3, 3), "int64"), Spec((3, 3), "int64"))
    assert "by NumPy: no matrix product of int64[3, 3], int64[3, 3] in machine code" in said


def test_a_module_with_its_own_backward_says_so():
    class Double(nn.Module):
        def forward(self, x):
            return 2 * x

        def backward(self, g):
            return self.pass_on(2 * g)

    said = _explained(Double(), Spec((3,)))
    assert "by NumPy: Double is a module with a backward pass of its own" in said


def test_what_is_read_once_stands_inside_and_what_is_read_twice_by_itself():
    said = _explained(lambda x: np.exp(x) * (1 + np.exp(x)) - x, Spec((5,)))
    assert "%2 = exp(x)" in said
    assert "- x " in said


def test_signs_keep_their_order():
    said = _explained(lambda x, y: x - (y - x) * 2.0 / (x / (y * x)), Spec((5,)), Spec((5,)))
    assert "= x - (y - x) * 2.0 / (x / (y * x)) " in said


def test_views_are_said_where_they_change_the_order():
    said = _explained(lambda x, y: np.reshape(x, (6,)) + y, Spec((3, 2)), Spec((1, 6)))
    assert "= x + y " in said
    said = _explained(lambda x, y: x.T + y[1:, None, 0], Spec((3, 2)), Spec((3, 4)))
    assert "= xᵀ + y[1:, None, 0] " in said


def test_a_fold_says_what_it_folds():
    def folds(x):
        return x.sum(0), x.sum(1), x.sum(), np.max(x, axis=1)

    said = _explained(folds, Spec((3, 2)))
    assert "sum(x) down each column" in said
    assert "sum(x) of each row" in said
    assert "sum(x) of all" in said
    assert "max(x) of each row" in said


def test_reasons_for_steps_of_their_own():
    def turned(x):
        y = np.exp(x)
        return y, np.sin(y.T)

    assert "read in another order, or again and again: %1 1→2 (" in _explained(turned, Spec((3, 3)))

    def whole(x):
        return x - np.sum(x, axis=0)

    assert "a fold is whole only after its loop: %1 1→2 (" in _explained(whole, Spec((3, 4)))

    def around(x, W):
        y = np.exp(x)
        return y * (y @ W)

    assert "another step has to run between: %2 1→3 (2)" in _explained(
        around, Spec((3, 3)), Spec((3, 3))
    )


if __name__ == "__main__":
    renew()
