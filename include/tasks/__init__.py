"""What the DAGs' operators call: it opens connections and turns errors into retries or failures."""
