"""The tests of finding and fetching."""
