"""Regularization: penalties on the weights, noise on the signals, limits on weights and gradients.

Modules are imported by their own names, for example ``d2lstab.regularization.penalties``.
"""
