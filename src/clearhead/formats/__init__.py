"""Files of weights, read lazily and checked before they are believed."""
