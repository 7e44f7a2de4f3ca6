"""Which belongs to which? The pairs whose gains add up to most, each used once.

Greedy pairing takes the best single pair first, and so swaps two people exactly where it matters:
when they pass each other. This is the Hungarian method with potentials (Kuhn 1955, in the form of
Jonker and Volgenant 1987); a street has a handful of objects, so plain Python takes microseconds,
where the packaged solvers bring SciPy or a compiler.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def best_pairs(gains: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Return (row, column) pairs of greatest total gain; pairs with gain 0 or less are left out."""
    if not gains or not gains[0]:
        return []
    if len(gains) > len(gains[0]):
        turned = [list(column) for column in zip(*gains, strict=True)]
        return sorted((row, column) for column, row in best_pairs(turned))
    costs = [[-max(gain, 0.0) for gain in row] for row in gains]
    pairs = _cheapest(costs)
    return [(row, column) for row, column in pairs if gains[row][column] > 0]


def _cheapest(costs: list[list[float]]) -> list[tuple[int, int]]:
    """Give every row a column of its own at least total cost; there are at least as many columns.

    Rows join one by one; column 0 of the working arrays stands for the row that is joining.
    """
    columns = len(costs[0])
    row_potential, column_potential = [0.0] * (len(costs) + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # the row (from 1) that holds a column; 0: nobody
    for row in range(1, len(costs) + 1):
        owner[0] = row
        way = _shortest_way(costs, owner, row_potential, column_potential)
        for column, previous in pairwise(way):
            owner[column] = owner[previous]
    return sorted((owner[column] - 1, column - 1) for column in range(1, columns + 1) if owner[column])


def _shortest_way(
    costs: list[list[float]], owner: list[int], row_potential: list[float], column_potential: list[float]
) -> list[int]:
    """Return the cheapest chain of columns from a free one back to 0, and bring the potentials along."""
    columns = len(column_potential)
    slack, previous, done = [math.inf] * columns, [0] * columns, [False] * columns
    column = 0
    while owner[column]:
        done[column] = True
        row = owner[column]
        step, nearest = math.inf, 0
        for j in range(1, columns):
            if done[j]:
                continue
            reduced = costs[row - 1][j - 1] - row_potential[row] - column_potential[j]
            if reduced < slack[j]:
                slack[j], previous[j] = reduced, column
            if slack[j] < step:
                step, nearest = slack[j], j
        for j in range(columns):
            if done[j]:
                row_potential[owner[j]] += step
                column_potential[j] -= step
            else:
                slack[j] -= step
        column = nearest
    way = [column]
    while way[-1]:
        way.append(previous[way[-1]])
    return way
