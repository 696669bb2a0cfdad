"""EM: the loop, what becomes of components that die or collapse, what is added to variances."""

from .loop import FitResult, State, fit, m_step
from .settings import Settings

__all__ = ["FitResult", "Settings", "State", "fit", "m_step"]
