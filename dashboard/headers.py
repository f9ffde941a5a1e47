"""What every answer of the dashboard tells the browser: load nothing from anywhere else."""

from collections.abc import Sequence

from flask import Flask, Response

# Evidently's page carries its scripts in itself and evaluates some; it may reach nothing.
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; frame-ancestors 'self'; sandbox allow-scripts"
)


def register(server: Flask, script_hashes: Sequence[str]) -> None:
    """Add the headers to every answer; `script_hashes` allow Dash's own inline scripts."""
    policy = "; ".join(
        [
            "default-src 'self'",
            f"script-src 'self' {' '.join(script_hashes)}",
            "style-src 'self' 'unsafe-inline'",  # Mantine and Plotly style elements from scripts
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "frame-src 'self'",
            "frame-ancestors 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "object-src 'none'",
        ]
    )

    @server.after_request
    def _add(answer: Response) -> Response:
        answer.headers.setdefault("Content-Security-Policy", policy)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "same-origin"
        return answer
