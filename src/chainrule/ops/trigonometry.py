"""Trigonometric and hyperbolic functions and their inverses, element by element."""

from __future__ import annotations

import math

import numpy as np

from chainrule.ops.declare import called_by, elementwise

_INSIDE = (-0.9, 0.9)


@elementwise(lambda x: cos(x), latex=r"\sin <x>", onnx="Sin", numpy=np.sin)
def sin(x):
    """The sine; x in radians."""
    return np.sin(x)


@elementwise(lambda x: -sin(x), latex=r"\cos <x>", onnx="Cos", numpy=np.cos)
def cos(x):
    """The cosine; x in radians."""
    return np.cos(x)


@elementwise(lambda y: 1 + y * y, latex=r"\tan <x>", onnx="Tan", numpy=np.tan, domain=(-1.2, 1.2))
def tan(x):
    """The tangent; x in radians."""
    return np.tan(x)


@elementwise(
    lambda x: 1 / np.sqrt(1 - x * x),
    latex=r"\arcsin <x>",
    onnx="Asin",
    numpy=np.arcsin,
    domain=_INSIDE,
)
def arcsin(x):
    """The inverse sine, in radians."""
    return np.arcsin(x)


@elementwise(
    lambda x: -1 / np.sqrt(1 - x * x),
    latex=r"\arccos <x>",
    onnx="Acos",
    numpy=np.arccos,
    domain=_INSIDE,
)
def arccos(x):
    """The inverse cosine, in radians."""
    return np.arccos(x)


@elementwise(lambda x: 1 / (1 + x * x), latex=r"\arctan <x>", onnx="Atan", numpy=np.arctan)
def arctan(x):
    """The inverse tangent, in radians."""
    return np.arctan(x)


def _angle_in_onnx(e, a, b):
    """Say the angle by the arctangent of a/b, half a turn further for b < 0; -0 counts as 0."""
    zero = e.number(0, a)
    half_turn = e.Where(e.Less(a, zero), e.number(-math.pi, a), e.number(math.pi, a))
    slanted = e.Add(e.Atan(e.Div(a, b)), e.Where(e.Less(b, zero), half_turn, zero))
    upright = e.Mul(e.Sign(a), e.number(math.pi / 2, a))
    return e.Where(e.Equal(b, zero), upright, slanted)


@elementwise(
    lambda a, b: b / (a * a + b * b),
    lambda a, b: -a / (a * a + b * b),
    latex=r"\mathrm{atan2}(<a>, <b>)",
    onnx=_angle_in_onnx,
    numpy=np.arctan2,
    domain=(0.3, 2.0),
)
def arctan2(a, b):
    """The angle of the point (b, a) to the first axis, in radians."""
    return np.arctan2(a, b)


@elementwise(lambda x: cosh(x), latex=r"\sinh <x>", onnx="Sinh", numpy=np.sinh)
def sinh(x):
    """The hyperbolic sine."""
    return np.sinh(x)


@elementwise(lambda x: sinh(x), latex=r"\cosh <x>", onnx="Cosh", numpy=np.cosh)
def cosh(x):
    """The hyperbolic cosine."""
    return np.cosh(x)


@elementwise(lambda y: 1 - y * y, latex=r"\tanh <x>", onnx="Tanh", numpy=np.tanh)
def tanh(x):
    """The hyperbolic tangent."""
    return np.tanh(x)


@elementwise(
    lambda x: 1 / np.sqrt(x * x + 1), latex=r"\mathrm{arsinh}\, <x>", onnx="Asinh", numpy=np.arcsinh
)
def arcsinh(x):
    """The inverse hyperbolic sine."""
    return np.arcsinh(x)


@elementwise(
    lambda x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)),
    latex=r"\mathrm{arcosh}\, <x>",
    onnx="Acosh",
    numpy=np.arccosh,
    domain=(1.3, 3.0),
)
def arccosh(x):
    """The inverse hyperbolic cosine of x ≥ 1."""
    return np.arccosh(x)


@elementwise(
    lambda x: 1 / (1 - x * x),
    latex=r"\mathrm{artanh}\, <x>",
    onnx="Atanh",
    numpy=np.arctanh,
    domain=_INSIDE,
)
def arctanh(x):
    """The inverse hyperbolic tangent."""
    return np.arctanh(x)


@called_by(np.deg2rad, np.radians)
def deg2rad(x):
    """Degrees as radians."""
    return x * (math.pi / 180)


@called_by(np.rad2deg, np.degrees)
def rad2deg(x):
    """Radians as degrees."""
    return x * (180 / math.pi)


@called_by(np.sinc)
def sinc(x):
    """sin(πx) / (πx), which is 1 at 0."""
    angle = math.pi * x
    # near 0 its series, whose next term is below 3e-18: slopes of the quotient would cancel
    is_small = np.abs(angle) < 0.1
    a2 = angle * angle
    series = 1 - a2 / 6 * (1 - a2 / 20 * (1 - a2 / 42 * (1 - a2 / 72)))
    angle = np.where(is_small, 1, angle)
    return np.where(is_small, series, np.sin(angle) / angle)
