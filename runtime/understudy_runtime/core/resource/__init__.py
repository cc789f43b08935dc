"""The machine of resources."""
