"""Every mutant of every network."""

from mutants.edits import (
    dropout_bce,
    dropout_masks,
    layer_norm,
    mse_l2,
    relu_softmax,
    sigmoid_bce,
    sigmoid_object,
    softmax_l2,
    tanh_mse,
)

MUTANTS = tuple(
    mutant
    for edits in (
        sigmoid_bce,
        sigmoid_object,
        relu_softmax,
        tanh_mse,
        softmax_l2,
        mse_l2,
        dropout_bce,
        dropout_masks,
        layer_norm,
    )
    for mutant in edits.MUTANTS
)
