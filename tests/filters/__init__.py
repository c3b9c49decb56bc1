"""Tests of the filters: settings compiled into a policy, and what that policy decides."""
