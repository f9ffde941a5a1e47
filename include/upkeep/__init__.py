"""What `churn_upkeep` deletes: a file for each task, by the task's name."""
