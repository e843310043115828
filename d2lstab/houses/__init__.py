"""House prices: where the table comes from, and how it becomes tensors without leaking.

Modules are imported by their own names, for example ``d2lstab.houses.table``: they import pandas.
"""
