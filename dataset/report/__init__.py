"""A folder of pictures as one page: what it holds, what was rejected, what to fix first."""
