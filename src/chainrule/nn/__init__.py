"""Networks: modules that chain, and the dense network of the texts."""

from chainrule.nn.activations import (
    ACTIVATIONS,
    ELU,
    GELU,
    SELU,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    activation,
)
from chainrule.nn.containers import MLP, Residual, Sequential
from chainrule.nn.dnn import DNN
from chainrule.nn.initialise import INITIALISERS
from chainrule.nn.layers import Dropout, Flatten, Linear
from chainrule.nn.module import Module, functional_call
from chainrule.nn.parameters import Buffer, Parameter, accumulating

__all__ = [
    "ACTIVATIONS",
    "DNN",
    "ELU",
    "GELU",
    "INITIALISERS",
    "MLP",
    "SELU",
    "Buffer",
    "Dropout",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Module",
    "Parameter",
    "ReLU",
    "ReLU6",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "accumulating",
    "activation",
    "functional_call",
]
