"""A second, slow and obvious implementation of the policy, written from docs/ and the settings alone.

`test_model.py` holds the engine against it on random policies and messages. Nothing here is shared with the engine, and
nothing is fast: plain loops over all rules and zones, a dict for each limit, names as tuples of labels. Where the
documents leave a choice open (which of several replies a slip answers), the model says that it does not know.
"""
