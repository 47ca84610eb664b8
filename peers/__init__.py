"""Other people's derivatives, compared with ours: PyTorch's records and HIPS autograd."""
