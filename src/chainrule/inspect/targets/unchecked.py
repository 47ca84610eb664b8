"""What cannot be compared: no output, arguments that are not known, no probe at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.graph import describe
from chainrule.inspect.finding import Finding, cause
from chainrule.inspect.targets.raising import raised_at, said

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["no_output", "not_checked", "parameters_not_compared", "unknown_arguments"]


@cause("CD133", "could not be checked")
def not_checked(error: BaseException | None, where: str) -> Finding:
    """A backward pass of which nothing could be compared.

    It sees that every run of the comparison ended in an error, or that no gradient was left to
    compare.

    Why it matters: no finding would read as if the gradients were right.

    Example: a forward pass that reads what an earlier call left in a file.

    What to do: look at the error that is named; forward and backward have to run several times,
    on other numbers too.
    """
    line = str(raised_at(error)[0]) if error is not None else ""
    why = f": {said(error)}" if error is not None else ", since no gradient was left to compare"
    return Finding.of(
        "CD133",
        where=line if line.strip(":0") else where,
        message=f"Nothing could be compared{why}.",
    )


@cause("CD134", "no loss in front")
def no_output(got: Any, where: str) -> Finding:
    """A forward pass whose first result is no number and no array of real numbers.

    It sees None, dictionaries, objects, text and complex numbers where the output or the loss
    should be.

    Why it matters: there is nothing to differentiate.

    Example: ``return cache, loss``, or a forward without ``return``.

    What to do: return the output or the loss first, then the cache.
    """
    what = "nothing" if got is None else describe(got)
    return Finding.of(
        "CD134",
        where=where,
        message=f"Forward returns {what}; the output or the loss has to come first.",
        advice="Return (output, cache), or (loss, gradients) from one function.",
    )


@cause("CD135", "arguments not known", "warning")
def unknown_arguments(name: str, missing: Sequence[str], where: str) -> Finding:
    """A backward pass with parameters that check has nothing for.

    It sees a call that does not fit the signature of backward. Parameters are filled by their
    names from forward's arguments and labels, then with the gradient from above and the cache.

    Why it matters: backward was not run, so nothing is known of its gradients.

    Example: ``backward(dout, learning_rate)``, where forward takes no learning_rate.

    What to do: pass it among the inputs, give it a default, or check
    ``(forward, lambda dout: backward(dout, 0.0))``.
    """
    what = f"for {', '.join(missing)}" if missing else "to it"
    return Finding.of(
        "CD135",
        where=where,
        message=f"check does not know what to pass {what} when it calls {name}; it was not run.",
        advice="Give the parameter a default, or pass its value among the inputs.",
    )


@cause("CD136", "parameters not compared", "warning")
def parameters_not_compared(names: Sequence[str], where: str) -> Finding:
    """An object none of whose parameters has a gradient that was found.

    It sees arrays on an object that its output depends on, while backward neither returns a
    gradient of one nor leaves one on the object under a name that says whose it is.

    Why it matters: only the gradient that is passed on was compared; those of the parameters
    may be wrong, or missing.

    Example: ``self.first`` and ``self.second`` for the gradients of ``self.W`` and ``self.b``.

    What to do: leave them as ``self.dW`` or ``self.grads["W"]``, or return them by name.
    """
    return Finding.of(
        "CD136",
        tensor=names[0],
        where=where,
        message=f"No gradient of {', '.join(names)} was found, so none is compared.",
        advice='Leave it on the object as dW or grads["W"], or return it by name.',
    )
