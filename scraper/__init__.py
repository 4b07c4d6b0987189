"""Finding and fetching pictures: search engines, the browser, downloads, and the built-in search site."""
