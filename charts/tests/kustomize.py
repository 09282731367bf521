"""k8s/ is the chart's defaults."""
ALL = []
