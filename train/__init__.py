"""Training, judging and using Keras classifiers."""
