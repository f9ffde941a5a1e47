"""The HTTP server: gunicorn's worker, and what its workers share about clients and limits."""
