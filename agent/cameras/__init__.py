"""The world outside: who answers on this network, what a camera says, and its newest picture."""
