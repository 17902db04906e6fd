"""Lava's fixed-point simulator."""
