"""Sigmoid layers, half the squared error of an example, half of lambda times the squares."""

# ruff: noqa: RUF059 - a learner unpacks all that there is
import numpy as np


def sigma(t):
    return 1.0 / (1.0 + np.exp(-t))


def predict_and_score(V1, c1, V2, c2, V3, c3, inputs, wanted, lam):
    n = len(inputs)
    in1 = np.dot(inputs, V1) + c1
    hidden1 = sigma(in1)
    in2 = np.dot(hidden1, V2) + c2
    hidden2 = sigma(in2)
    out = np.dot(hidden2, V3) + c3
    error = 0.5 * np.sum((out - wanted) ** 2) / n
    penalty = 0.5 * lam * ((V1 * V1).sum() + (V2 * V2).sum() + (V3 * V3).sum())
    saved = (inputs, wanted, lam, V1, V2, V3, c1, c2, c3)
    saved += (in1, hidden1, in2, hidden2, out)
    return error + penalty, saved


def gradients(saved):
    inputs, wanted, lam, V1, V2, V3, c1, c2, c3, in1, hidden1, in2, hidden2, out = saved
    n = len(inputs)
    dout = (out - wanted) / n
    dV3 = np.dot(hidden2.T, dout)
    dV3 += lam * V3
    dc3 = dout.sum(axis=0)
    din2 = np.dot(dout, V3.T) * hidden2 * (1 - hidden2)
    dV2 = np.dot(hidden1.T, din2)
    dV2 += lam * V2
    dc2 = din2.sum(axis=0)
    din1 = np.dot(din2, V2.T) * hidden1 * (1 - hidden1)
    dV1 = np.dot(inputs.T, din1)
    dV1 += lam * V1
    dc1 = din1.sum(axis=0)
    return dV1, dc1, dV2, dc2, dV3, dc3
