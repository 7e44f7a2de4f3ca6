"""Where will it be, and how sure is that? One coordinate with constant velocity, in plain numbers.

The textbook filter (Bar-Shalom, *Estimation with Applications to Tracking and Navigation*, 6.2:
white acceleration), written out for a state of two so that a look at three frames per second with
uneven gaps is no special case: every step takes the real time that has passed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """One coordinate: position and velocity, their variances and covariance."""

    position: float
    velocity: float
    variance: float
    covariance: float
    velocity_variance: float

    @classmethod
    def at(cls, position: float, *, deviation: float, velocity_deviation: float) -> Axis:
        """Start somewhere, with no idea yet where it is going."""
        return cls(position, 0.0, deviation**2, 0.0, velocity_deviation**2)


def predicted(axis: Axis, elapsed_s: float, acceleration: float) -> Axis:
    """Let time pass; what nobody saw grows uncertain as fast as `acceleration` allows."""
    t, noise = elapsed_s, acceleration**2
    return Axis(
        position=axis.position + axis.velocity * t,
        velocity=axis.velocity,
        variance=axis.variance + 2 * t * axis.covariance + t**2 * axis.velocity_variance + noise * t**4 / 4,
        covariance=axis.covariance + t * axis.velocity_variance + noise * t**3 / 2,
        velocity_variance=axis.velocity_variance + noise * t**2,
    )


def corrected(axis: Axis, measured: float, deviation: float) -> Axis:
    """Believe a measurement as far as the filter's own doubt allows."""
    total = axis.variance + deviation**2
    gain, velocity_gain = axis.variance / total, axis.covariance / total
    surprise = measured - axis.position
    return Axis(
        position=axis.position + gain * surprise,
        velocity=axis.velocity + velocity_gain * surprise,
        variance=(1 - gain) * axis.variance,
        covariance=(1 - gain) * axis.covariance,
        velocity_variance=axis.velocity_variance - velocity_gain * axis.covariance,
    )
