"""The shared language (configuration, records, class folders) and the cleaning stage."""
