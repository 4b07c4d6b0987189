"""The forms in which others take a dataset."""
