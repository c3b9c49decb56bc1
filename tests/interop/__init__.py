"""The matrix of `docs/interop.md`: which implementations were seen to work with which, by running each pair."""
