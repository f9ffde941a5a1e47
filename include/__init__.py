"""The core of the churn system: what the DAGs run, and the part of it that the web tier needs."""
