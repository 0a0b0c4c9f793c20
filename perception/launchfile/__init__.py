"""From a launch file to running stages: YAML, checked models, plan, stages."""
