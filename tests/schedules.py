"""Schedules as people write them: what Airflow runs, and what it would miss without a word."""

NEVER = ["", " ", "None", "none"]
SCHEDULES = [
    *("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "@midnight"),
    *("@once", "@continuous", "0 3 * * 1", "*/15 2-4 1,15 JAN-JUN mon", "0 3 L * *", "0 3 * * 1#2"),
    *("0 3 * * * 30", "0 0 29 2 *", "  0  3 * * *\n"),
]
NO_SCHEDULES = [
    *("@weeky", "weekly", "@every 1h", "@reboot", "@Once", "daily at 3", "7 days", "P7D", "1:00"),
    *("0 3 * *", "61 * * * *", "0 24 * * *", "0 3 0 * *", "0 3 * * 8", "0 3 * * 1-"),
    *("0 3 * * * x", "0 3 31 2 *", "0 3 * * * 0 2020", "H H * * *", "0 3 * * * * * *"),
]
