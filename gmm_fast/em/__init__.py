"""Runs EM: the loop, the rescue of components that die or collapse, the regularisation."""

from .loop import FitResult, State, fit, m_step
from .settings import Settings

__all__ = ["FitResult", "Settings", "State", "fit", "m_step"]
