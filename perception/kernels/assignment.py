"""Optimal assignment with a gate: which track gets which detection. Imports numpy and numba only.

Input is a sparse list of pairs whose gain is above zero. A row without a match gains zero. The best
assignment is therefore the union of the best assignments of the connected components of the pairs.
The search starts at one row and visits its component only.

Source: shortest augmenting paths with dual prices, Jonker and Volgenant 1987
(doi 10.1007/BF02278710). Each row has one more column of gain zero, which means "no match".
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array

inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
"""Decorator of a function that only kernels call. It is compiled into its caller.

`_nrt=False` (an undocumented option of Numba) leaves out reference counting, whose atomic additions
took 4/5 of the tracker's time. Such a function cannot allocate: it works in arrays that it is
given.
"""


@inner
def _search(root, graph, matching, prices, reach):
    """Find the shortest augmenting path of a row. It ends at a free column or at an unmatched row.

    Returns how many columns were reached, the length of the path, its free column (-1: none) and
    the row that stays without a match (valid where there is no free column).
    """
    starts, columns, gains = graph
    row_of = matching[0]
    price_row, price_column = prices
    distance, parent, closed, touched = reach
    count, row, reached, exit_row, exit_distance = 0, root, 0.0, -1, np.inf
    while True:
        # The path may end here: this row stays without a match, at the cost of its price.
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
    """Match one more row: update the prices and change the matching along the shortest path."""
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
        # This row loses its match. Its column goes to the row before it on the path.
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

    Writes row_of (columns,) and column_of (rows,); -1: no match. Scratch memory: floats
    (rows + 2 columns,), ints (3 columns,).
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
    """Return the rows and columns, int64 (k,) each, of the matching with the largest sum.

    gains: float (M, N). The sum is of gain - gate over the matched pairs. Only pairs above the gate
    match; NaN never does. Rows are ascending. M = 0 or N = 0 gives two empty arrays. The result is
    deterministic where several matchings have the same sum. Raises ValueError where gains is not
    two-dimensional. Source: see the module.
    """
    table = as_array(gains, np.float64, -1, -1)
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
