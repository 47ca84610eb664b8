"""A corrected line where several outputs have a gradient from above each.

To the diagnosis they lie end to end in one output, and its line says so: entries 15 to 30 of the
gradient of a vector that the user does not have. Here it gets the names of the parameters back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chainrule.inspect.diagnose.account import close
from chainrule.inspect.finding import Fix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.diagnose.account import Account

__all__ = ["of_outputs"]


def of_outputs(account: Account, names: Sequence[str], found: Fix) -> Fix | None:
    """Return a line in the names of backward's parameters.

    An output may be used further on as well. Its gradient is a sum then, of which the parameter
    holds a part: the line has to name the variable that holds the sum, or is none.

    Parameters
    ----------
    account
        Of a probe with several outputs.
    names
        What the nodes are called.
    found
        The line, as for one output.
    """
    above = account.probe.above
    head, equals, right = found.numpy.rpartition(" = ")
    for parameter in above:
        if re.search(rf"\b{parameter}\b", right):
            variable = _sum_in(account, names, parameter)
            if variable is None:
                return None
            right = re.sub(rf"\b{parameter}\b", variable, right)
    numpy, latex = head + equals + right, found.latex
    out = account.name(account.probe.output)
    for parameter, (entries, shape) in above.items():
        a, b = entries.start, entries.stop
        for part in (f"{a or ''}:{b}", f"{a}:"):
            numpy = numpy.replace(f"np.reshape(d{out}[{part}], {shape})", parameter)
            numpy = numpy.replace(f"d{out}[{part}]", parameter)
        symbol = parameter.replace("_", r"\_")
        whole = rf"\left(\frac{{\partial L}}{{\partial \mathrm{{{out}}}}}\right)"
        latex = latex.replace(f"{whole}_{{{a}:{b}}}", rf"\mathrm{{{symbol}}}")
    return Fix(numpy, latex)


def _sum_in(account: Account, names: Sequence[str], parameter: str) -> str | None:
    """Return what has all of the gradient of the output that a parameter is named after.

    None where that is more than the parameter has, and no variable has it.
    """
    nodes = [i for i, name in enumerate(names) if name and f"d{name}" == parameter]
    if not nodes:
        return parameter
    entries, shape = account.probe.above[parameter]
    gradient = account.gradient(nodes[-1])
    if close(account.probe.cotangent[entries].reshape(shape), gradient):
        return parameter
    for seen in account.probe.observed:
        if seen.array.shape == shape and close(seen.array, gradient):
            return seen.name
    return None
