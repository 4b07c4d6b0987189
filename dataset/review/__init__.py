"""A local page on which a person keeps, drops and relabels pictures, and the verdicts that it leaves behind."""
