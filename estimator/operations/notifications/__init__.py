"""Messages, figures for Prometheus, and log lines."""
