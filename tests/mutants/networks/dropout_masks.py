"""Dropout whose masks are handed in; tanh, squared error, gradients as a list in order."""

import numpy as np


def cost(theta1, bias1, theta2, bias2, data, goal, drop1):
    samples = data.shape[0]
    lin1 = np.matmul(data, theta1) + bias1
    out1 = np.tanh(lin1)
    kept1 = out1 * drop1
    lin2 = np.matmul(kept1, theta2) + bias2
    err = lin2 - goal
    value = np.sum(err * err) / (2 * samples)

    g_lin2 = err / samples
    g_theta2 = np.matmul(kept1.T, g_lin2)
    g_bias2 = g_lin2.sum(axis=0)
    g_kept1 = np.matmul(g_lin2, theta2.T)
    g_out1 = g_kept1 * drop1
    g_lin1 = g_out1 * (1 - out1 * out1)
    g_theta1 = np.matmul(data.T, g_lin1)
    g_bias1 = g_lin1.sum(axis=0)
    return value, [g_theta1, g_bias1, g_theta2, g_bias2]
