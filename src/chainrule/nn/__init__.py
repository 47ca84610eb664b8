"""Networks: modules that chain, and the dense network of the texts."""

from chainrule.nn.activations import (
    ACTIVATIONS,
    ELU,
    GELU,
    SELU,
    Identity,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    activation,
)
from chainrule.nn.classification import cross_entropy, nll_loss
from chainrule.nn.containers import MLP, Residual, Sequential
from chainrule.nn.dnn import DNN
from chainrule.nn.images import AvgPool2d, Conv2d, MaxPool2d
from chainrule.nn.initialise import INITIALISERS
from chainrule.nn.layers import Dropout, Embedding, Flatten, Linear
from chainrule.nn.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
)
from chainrule.nn.module import Module, functional_call
from chainrule.nn.normalisation import BatchNorm1d, LayerNorm
from chainrule.nn.parameters import Buffer, Parameter, accumulating
from chainrule.nn.prediction import predict
from chainrule.nn.regression import (
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
)

__all__ = [
    "ACTIVATIONS",
    "DNN",
    "ELU",
    "GELU",
    "INITIALISERS",
    "MLP",
    "SELU",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "Buffer",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "MaxPool2d",
    "Mish",
    "Module",
    "NLLLoss",
    "Parameter",
    "PoissonNLLLoss",
    "ReLU",
    "ReLU6",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "accumulating",
    "activation",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "functional_call",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "predict",
]
