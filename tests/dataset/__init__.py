"""The tests of the shared language and the cleaning stage."""
