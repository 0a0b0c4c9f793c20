"""Exact assignment with a gate: which track gets which detection. Imports numpy and numba only.

Only pairs whose gain is above zero are handed in, as a sparse list. Leaving a row out gains zero,
so the best total splits exactly into the connected components of the pairs; the search below never
leaves the component it starts in, and the usual one-to-one pair ends at its first look.

Source: shortest augmenting paths with dual prices, Jonker and Volgenant 1987
(doi 10.1007/BF02278710); a private exit of gain zero for every row stands for "no match".
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import door

inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
"""For what only kernels call: compiled into its caller and loaded from the cache with it.

Without reference counts (`_nrt`, Numba's own name, undocumented), whose locked additions were 4/5
of the tracker's time: such a kernel allocates nothing and works in the room that it is given.
"""


@inner
def _search(root, graph, matching, prices, reach):
    """Find the cheapest way to place a row: to a free column, or by putting a row out.

    Returns how many columns were touched, the length of the way, its free column (-1: none) and
    the row that is put out.
    """
    starts, columns, gains = graph
    row_of = matching[0]
    price_row, price_column = prices
    distance, parent, closed, touched = reach
    count, row, reached, exit_row, exit_distance = 0, root, 0.0, -1, np.inf
    while True:
        # A row's own exit costs nothing but its price: staying without a match.
        if reached - price_row[row] < exit_distance:
            exit_distance = reached - price_row[row]
            exit_row = row
        for e in range(starts[row], starts[row + 1]):
            j = columns[e]
            if closed[j]:
                continue
            d = reached - gains[e] - price_row[row] - price_column[j]
            if d < distance[j]:
                if distance[j] == np.inf:
                    touched[count] = j
                    count += 1
                distance[j] = d
                parent[j] = row
        best = -1
        for t in range(count):
            j = touched[t]
            if not closed[j] and (best < 0 or distance[j] < distance[best]):
                best = j
        if best < 0 or exit_distance <= distance[best]:
            return count, exit_distance, -1, exit_row
        reached = distance[best]
        if row_of[best] < 0:
            return count, reached, best, exit_row
        closed[best] = 1
        row = row_of[best]


@inner
def _augment(root, graph, matching, prices, reach):
    """Place one more row, moving others along the cheapest way."""
    row_of, column_of = matching
    price_row, price_column = prices
    distance, parent, closed, touched = reach
    count, reached, end, exit_row = _search(root, graph, matching, prices, reach)
    price_row[root] += reached
    for t in range(count):
        j = touched[t]
        if closed[j]:
            price_row[row_of[j]] += reached - distance[j]
            price_column[j] -= reached - distance[j]
    if end < 0 and exit_row != root:
        # That row stays without a match from now on; its column goes to the row before it.
        end = column_of[exit_row]
        column_of[exit_row] = -1
    while end >= 0:
        row = parent[end]
        previous = column_of[row]
        row_of[end] = row
        column_of[row] = end
        end = previous if row != root else -1
    for t in range(count):
        distance[touched[t]] = np.inf
        closed[touched[t]] = 0


@njit("void(i8[::1], i8[::1], f8[::1], i8[::1], i8[::1], f8[::1], i8[::1])", cache=True, _nrt=False)
def _assign(starts, columns, gains, row_of, column_of, floats, ints):
    """Maximise the sum of gains. Pairs of row i: columns[starts[i]:starts[i + 1]].

    row_of (columns) and column_of (rows) are filled; -1: none. floats (rows + 2 columns) and ints
    (3 columns) to work in.
    """
    n, m = column_of.shape[0], row_of.shape[0]
    price_row, price_column = floats[:n], floats[n : n + m]
    distance = floats[n + m : n + 2 * m]
    parent, closed, touched = ints[:m], ints[m : 2 * m], ints[2 * m : 3 * m]
    row_of[:] = -1
    column_of[:] = -1
    price_row[:] = 0.0
    price_column[:] = 0.0
    distance[:] = np.inf
    closed[:] = 0
    graph, matching = (starts, columns, gains), (row_of, column_of)
    prices, reach = (price_row, price_column), (distance, parent, closed, touched)
    for root in range(n):
        if starts[root] < starts[root + 1]:
            _augment(root, graph, matching, prices, reach)


def assign(gains: ArrayLike, gate: float = 0.0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns, int64 (k,), of the matching with the largest sum of gain - gate.

    gains: float (M, N). Only pairs above the gate may match; NaN never does. Rows rise. M = 0 or
    N = 0 gives two empty arrays. Among matchings of equal sum, always the same one.
    """
    table = door(gains, np.float64, -1, -1)
    allowed = table > gate
    rows, columns = np.nonzero(allowed)
    starts = np.zeros(len(table) + 1, np.int64)
    np.cumsum(allowed.sum(axis=1), out=starts[1:])
    row_of = np.empty(table.shape[1], np.int64)
    column_of = np.empty(table.shape[0], np.int64)
    gains, columns = table[rows, columns] - gate, columns.astype(np.int64)
    n, m = table.shape
    _assign(starts, columns, gains, row_of, column_of, np.empty(n + 2 * m), np.empty(3 * m, int))
    matched = np.flatnonzero(column_of >= 0)
    return matched, column_of[matched]
