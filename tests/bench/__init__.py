"""The parts of the measurements that can be wrong without anyone seeing it: what is read, counted and written."""
