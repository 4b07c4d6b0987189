"""The built-in search site: three engines and their image hosts on loopback, with known ground truth."""
