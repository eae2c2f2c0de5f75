"""Drawings for pages: line charts and heat maps as inline SVG, and the markup and wording that they are made of."""
