"""Models: a registry of architectures, their training, linear fits, scores on held-out samples, and files."""

from igc.models import analytic, architectures, encoders
from igc.models.files import describe_model, load_model, save_model
from igc.models.registry import ARCHITECTURES, build_architecture, register_architecture

__all__ = [
    "ARCHITECTURES",
    "analytic",
    "architectures",
    "build_architecture",
    "describe_model",
    "encoders",
    "load_model",
    "register_architecture",
    "save_model",
]
