"""Every error that chainrule raises on purpose, each with a code and a page of its own.

An error answers four questions in plain values: what happened, with which values, what was
expected, and what to do; and it names the line of the user's program. The code leads to
``docs/errors/<code>.md``. The tree::

    ChainruleError
    ├── MissingExtraError      CR001  an optional package is not installed
    ├── TraceError
    │   ├── BranchError        CR101  Python asks for a number that is not there yet
    │   ├── NoOpError          CR102  a NumPy function that has no op, or a call of it
    │   ├── InPlaceError       CR103  an in-place write to (or from) a traced value
    │   ├── ConversionError    CR104  a traced value turned into a plain array or number
    │   ├── LeakError          CR105  a value used after its trace has ended
    │   └── OutputError        CR106  a function returned what is not a number
    ├── ShapeError             CR201  shapes that do not fit
    │   ├── AxisError          CR202  an axis that is not there
    │   └── NotScalarError     CR203  a gradient asked of what is not one number
    ├── InputTypeError         CR301  an input that has no derivative, or is not real numbers
    ├── StructureError         CR302  arguments whose structure does not fit
    ├── SettingError           CR303  a setting outside of what is possible
    ├── LabelError             CR304  labels or targets that name no class, or are missing
    ├── DivergenceError        CR305  a training whose loss or weights left the finite numbers
    ├── UnknownNameError       CR306  a name that nothing has in what was opened
    ├── GraphError             CR401  a graph that breaks its own rules
    │   ├── NotationError      CR402  text that is not a graph
    │   └── SpecialisedError   CR403  a graph that holds for other inputs only
    ├── DeclarationError       CR501  an op that is declared wrongly
    ├── GradientError          CR601  a derivative that differs from finite differences
    ├── MixedExamplesError     CR602  per-example gradients where examples meet
    ├── CheckedFileError       CR603  a file to check that cannot be run, or has nothing to check
    ├── ExportError            CR701  a program that another format cannot say
    ├── BackwardError          CR801  a backward pass that cannot run, or says nothing
    ├── StateError             CR802  parameters that do not fit a module
    ├── NoRuleError            CR803  a derivative that nobody wrote
    ├── CheckpointError        CR901  a checkpoint that is damaged, or no checkpoint
    │   ├── ForeignFileError   CR902  a safetensors file that another program wrote
    │   ├── NewerFileError     CR903  a checkpoint of a later release
    │   ├── FileAccessError    CR904  a checkpoint's file that cannot be read or written
    │   └── UnsavableError     CR905  a value that a checkpoint cannot hold
    └── DataError              CR951  a table that cannot be read
        ├── ColumnError        CR952  a column that is not there, or of no use
        └── CellError          CR953  a value in a table that cannot be used
"""

from __future__ import annotations

from typing import Any

from chainrule.errors.root import ChainruleError

__all__ = [
    "AxisError",
    "BackwardError",
    "BranchError",
    "CellError",
    "ChainruleError",
    "CheckedFileError",
    "CheckpointError",
    "ColumnError",
    "ConversionError",
    "DataError",
    "DeclarationError",
    "DivergenceError",
    "ExportError",
    "FileAccessError",
    "ForeignFileError",
    "GradientError",
    "GraphError",
    "InPlaceError",
    "InputTypeError",
    "LabelError",
    "LeakError",
    "MissingExtraError",
    "MixedExamplesError",
    "NewerFileError",
    "NoOpError",
    "NoRuleError",
    "NotScalarError",
    "NotationError",
    "OutputError",
    "SettingError",
    "ShapeError",
    "SpecialisedError",
    "StateError",
    "StructureError",
    "TraceError",
    "UnknownNameError",
    "UnsavableError",
]


class MissingExtraError(ChainruleError, ImportError):
    """An optional package is needed and not installed."""

    code = "CR001"
    way_out = "Install the extra that brings it, as in: pip install 'chainrule[onnx]'"


class TraceError(ChainruleError, TypeError):
    """A function did something that a trace cannot record."""


class BranchError(TraceError):
    """Python asked for a number where only a shape is known."""

    code = "CR101"
    way_out = (
        "Use np.where(condition, a, b) in place of a branch, np.where(mask, x, 0) in place of "
        "x[mask], ops.take(a, i) in place of a[i]."
    )


class NoOpError(TraceError, AttributeError):
    """A function or method of NumPy was called for which there is no op.

    It is an `AttributeError` too, so that ``hasattr`` tells which methods there are.
    """

    code = "CR102"
    way_out = "Write it with NumPy functions that are traced (chainrule.ops lists the ops)."


class InPlaceError(TraceError):
    """A traced value would be written to, or written into a plain array."""

    code = "CR103"
    way_out = (
        "Make a new array: `a = a + b` for `a += b`, np.where(mask, new, a) for a[mask] = new, "
        "np.concatenate or np.stack for filling one piece by piece; and no `out=`."
    )


class ConversionError(TraceError):
    """A traced value would lose its derivative by becoming a plain number or array."""

    code = "CR104"
    way_out = (
        "Use NumPy's functions in place of Python's (np.sin for math.sin, np.stack([u, v]) for "
        "np.array([u, v])); for a number without derivative, stop_gradient(x)."
    )


class LeakError(TraceError):
    """A value is used after the trace that made it has ended."""

    code = "CR105"
    way_out = (
        "Return values from the function instead of keeping them elsewhere; has_aux=True returns "
        "more than the loss."
    )


class OutputError(TraceError):
    """A function returned something that is not a number or an array."""

    code = "CR106"
    way_out = "Return the arrays that the function computed, or a container of them."


class ShapeError(ChainruleError, ValueError):
    """Shapes that do not fit each other."""

    code = "CR201"
    way_out = "Correct the shape where the array is made, or reshape, transpose or slice it here."


