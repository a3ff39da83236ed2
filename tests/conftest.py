"""Fixtures, and TensorFlow's log level."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent

import keras
import numpy as np
import pytest

import helpers


def refuses(words, call, *given, error=ValueError, **named):
    """Assert that a call raises an error, in these words."""
    with pytest.raises(error, match=words):
        call(*given, **named)


@pytest.fixture(scope="session")
def model():
    return helpers.load_model("transplant")


@pytest.fixture(scope="session")
def averaging_model(model):
    """The same graph with every kernel 1 / fan-in, no bias and BatchNorm the identity."""
    copy = keras.models.clone_model(model)
    for layer in copy.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            one, zero = np.ones(layer.gamma.shape), np.zeros(layer.gamma.shape)
            layer.set_weights([one * np.sqrt(1 + layer.epsilon), zero, zero, one])
        elif layer.weights:
            kernel, *bias = layer.get_weights()
            layer.set_weights([np.full_like(kernel, 1 / kernel[..., 0].size), *(0 * b for b in bias)])
    return copy


@pytest.fixture(scope="session")
def tiny():
    """A random network of two convolutions and four logits, for images of any side."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 3))
    hidden = keras.layers.Conv2D(8, 5, strides=2, activation="tanh")(inputs)
    linear = keras.layers.Conv2D(6, 3, name="linear")(hidden)
    pooled = keras.layers.GlobalAveragePooling2D()(linear)
    return keras.Model(inputs, keras.layers.Dense(4, name="predictions")(pooled))
