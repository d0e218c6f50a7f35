"""The project itself: layers, package, workflows, benchmarks."""