class AxisError(ShapeError, IndexError):
    """An axis or index outside the array."""

    code = "CR202"
    way_out = "Of n axes or places the first is 0 (or -n) and the last n - 1 (or -1)."


class NotScalarError(ShapeError):
    """The gradient of something that is not one number."""

    code = "CR203"
    way_out = "Return np.sum(y) or np.mean(y), or use chainrule.vjp or chainrule.jacobian."


class InputTypeError(ChainruleError, TypeError):
    """An input that has no derivative, or that is not an array of real numbers."""

    code = "CR301"
    way_out = "Pass arrays of real numbers, such as np.asarray(x, dtype=float)."


class StructureError(ChainruleError, TypeError, ValueError):
    """Arguments whose containers, number or shapes do not fit."""

    code = "CR302"
    way_out = "Pass arguments of the number, structure, shapes and dtypes named above."


class SettingError(ChainruleError, ValueError):
    """A setting, such as a size, a name or a rate, outside of what is possible."""

    code = "CR303"
    way_out = "Choose one of the values named above."


class LabelError(ChainruleError, ValueError):
    """Labels or targets that name no class, are no probabilities, or are missing."""

    code = "CR304"
    way_out = "Number the classes 0, 1, … without gaps, as np.unique(Y, return_inverse=True) does."


class DivergenceError(ChainruleError, ArithmeticError, ValueError):
    """A training whose loss or weights are no longer finite.

    ``history`` holds the epochs before it, where a training kept one.
    """

    code = "CR305"
    history: Any = None
    way_out = "Take a smaller learning rate, and inputs of about unit size."


class UnknownNameError(ChainruleError, KeyError):
    """A name that no value has in what was opened."""

    code = "CR306"
    way_out = "Ask for one of those above, or call the value so: chainrule.name(value, 'hidden')."


class GraphError(ChainruleError):
    """A graph that breaks its own rules."""

    code = "CR401"
    way_out = "Build graphs with chainrule.trace, or correct the node named above."


class NotationError(GraphError, ValueError):
    """Text that is not the notation of a graph."""

    code = "CR402"
    way_out = "Compare the text with what str(graph) writes."


class SpecialisedError(GraphError):
    """A graph that was traced for other numbers than it is asked for."""

    code = "CR403"
    way_out = "Trace on shapes (chainrule.Spec) and use np.where, or trace anew."


class DeclarationError(ChainruleError, TypeError):
    """A declaration of an op that does not hold together."""

    code = "CR501"
    way_out = "Compare the declaration with those in chainrule.ops."


class GradientError(ChainruleError, AssertionError):
    """A derivative that differs from finite differences."""

    code = "CR601"
    way_out = "Check the rule of the op, or the hand-written backward, that is named above."


class MixedExamplesError(ChainruleError, ValueError):
    """Per-example gradients of a function in which examples meet."""

    code = "CR602"
    way_out = (
        "Call eval() on batch norm, compute what takes all examples together before the function, "
        "or say where examples lie: pass_.per_example.along(-1)."
    )


class CheckedFileError(ChainruleError):
    """A file whose backward passes cannot be checked: it does not run, or has none."""

    code = "CR603"
    way_out = "Run the file by itself until it imports: python FILE.py"


class ExportError(ChainruleError):
    """A program with something in it that the other format has no words for."""

    code = "CR701"
    way_out = (
        "Export the parts before and after it, or declare an op of your own that says how: onnx=."
    )


class BackwardError(ChainruleError, RuntimeError):
    """A backward pass that cannot run, or that says nothing."""

    code = "CR801"
    way_out = "Run forward first, and pass backward what the message names."


class StateError(ChainruleError, KeyError):
    """Parameters that do not fit a module."""

    code = "CR802"
    way_out = "Pass the names and shapes that state_dict() of the same module gives."


class NoRuleError(ChainruleError, TypeError):
    """A derivative that exists and that nobody wrote."""

    code = "CR803"
    way_out = "Give the declaration of the op a rule for it, or stop_gradient the operand."


class CheckpointError(ChainruleError):
    """A file that is no checkpoint, or not any more."""

    code = "CR901"
    way_out = "Go back to an earlier checkpoint, or copy the file again from where it was whole."


class ForeignFileError(CheckpointError):
    """A safetensors file in which nothing says that it is a checkpoint of chainrule."""

    code = "CR902"
    way_out = "Read its arrays with safetensors.numpy.load_file, and load them into a model."


class NewerFileError(CheckpointError):
    """A checkpoint written by a release that came after this one."""

    code = "CR903"
    way_out = "Read it with a release at least as new: pip install --upgrade chainrule"


class FileAccessError(CheckpointError, OSError):
    """The system refuses to read or write a file.

    It is an `OSError` too, with its ``errno`` and ``filename``.
    """

    code = "CR904"
    way_out = "Correct what the system names: the path, the permissions or the room on the disk."


class UnsavableError(CheckpointError, TypeError, ValueError):
    """A value that a checkpoint has no form for."""

    code = "CR905"
    way_out = (
        "Store numbers, strings, None, arrays of real numbers, and dict, list and tuple of these; "
        "turn anything else into them first."
    )


class DataError(ChainruleError, ValueError):
    """A table that cannot be read, or that holds nothing to learn from."""

    code = "CR951"
    way_out = "Correct the table where the message says, or pass another."


class ColumnError(DataError):
    """A column that is not there, or that is of no use for what it was named for."""

    code = "CR952"
    way_out = "Name one of the columns of the table."


class CellError(DataError):
    """A value in a table that cannot be used."""

    code = "CR953"
    way_out = "Correct the value, or say how missing values are written."
