"""From files and data frames to what a network reads.

Four rooms, in this order: `reading` finds rows and fields, `meaning` tells numbers, dates and categories apart,
`encoding` makes numbers and codes of them, `features` makes of these what the first layer takes.
"""
