"""Charts: matplotlib, inline SVG and the notebook view."""
