"""What every Airflow of ours shares, on a laptop and in containers: options, start, API, runs."""
