"""How fast a machine trains, in numbers that another machine's can be compared with.

`measure` needs torch, `result` does not.
"""
