"""The processes that the supervisor starts, and what joins them to the packages below."""
