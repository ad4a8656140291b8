"""The one place that speaks the Kubernetes API."""
