"""The demo shop: pages over the same tables and the same writer as the API, rendered on the server."""
