"""Tables from files and data frames to the inputs of a network.

A table passes four packages in this order: `reading` finds rows and fields, `meaning` tells numbers, dates and
categories apart, `encoding` turns columns into numbers and category codes, `features` turns these into the inputs of
the first layer.
"""
