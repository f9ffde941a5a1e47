"""What `churn_tuning` does: a file for each task, by the task's name, and what the tasks use."""
