"""What a module is made of, by name: parameters, buffers and other modules; its state.

Nothing has to be declared: what is assigned to an attribute is found there, also in lists,
tuples and dictionaries of modules. Names are paths, such as ``layers.0.weight``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chainrule.errors import SettingError, StateError
from chainrule.graph import REAL, describe
from chainrule.nn.parameters import Buffer, Parameter, number_of, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Parts"]

_NOT_INSIDE = {"previous_module", "last_input", "_memory", "_parameters", "_links", "_chain"}


class Parts:
    """The base of `Module`: names for what is inside."""

    training: bool

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make room for what is assigned, so that a subclass need not call ``super``."""
        self = super().__new__(cls)
        self.__dict__.update(_parameters={}, training=True)
        return self

    # ------------------------------------------------------------------ attributes

    def __setattr__(self, name: str, x: Any) -> None:
        own = self.__dict__["_parameters"]
        if isinstance(x, Parameter):
            self.__dict__.pop(name, None)
            own[name] = x
        elif name in own and x is not None:
            self._assign(own[name], name, x)
        else:
            own.pop(name, None)
            if isinstance(x, list | tuple) and any(isinstance(p, Parameter) for p in x):
                raise StateError(
                    f"{type(self).__name__}.{name} is a {type(x).__name__} of parameters, which "
                    "nothing would train.",
                    advice="Assign each parameter to an attribute, or put it into a module.",
                )
            super().__setattr__(name, x)

    def _assign(self, parameter: Parameter, name: str, x: Any) -> None:
        """Copy numbers into a parameter, or into a buffer once the recording has ended."""
        current = recording()
        if current is not None and isinstance(parameter, Buffer):
            current.buffers[id(parameter)] = x
        else:
            parameter.write(x, f"{type(self).__name__}.{name}")

    def __getattr__(self, name: str) -> Any:
        parameter = self.__dict__.get("_parameters", {}).get(name)
        if parameter is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return number_of(parameter)

    def __delattr__(self, name: str) -> None:
        if self.__dict__["_parameters"].pop(name, None) is None:
            super().__delattr__(name)

    # ------------------------------------------------------------------ what is inside

    def _inside(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the modules right inside this one, by name."""
        for name, x in self.__dict__.items():
            if name in _NOT_INSIDE:
                continue
            if isinstance(x, Parts):
                yield name, x
            elif type(x) in {list, tuple, dict}:
                places = x.items() if type(x) is dict else enumerate(x)
                yield from ((f"{name}.{k}", m) for k, m in places if isinstance(m, Parts))

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the modules right inside this one, by name."""
        return self._inside()

    def children(self) -> Iterator[Any]:
        """Iterate over the modules right inside this one."""
        return (module for _, module in self._inside())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Iterate over this module and all inside it, each once, by their paths."""
        seen: set[int] = set()
        stack: list[tuple[str, Parts]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            inside = list(module._inside())  # noqa: SLF001 - of the same class
            stack += [(f"{path}.{name}" if path else name, m) for name, m in reversed(inside)]

    def modules(self) -> Iterator[Any]:
        """Iterate over this module and all inside it, each once."""
        return (module for _, module in self.named_modules())

    def named_state(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over parameters and buffers by their paths, a shared one once."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, parameter in module.__dict__["_parameters"].items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{path}.{name}" if path else name, parameter

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the parameters by their paths, a shared one once."""
        return ((name, p) for name, p in self.named_state() if not isinstance(p, Buffer))

    def parameters(self) -> Iterator[Parameter]:
        """Iterate over the parameters, a shared one once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Iterate over the buffers by their paths, a shared one once."""
        return ((name, p) for name, p in self.named_state() if isinstance(p, Buffer))

    def buffers(self) -> Iterator[Buffer]:
        """Iterate over the buffers, a shared one once."""
        return (b for _, b in self.named_buffers())

    def get_parameter(self, path: str) -> Parameter:
        """Return a parameter or buffer, for instance to share it with another module.

        Examples
        --------
        >>> from chainrule import nn
        >>> a, b = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> b.weight = a.get_parameter("weight")
        >>> len(list(nn.Sequential(a, b).parameters()))
        3
        """
        found = dict(self.named_state())
        if path not in found:
            raise StateError(
                f"{type(self).__name__} has no parameter {path!r}.",
                f"it has {', '.join(found) or 'none'}",
            )
        return found[path]

    # ------------------------------------------------------------------ settings for all inside

    @property
    def mixes_examples(self) -> bool:
        """Whether the output for one example depends on the others of its batch."""
        return any(module.mixes_examples for module in self.children())

    def train(self, mode: bool = True) -> Self:
        """Set the module and all inside it to training, or not; return the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set the module and all inside it to evaluation; return the module."""
        return self.train(mode=False)

    def astype(self, dtype: Any) -> Self:
        """Convert parameters and buffers to a floating-point type; return the module.

        Counts stay whole numbers, and gradients are forgotten.
        """
        if not np.issubdtype(dtype, np.floating):
            raise SettingError(
                "a module holds floating-point numbers, which change by small steps, got "
                f"{dtype!r}."
            )
        for _, parameter in self.named_state():
            if np.issubdtype(parameter.dtype, np.floating):
                parameter.data = parameter.data.astype(dtype, order="C")
            parameter.grad = None
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of every parameter and buffer by its path."""
        return {name: p.data.copy() for name, p in self.named_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy the arrays of a state dictionary into the module, all of them or none.

        Raises
        ------
        StateError
            If entries are missing, unexpected, of another shape, no real numbers, or numbers
            that the module's type cannot hold, such as 1e300 in single precision or 2.7 in a
            count; all of them are listed.

        Examples
        --------
        >>> from chainrule import nn
        >>> model, other = nn.Linear(2, 1, seed=0), nn.Linear(2, 1, seed=1)
        >>> other.load_state_dict(model.state_dict())
        >>> bool(np.all(other.weight == model.weight))
        True
        """
        if not isinstance(state, Mapping):
            raise StateError(
                f"a state is a dictionary of arrays by their paths, got {describe(state)}.",
                advice="Pass what state_dict() of the same module gives.",
            )
        own = dict(self.named_state())
        given = {name: _array(x) for name, x in state.items()}
        facts = [f"missing: {name} {list(own[name].shape)}" for name in own if name not in given]
        facts += [f"unexpected: {name}" for name in given if name not in own]
        for name, x in given.items():
            if name in own and (x is None or x.dtype.kind not in REAL):
                got = describe(state[name] if x is None else x)
                facts.append(f"no array of real numbers: {name}, got {got}")
            elif name in own and x.shape != own[name].shape:
                shapes = f"needs {list(own[name].shape)}, got {list(x.shape)}"
                facts.append(f"misshapen: {name} {shapes}")
            elif name in own and (damage := own[name].damage(x)):
                facts.append(f"out of range: {name}, {damage}")
        if facts:
            raise StateError(
                f"the state does not fit {type(self).__name__}; nothing was loaded.",
                *facts,
                advice="Build the module with the sizes that the state was saved with.",
            )
        for name, x in given.items():
            own[name].data[...] = x

    # ------------------------------------------------------------------ copies and text

    def __getstate__(self) -> dict[str, Any]:
        """Return all but what is remembered for a backward pass, which belongs to one call."""
        return {
            **self.__dict__,
            "_parameters": dict(self.__dict__["_parameters"]),
            "_memory": None,
            "last_input": (),
        }

    def extra_repr(self) -> str:
        """Return what stands between the brackets of the module's text."""
        return ""

    @reprlib.recursive_repr(fillvalue="(…)")
    def __repr__(self) -> str:
        inside = [f"  ({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._inside()]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return "\n".join([head, *inside, ")"]) if inside else f"{head})"


def _array(x: Any) -> Any:
    """Return an array, or None for what is none."""
    try:
        return np.asarray(x)
    except (ValueError, TypeError):
        return None
